package engine

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	s.segments.current.file.Close() // as if the disk were gone
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
	gone := location{segment: 99, size: 100}.encode()
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
	whole := append(make([]byte, numberedHead, 200), chunk...)
	at := location{segment: 1, offset: numberedHead, size: uint32(len(chunk)), events: 1, committed: 2000, sum: chunkSum(chunk)}
	f.Add(whole, at.encode())
	f.Add(whole[:len(whole)-1], at.encode())
	f.Add(whole, location{segment: 1, offset: 3, size: 1 << 31}.encode())
	stampChunk(whole[numberedHead:], time.Unix(2, 0), trace.SpanContext{})
	at.numbered = true
	f.Add(whole, at.encode())
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

// noiseOf returns a body that fills a chunk alone and does not compress.
func noiseOf(random *mathrand.ChaCha8) string {
	noise := make([]byte, chunkTarget/2)
	random.Read(noise)
	return hex.EncodeToString(noise)
}

// Full chunks are written while the pull goes on, count for nothing before its commit, and go when there is none.
func TestChunksAreWrittenBeforeTheirCommit(t *testing.T) {
	t.Parallel()
	dir, random := t.TempDir(), mathrand.NewChaCha8([32]byte{1})
	s := smallSegments(t, dir)
	if err := s.outputs([]string{"out"}); err != nil {
		t.Fatal(err)
	}
	gives := NewPull(t.Context(), testEnv(t, s), "in/1/gives")
	fails := NewPull(t.Context(), testEnv(t, s), "in/1/fails")
	var want []string
	for range 8 {
		want = append(want, noiseOf(random))
		stage(t, gives, want[len(want)-1])
		stage(t, fails, noiseOf(random))
	}
	if gives.staged.held != 0 || s.segments.bytes() < gives.staged.size+fails.staged.size {
		t.Errorf("%d of %d bytes are held in memory, segments have %d", gives.staged.held, gives.staged.size, s.segments.bytes())
	}
	if b := s.Backlog(""); b.Chunks != 0 {
		t.Errorf("%d chunks wait for the output before the commit", b.Chunks)
	}
	want = append(want, "the rest")
	stage(t, gives, "the rest")
	if err := gives.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, want) {
		t.Fatalf("%d events wait, want %d in their order", len(got), len(want))
	}
	fails.dropStaged()
	if n, _ := s.segments.waiting(); n != 0 {
		t.Errorf("%d bytes wait for a commit that has been, or will not be", n)
	}
	if err := s.ack("out", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if got := segmentsIn(t, dir); len(got) != 1 {
		t.Errorf("segments %v are left, want the one that is written", got)
	}

	// What a process leaves that ends before its commit goes at the next start.
	left := NewPull(t.Context(), testEnv(t, s), "in/1/left")
	stage(t, left, noiseOf(random), noiseOf(random))
	s.Close()
	s = openStore(t, dir)
	defer s.Close()
	if got := segmentsIn(t, dir); len(got) != 0 || s.Backlog("").Chunks != 0 {
		t.Errorf("segments %v and %d chunks are left", got, s.Backlog("").Chunks)
	}
}

// Without room in the outbox chunks wait in memory, and the commit waits for room.
func TestChunksWaitInMemoryForAFullOutbox(t *testing.T) {
	t.Parallel()
	random := mathrand.NewChaCha8([32]byte{2})
	s := openStore(t, t.TempDir(), "out")
	defer s.Close()
	s.setPolicy(policy{bytes: 3 * (chunkTarget + 4<<10)})
	want := commitNoise(t, s, 2)
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	for range 3 {
		want = append(want, noiseOf(random))
		stage(t, p, want[len(want)-1])
	}
	if p.staged.held == 0 || p.staged.held == p.staged.size {
		t.Errorf("%d of %d bytes are held in memory, want those that the outbox has no room for", p.staged.held, p.staged.size)
	}
	first := outboxBodies(t, s, "out")
	done := make(chan error)
	go func() { done <- p.Commit() }()
	if err := s.ack("out", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := append(first, outboxBodies(t, s, "out")...); !slices.Equal(got, want) {
		t.Errorf("%d events waited, want %d in their order", len(got), len(want))
	}
}

// Chunks that the disk may not have fail the commits that have them, and no others.
func TestASegmentThatCannotBeSyncedFailsItsCommits(t *testing.T) {
	t.Parallel()
	random := mathrand.NewChaCha8([32]byte{3})
	s := openStore(t, t.TempDir(), "out")
	defer s.Close()
	want := commitNoise(t, s, 2)
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	stage(t, p, noiseOf(random))
	s.segments.current.file.Close() // as if the disk were gone
	for range 2 {
		if err := p.Commit(); CodeOf(err, "") != CodeStore || !errors.Is(err, os.ErrClosed) {
			t.Fatalf("a commit that cannot be synced: got %v", err)
		}
	}
	p.dropStaged()
	want = append(want, commitNoise(t, s, 2)...)
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, want) {
		t.Errorf("%d events wait, want %d", len(got), len(want))
	}
	stage(t, p, noiseOf(random))
	s.segments.current.file.Close()
	bad, good := p.staged.seal(), (&staging{cursors: map[string]json.RawMessage{"n": json.RawMessage("1")}}).seal()
	bad.collector, good.collector = "in/1/bad", "in/1/good"
	s.commitGroup([]*commitRequest{bad, good})
	if err := <-bad.done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("the one whose chunk cannot be synced: got %v", err)
	}
	if err := <-good.done; err != nil {
		t.Errorf("another of the same group: got %v", err)
	}
}

