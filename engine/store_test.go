package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/klauspost/compress/s2"
	"go.opentelemetry.io/otel/trace"
)

// openStore opens the store of a folder, or one in memory, and says which outputs there are, if any are named.
func openStore(t *testing.T, dir string, outputs ...string) *Store {
	t.Helper()
	s, err := OpenStore(dir, 1<<30)
	if err == nil && len(outputs) > 0 {
		err = s.outputs(outputs)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testEnv(t *testing.T, store *Store) *Env {
	t.Helper()
	return quietEnv(store)
}

func quietEnv(store *Store) *Env {
	return &Env{Logger: slog.New(slog.DiscardHandler), Telemetry: NewTelemetry(nil, nil), Shared: &Shared{}, Redactor: &Redactor{},
		Limits: Limits{}.WithDefaults(), Store: store}
}

var testTable = &Table{Tag: "my.app.test", Priority: DefaultPriority}

func stage(t *testing.T, p *Pull, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		if err := p.Stage(testTable, time.Time{}, []byte(b)); err != nil {
			t.Fatal(err)
		}
	}
}

// outboxBodies reads everything that a sink would be offered.
func outboxBodies(t *testing.T, s *Store, sink string) []string {
	t.Helper()
	var bodies []string
	for id := s.tail(sink); ; id++ {
		c, _, err := s.chunk(id)
		if err != nil {
			t.Fatal(err)
		}
		if c.events == nil {
			return bodies
		}
		for _, e := range c.events {
			bodies = append(bodies, string(e.Body))
		}
	}
}

func TestCommitIsAllOrNothingAcrossRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, "out")
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	stage(t, p, "one", "two")
	p.SetCursor("at", json.RawMessage(`"2026-01-01"`))
	if seen, err := p.Seen(time.Unix(7200, 0), Key{1}); seen || err != nil {
		t.Fatalf("first sight: got %v, %v", seen, err)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	stage(t, p, "never committed")
	p.SetCursor("at", json.RawMessage(`"2027"`))
	p.Seen(time.Unix(7200, 0), Key{2})
	s.Close()

	s = openStore(t, dir)
	defer s.Close()
	if got, want := outboxBodies(t, s, "out"), []string{"one", "two"}; !slices.Equal(got, want) {
		t.Errorf("outbox: got %q, want %q", got, want)
	}
	q := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	if v, ok, err := q.Cursor("at"); string(v) != `"2026-01-01"` || !ok || err != nil {
		t.Errorf("cursor: got %s %v %v", v, ok, err)
	}
	for key, want := range map[Key]bool{{1}: true, {2}: false} {
		if seen, err := q.Seen(time.Unix(7200, 0), key); seen != want || err != nil {
			t.Errorf("key %v: got seen %v %v, want %v", key[0], seen, err, want)
		}
	}
}

func TestEachSinkHasItsOwnTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, "fast", "slow")
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	for _, b := range []string{"a", "b", "c"} {
		stage(t, p, b)
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ack("fast", s.tail("fast")+3); err != nil {
		t.Fatal(err)
	}
	if err := s.ack("slow", s.tail("slow")+1); err != nil {
		t.Fatal(err)
	}
	if b := s.Backlog("fast"); b.Chunks != 0 {
		t.Errorf("fast waits for %d chunks", b.Chunks)
	}
	s.Close()

	s = openStore(t, dir)
	if got := outboxBodies(t, s, "slow"); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("slow: got %q, want b and c", got)
	}
	// A renamed output starts at the oldest event that is kept; the old name is forgotten.
	if err := s.outputs([]string{"fast", "renamed"}); err != nil {
		t.Fatal(err)
	}
	if got := outboxBodies(t, s, "renamed"); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("renamed: got %q, want b and c", got)
	}
	if err := s.ack("renamed", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if b := s.Backlog(""); b.Chunks != 0 || b.Bytes != 0 {
		t.Errorf("everything is acknowledged, but %+v is kept", b)
	}
	s.Close()
	s = openStore(t, dir)
	defer s.Close()
	if got := outboxBodies(t, s, "renamed"); got != nil {
		t.Errorf("after the last acknowledgement: got %q", got)
	}
}

