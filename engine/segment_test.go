package engine

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.opentelemetry.io/otel/trace"
)

const testSegment = 2 << 20

// smallSegments opens a store with segments that are soon full.
func smallSegments(t *testing.T, dir string) *Store {
	t.Helper()
	s := openStore(t, dir)
	s.segments.limit = testSegment
	return s
}

// commitNoise commits n events that fill about a chunk each, and returns their bodies.
func commitNoise(t *testing.T, s *Store, n int) (bodies []string) {
	t.Helper()
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	noise := make([]byte, chunkTarget/2)
	for range n {
		rand.Read(noise)
		bodies = append(bodies, hex.EncodeToString(noise))
	}
	stage(t, p, bodies...)
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	return bodies
}

func segmentsIn(t *testing.T, dir string) []uint32 {
	t.Helper()
	numbers, err := segmentNumbers(dir)
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

// Large commits lie in segments and small ones in the database, in one order; a segment goes when the
// last output has what is in it, also after a new start.
func TestSegmentsGoWithTheLastOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := smallSegments(t, dir)
	if err := s.outputs([]string{"out", "slow"}); err != nil {
		t.Fatal(err)
	}
	want := commitNoise(t, s, 3*testSegment/chunkTarget)
	small := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	stage(t, small, "small")
	if err := small.Commit(); err != nil {
		t.Fatal(err)
	}
	want = append(append(want, "small"), commitNoise(t, s, 1)...)
	if n := len(segmentsIn(t, dir)); n != 3 && n != 4 {
		t.Errorf("%d segments of %d bytes for three times as much", n, testSegment)
	}
	if s.inBadger == 0 || s.inBadger > inlineBytes {
		t.Errorf("%d bytes of chunks are in Badger", s.inBadger)
	}
	s.Close()
	s = openStore(t, dir)
	defer s.Close()
	if got := outboxBodies(t, s, "slow"); !slices.Equal(got, want) {
		t.Fatalf("%d events wait, want %d in the order of their commits", len(got), len(want))
	}
	all := segmentsIn(t, dir)
	for _, ack := range []struct {
		sink string
		next uint64
		left int
	}{
		{"out", s.nextChunk(), len(all)},
		{"slow", s.sizes[0].chunksIn(s), len(all) - 1},
		{"slow", s.nextChunk(), 0},
	} {
		if err := s.ack(ack.sink, ack.next); err != nil {
			t.Fatal(err)
		}
		if got := segmentsIn(t, dir); len(got) != ack.left {
			t.Errorf("%s has everything before %d: segments %v are left of %v, want %d", ack.sink, ack.next, got, all, ack.left)
		}
	}
	if s.inBadger != 0 || s.bytes != 0 {
		t.Errorf("%d bytes wait, %d of them in Badger", s.bytes, s.inBadger)
	}
}

// chunksIn returns the first chunk after those in the segment of c, which is the first.
func (c chunkInfo) chunksIn(s *Store) uint64 {
	return s.first + uint64(slices.IndexFunc(s.sizes, func(o chunkInfo) bool { return o.segment != c.segment }))
}

// What a backup reads is not removed before it is done.
func TestSegmentsWaitForABackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := smallSegments(t, dir)
	defer s.Close()
	if err := s.outputs([]string{"out"}); err != nil {
		t.Fatal(err)
	}
	commitNoise(t, s, 2*testSegment/chunkTarget)
	s.snapshots.RLock()
	if err := s.ack("out", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if got := segmentsIn(t, dir); len(got) < 2 {
		t.Errorf("segments %v are left while a backup reads", got)
	}
	s.snapshots.RUnlock()
	commitNoise(t, s, 1)
	if err := s.ack("out", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if got := segmentsIn(t, dir); len(got) != 1 {
		t.Errorf("segments %v are left, want the one that is written", got)
	}
}

// A write that fails is a commit that did not happen: the next one goes to a new segment, and nothing is there twice.
func TestASegmentThatCannotBeWrittenIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, "out")
	defer s.Close()
	want := commitNoise(t, s, 4)
	s.segments.file.Close() // as if the disk were gone
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	noise := make([]byte, inlineBytes)
	rand.Read(noise)
	body := hex.EncodeToString(noise)
	stage(t, p, body)
	if err := p.Commit(); CodeOf(err, "") != CodeStore || !errors.Is(err, os.ErrClosed) {
		t.Fatalf("a commit that cannot be written: got %v", err)
	}
	if err := p.Commit(); err != nil {
		t.Fatalf("the same again: %v", err)
	}
	want = append(want, body)
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, want) {
		t.Errorf("%d events wait, want %d", len(got), len(want))
	}
	if err := s.ack("out", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if got := segmentsIn(t, dir); len(got) != 1 {
		t.Errorf("segments %v are left, want the one that is written", got)
	}
}

// What a crash leaves may point at a segment that is gone; a chunk of the outbox must not.
func TestAMissingSegmentIsALossOnlyInTheOutbox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, "out")
	commitNoise(t, s, 2)
	if err := s.ack("out", s.nextChunk()-1); err != nil {
		t.Fatal(err)
	}
	gone := location{segment: 99, offset: segmentHead, size: 100}.encode()
	if err := s.db.Update(func(txn *badger.Txn) error {
		return errors.Join(txn.Set(chunkKey(s.first-1), gone), txn.Set(chunkKey(s.head), gone))
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(func() error { _, err := s.Backup(io.Discard); return err }(), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	last := chunkKey(s.head - 1)
	if err := errors.Join(s.db.Update(func(txn *badger.Txn) error { return txn.Set(last, gone) }), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(dir, 1<<30); err == nil {
		t.Error("the store opens without a segment of its outbox")
	}
}

// A backup has chunks and not their locations, so a restore needs no segment.
func TestABackupHoldsWhatIsInSegments(t *testing.T) {
	t.Parallel()
	dir, other, file := t.TempDir(), filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "backup")
	s := openStore(t, dir, "out")
	want := commitNoise(t, s, 20)
	s.Close()
	if _, err := BackupDir(dir, file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Restore(file, other, false); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, other)
	defer s.Close()
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, want) || len(segmentsIn(t, other)) != 0 {
		t.Errorf("%d events of %d are there, segments %v", len(got), len(want), segmentsIn(t, other))
	}
}

// FuzzSegment reads chunks out of foreign bytes: only what was written as this chunk may come of it.
func FuzzSegment(f *testing.F) {
	w := chunkWriter{}
	w.add(testTable, time.Unix(1, 0), []byte("x"))
	chunk := w.seal()
	stampChunk(chunk, time.Unix(2, 0), trace.SpanContext{})
	whole := append(make([]byte, segmentHead, 200), chunk...)
	at := location{segment: 1, offset: segmentHead, size: uint32(len(chunk)), events: 1, committed: 2000}
	f.Add(whole, at.encode())
	f.Add(whole[:len(whole)-1], at.encode())
	f.Add(whole, location{segment: 1, offset: 3, size: 1 << 31}.encode())
	f.Fuzz(func(t *testing.T, data, value []byte) {
		p, ok := decodeLocation(value)
		if !ok {
			return
		}
		if !slices.Equal(p.encode(), value) {
			t.Errorf("%+v was made of another value", p)
		}
		dir := t.TempDir()
		p.segment = 1
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readLocated(dir, 0, p, nil)
		if err != nil {
			return
		}
		if checkChunk(got) != nil || uint32(len(got)) != p.size {
			t.Errorf("%d bytes of no chunk", len(got))
		}
	})
}