// A store of format 3 has chunks behind their numbers, as they were committed; it opens, and goes on in the new form.
func TestAStoreOfFormat3Opens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, "out")
	want := commitNoise(t, s, 3)
	number := s.segments.number + 1
	var old []byte
	if err := s.db.Update(func(txn *badger.Txn) error {
		for id := range s.nextChunk() {
			value, err := get(txn, string(chunkKey(id)))
			if err != nil {
				return err
			}
			at, _ := decodeLocation(value)
			chunk, err := readLocated(dir, id, at, nil)
			if err != nil {
				return err
			}
			old = binary.BigEndian.AppendUint64(old, id)
			at = location{segment: number, offset: uint32(len(old)), size: at.size, events: at.events, committed: at.committed, numbered: true}
			old = append(old, chunk...)
			if err := txn.Set(chunkKey(id), at.encode()); err != nil {
				return err
			}
		}
		return txn.Set([]byte(keyVersion), []byte("3"))
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, segmentName(number)), old, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, "out")
	want = append(want, commitNoise(t, s, 2)...)
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, want) {
		t.Errorf("%d events wait, want %d", len(got), len(want))
	}
	s.Close()
	if i, err := Inspect(dir); err != nil || len(i.Problems) > 0 || i.Format != storeVersion || i.Events != len(want) {
		t.Errorf("it looks like %+v, %v", i, err)
	}
	binary.BigEndian.PutUint64(old, 77) // another chunk
	if err := os.WriteFile(filepath.Join(dir, segmentName(number)), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(dir, 1<<30); err == nil || !strings.Contains(err.Error(), "is not chunk 0") {
		t.Errorf("with another chunk at its place: got %v", err)
	}
}

// A pull that stages slowly beside others keeps segments from going: not more of them than it may.
func TestASlowPullKeepsFewSegments(t *testing.T) {
	t.Parallel()
	dir, random := t.TempDir(), mathrand.NewChaCha8([32]byte{4})
	s := smallSegments(t, dir)
	defer s.Close()
	if err := s.outputs([]string{"out"}); err != nil {
		t.Fatal(err)
	}
	slow := NewPull(t.Context(), testEnv(t, s), "in/1/slow")
	var want []string
	for range 2 * pinnedSegments {
		want = append(want, noiseOf(random))
		stage(t, slow, want[len(want)-1])
		commitNoise(t, s, testSegment/chunkTarget)
		if err := s.ack("out", s.nextChunk()); err != nil {
			t.Fatal(err)
		}
	}
	if got, most := s.segments.bytes(), slow.staged.size+(pinnedSegments+2)*testSegment; got > most {
		t.Errorf("segments take %d bytes, want at most %d", got, most)
	}
	if slow.staged.held == 0 || slow.staged.held == slow.staged.size {
		t.Errorf("%d of %d bytes are held in memory", slow.staged.held, slow.staged.size)
	}
	if err := slow.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, want) {
		t.Errorf("%d events wait, want %d in their order", len(got), len(want))
	}
	if err := s.ack("out", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if ahead, unused := s.segments.waiting(); ahead != 0 || s.segments.used != 0 || unused != s.segments.total || len(segmentsIn(t, dir)) != 1 {
		t.Errorf("%d bytes wait, %d are used, %d are not, of %d; segments %v are left", ahead, s.segments.used, unused, s.segments.total, segmentsIn(t, dir))
	}
}

// A segment of which nothing could be written is removed.
func TestAnEmptySegmentIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, "out")
	defer s.Close()
	for range 3 {
		s.segments.mu.Lock()
		err := s.segments.begin()
		s.segments.current.file.Close() // as if the disk were gone
		s.segments.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.place([]byte(noiseOf(mathrand.NewChaCha8([32]byte{5})))); ok {
			t.Fatal("a chunk is placed that cannot be written")
		}
	}
	if got := segmentsIn(t, dir); len(got) != 0 || len(s.segments.begun) != 0 {
		t.Errorf("segments %v are left, %d of them open", got, len(s.segments.begun))
	}
}

// Nobody knows whether a commit has happened whose transaction failed. What it may point at stays until the next start.
func TestSegmentsOfACommitThatMayHaveHappenedStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := smallSegments(t, dir)
	random := mathrand.NewChaCha8([32]byte{6})
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	for range 3 * testSegment / chunkTarget {
		stage(t, p, noiseOf(random))
	}
	before := segmentsIn(t, dir)
	s.db.Close() // as if the disk were gone
	if err := p.Commit(); CodeOf(err, "") != CodeStore {
		t.Fatalf("a commit without a database: got %v", err)
	}
	p.dropStaged()
	if got := segmentsIn(t, dir); !slices.Equal(got, before) || len(got) < 3 {
		t.Errorf("segments %v are left of %v", got, before)
	}
	s.Close()
	s = openStore(t, dir)
	defer s.Close()
	if got := segmentsIn(t, dir); len(got) != 0 {
		t.Errorf("segments %v are left at the next start", got)
	}
}