func TestFullOutboxHoldsCommitsBack(t *testing.T) {
	t.Parallel()
	s, err := OpenStore("", 50)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.outputs([]string{"out"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := NewPull(ctx, testEnv(t, s), "in/1/svc")
	stage(t, p, "an empty outbox takes a commit of any size "+strings.Repeat("x", 100))
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	stage(t, p, "second")
	cancel()
	if err := p.Commit(); CodeOf(err, "") != CodeSink || !strings.Contains(err.Error(), "outbox is full") {
		t.Fatalf("commit into a full outbox: got %v", err)
	}
	p.ctx = t.Context()
	done := make(chan error)
	go func() { done <- p.Commit() }()
	if err := s.ack("out", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatalf("commit after the acknowledgement: %v", err)
	}
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, []string{"second"}) {
		t.Errorf("outbox: got %q", got)
	}
}

func TestForgetAndWipe(t *testing.T) {
	t.Parallel()
	s := openStore(t, "")
	defer s.Close()
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	hour := func(n int64) time.Time { return time.Unix(n*3600, 0) }
	see := func(n int64, want bool) {
		t.Helper()
		if got, err := p.Seen(hour(n), Key{byte(n)}); got != want || err != nil {
			t.Fatalf("hour %d: got seen %v %v, want %v", n, got, err, want)
		}
	}
	see(10, false)
	see(20, false)
	p.SetCursor("c", json.RawMessage("1"))
	p.Commit()
	p.ForgetBefore(hour(15))
	p.Commit()
	see(10, false)
	see(20, true)
	p.Wipe()
	p.SetCursor("d", json.RawMessage("2"))
	see(20, false)
	if _, ok, _ := p.Cursor("c"); ok {
		t.Error("a wiped cursor is still read")
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	all, err := s.Cursors()
	if err != nil || len(all["in/1/svc"]) != 1 || string(all["in/1/svc"]["d"]) != "2" {
		t.Errorf("cursors after wiping: %v %v", all, err)
	}
}

func TestKeysWithoutATimeAreKnownForDays(t *testing.T) {
	t.Parallel()
	s := openStore(t, "")
	defer s.Close()
	at := time.Date(2026, 5, 1, 23, 59, 0, 0, time.UTC)
	see := func(want bool) {
		t.Helper()
		p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
		p.started = at
		if got, err := p.Seen(time.Time{}, Key{7}); got != want || err != nil {
			t.Errorf("at %v: got seen %v %v, want %v", at, got, err, want)
		}
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	see(false)
	at = at.Add(2 * time.Minute)
	see(true)
	at = at.Add(6 * 24 * time.Hour)
	see(true)
	at = at.Add(3 * 24 * time.Hour)
	see(false)
	// What cannot be met any more takes no room.
	if days, err := s.seenHours("in/1/svc"); len(days) != 1 || err != nil {
		t.Errorf("%d days of keys are kept, want the present one; %v", len(days), err)
	}
}

func TestManyBucketsAreForgottenInOneGo(t *testing.T) {
	t.Parallel()
	s := openStore(t, "")
	defer s.Close()
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	const hours = 15_000 // two keys each are more than a transaction takes
	for h := range int64(hours) {
		p.staged.remember(h+1, Key{1})
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	for name, forget := range map[string]func(*Pull){"forget": func(p *Pull) { p.ForgetBefore(time.Unix((hours-10)*3600, 0)) }, "wipe": (*Pull).Wipe} {
		p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
		forget(p)
		if err := p.Commit(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if left, err := s.seenHours("in/1/svc"); len(left) != 0 || err != nil {
		t.Errorf("%d hours are left, %v", len(left), err)
	}
}

func TestDeletionThatFailedIsMadeGood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	s.outputs([]string{"out"})
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	for _, b := range []string{"a", "b", "c"} {
		stage(t, p, b)
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	// The acknowledgement of two is noted, and only the second is deleted.
	err := s.db.Update(func(txn *badger.Txn) error {
		return errors.Join(setTail(txn, "out", s.head-1), txn.Delete(chunkKey(s.head-2)))
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, dir)
	defer s.Close()
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("got %q, want c alone", got)
	}
	if b := s.Backlog(""); b.Chunks != 1 {
		t.Errorf("%d chunks are kept, want 1", b.Chunks)
	}
}

func TestOpenStoreSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := openStore(t, dir)
	if _, err := OpenStore(dir, 1); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("second open: got %v", err)
	}
	first.Close()

	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := OpenStore(filepath.Join(file, "state"), 1); err == nil || !strings.Contains(err.Error(), "writable") {
		t.Errorf("state below a file: got %v", err)
	}

	s := openStore(t, dir)
	s.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(keyVersion), []byte("99")) })
	s.Close()
	if _, err := OpenStore(dir, 1); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("newer format: got %v", err)
	}
}

