package engine

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.opentelemetry.io/otel/trace"
)

func TestLargeCommitIsOneStep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, "out")
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	// Random-looking bodies do not compress, so this takes many transactions.
	noise := make([]byte, 4096)
	for i := range 4000 {
		for j := range noise {
			noise[j] = byte('0' + (i*7919+j*j*31+j)%75)
		}
		stage(t, p, fmt.Sprintf("%d %s", i, noise))
	}
	for i := range 300_000 {
		p.Seen(time.Unix(7200, 0), Key{byte(i), byte(i >> 8), byte(i >> 16), 9})
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, dir)
	defer s.Close()
	if got := outboxBodies(t, s, "out"); len(got) != 4000 || !strings.HasPrefix(got[3999], "3999 ") {
		t.Errorf("got %d events", len(got))
	}
	if keys, err := s.seen("in/1/svc", 2); keys.len() != 300_000 || err != nil {
		t.Errorf("got %d remembered keys, %v", keys.len(), err)
	}
}

func TestLeftoversOfACommitThatDidNotHappenAreDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, "out")
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	stage(t, p, "kept")
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	// A crash after the chunks and before the head: the chunk is there, and nothing says so.
	w := chunkWriter{}
	w.add(testTable, time.Time{}, []byte("torn"))
	chunk := w.seal()
	stampChunk(chunk, time.Now(), trace.SpanContext{})
	err := s.db.Update(func(txn *badger.Txn) error {
		return errors.Join(txn.Set(chunkKey(s.head), chunk), txn.Set(blockKey(s.block), make([]byte, 16)))
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, dir)
	defer s.Close()
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("outbox: got %q", got)
	}
	p = NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	stage(t, p, "next")
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, []string{"kept", "next"}) {
		t.Errorf("outbox: got %q", got)
	}
}

func TestHugeCursorHurtsOnlyItsOwner(t *testing.T) {
	t.Parallel()
	s := openStore(t, "")
	defer s.Close()
	p := NewPull(t.Context(), testEnv(t, s), "in/1/a")
	p.SetCursor("c", json.RawMessage(`"`+strings.Repeat("x", 100_000)+`"`))
	if err := p.Commit(); CodeOf(err, "") != CodeTooLarge || !strings.Contains(err.Error(), "cursor c") {
		t.Errorf("got %v", err)
	}
}

// TestCommitOfManyHours commits events of half a year, one and three. Keys are kept by the hour, and what says where they are has
// to fit into one transaction of the database; with few hours, the keys are in it too. A commit that is refused leaves nothing.
func TestCommitOfManyHours(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir(), "out")
	defer s.Close()
	s.inline = 0
	for i, test := range []struct {
		hours int
		want  string
	}{
		{4990, ""},
		{365 * 24, ""},
		{3 * 365 * 24, "commit: its events are of 26280 different hours and it sets 0 cursors, which is too much for one commit (call checkpoint.commit more often, pull shorter ranges, or keep less in cursors; nothing of it was kept)"},
	} {
		p := NewPull(t.Context(), testEnv(t, s), fmt.Sprintf("in/%d/svc", i))
		for hour := 1; hour <= test.hours; hour++ {
			at := time.Unix(int64(hour)*3600, 0)
			if _, err := p.Seen(at, Key{byte(hour), byte(hour >> 8)}); err != nil {
				t.Fatal(err)
			}
			p.Count(at, HourCount{Events: 1})
		}
		stage(t, p, "one")
		err := p.Commit()
		p.dropStaged() // as at the end of a pull
		if fmt.Sprint(err) != cmp.Or(test.want, "<nil>") || err != nil && CodeOf(err, "") != CodeTooLarge {
			t.Errorf("%d hours: got %v", test.hours, err)
		}
		if hours, err := s.seenHours(p.collector); (len(hours) > 0) != (test.want == "") || err != nil {
			t.Errorf("%d hours: keys of %d hours are kept, %v", test.hours, len(hours), err)
		}
	}
	if n := s.segments.live[s.segments.number]; n != 2 {
		t.Errorf("%d chunks are held in the segment, want those of 2 commits", n)
	}
}

// TestChunksInMemory commits events that do not compress to a store in memory, which takes no chunk of more than a MiB.
func TestChunksInMemory(t *testing.T) {
	t.Parallel()
	s := openStore(t, "", "out")
	defer s.Close()
	noise := make([]byte, 750<<10)
	rand.Read(noise)
	text := hex.EncodeToString(noise)
	want := []string{text[:600<<10], text[300<<10 : 1000<<10], text[:1000<<10], "small", text[500<<10:]}
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	stage(t, p, want...)
	if err := p.Commit(); err != nil {
		t.Fatalf("%.300s", err.Error())
	}
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d", len(got), len(want))
	}
	p.env.Limits.EventBytes = 2 << 20
	stage(t, p, text)
	if err := p.Commit(); CodeOf(err, "") != CodeTooLarge || len(err.Error()) > 300 {
		t.Errorf("an event of %d bytes: got %.500v", len(text), err)
	}
}