func TestDamagedChunksAreNoticed(t *testing.T) {
	t.Parallel()
	w := chunkWriter{}
	for i := range 100 {
		w.add(testTable, time.UnixMilli(int64(i)), fmt.Appendf(nil, "event %d", i))
	}
	chunk := w.seal()
	stampChunk(chunk, time.Now(), trace.SpanContext{})
	if c, err := decodeChunk(chunk, &block{}); err != nil || len(c.events) != 100 || !c.events[7].Time.Equal(time.UnixMilli(7)) {
		t.Fatalf("undamaged: %d events, %v", len(c.events), err)
	}
	for i := range chunk {
		bad := bytes.Clone(chunk)
		bad[i] ^= 0x40
		if _, err := decodeChunk(bad, &block{}); err == nil {
			t.Fatalf("a flipped bit in byte %d of %d is not noticed", i, len(chunk))
		}
		if _, err := decodeChunk(chunk[:i], &block{}); err == nil {
			t.Fatalf("a chunk cut to %d of %d bytes is not noticed", i, len(chunk))
		}
	}
}

func TestStagedEventsAreOneLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                "plain",
		"tab\tstays":           "tab\tstays",
		"a\nb":                 "a b",
		"<14>forged\r\n<14>x":  "<14>forged  <14>x",
		"0123456\x00é\x1f日本\n": "0123456 é 日本 ",
	} {
		got := []byte(in)
		oneLine(got)
		if string(got) != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzChunk(f *testing.F) {
	w := chunkWriter{}
	w.add(testTable, time.Now(), []byte("x"))
	f.Add(w.seal())
	f.Fuzz(func(t *testing.T, chunk []byte) {
		if len(chunk) >= chunkHeader {
			chunk = bytes.Clone(chunk)
			chunk[0] = chunkVersion
			stampChunk(chunk, time.Now(), trace.SpanContext{}) // get past the checksum
			if n, err := s2.DecodedLen(chunk[chunkHeader:]); err == nil && n > 1<<20 {
				return // such a block is made room for, and only then found to be short
			}
		}
		c, err := decodeChunk(chunk, &block{})
		if err != nil && c.events != nil {
			t.Error("events and an error")
		}
	})
}

// Each start that the power is cut in can leave a log of 0 bytes, and each has a log of its own.
func TestStartsThatWereCutLeaveEmptyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	p := NewPull(t.Context(), testEnv(t, s), "in/1/a")
	stage(t, p, "kept")
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		for _, name := range []string{"%06d.vlog", "%05d.mem"} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf(name, 100+i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s = openStore(t, dir)
	defer s.Close()
	if got := outboxBodies(t, s, "out"); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("got %q, want what was committed", got)
	}
}

// Keys of hours that no commit has used for a while are not in memory any more, and are known all the same.
func TestRememberedKeysLeaveTheMemory(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir())
	defer s.Close()
	env := testEnv(t, s)
	hour := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ask := func(n int) bool {
		t.Helper()
		p := NewPull(t.Context(), env, "in/1/a")
		known, err := p.Seen(hour.Add(time.Duration(n)*time.Hour), Key{byte(n), 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		return known
	}
	for n := range 30 {
		if ask(n) {
			t.Fatalf("hour %d: known before it came", n)
		}
		if n > 0 && !ask(n-1) {
			t.Fatalf("hour %d: not known any more", n-1)
		}
	}
	if got := len(s.hours["in/1/a"].hours); got > cachedCommits+2 {
		t.Errorf("keys of %d hours are in memory, want those of the last commits", got)
	}
	for n := range 30 {
		if !ask(n) {
			t.Errorf("hour %d: not known any more", n)
		}
	}
}
