package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCutBodyKeepsToItsLimitAndToWholeCharacters(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a", "ä", "€", "😀", "a€"} {
		body := []byte(strings.Repeat(text, 1000))
		for limit := minCut; limit < minCut+20; limit++ {
			short := cutBody(body, limit)
			kept, mark, ok := bytes.Cut(short, []byte("...[cut: "))
			if len(short) > limit || len(short) < limit-8 || !utf8.Valid(short) || !ok {
				t.Fatalf("%q to %d bytes: got %d bytes, %q", text, limit, len(short), short)
			}
			if want := fmt.Sprintf("%d bytes]", len(body)-len(kept)); string(mark) != want || !bytes.HasPrefix(body, kept) {
				t.Fatalf("%q to %d bytes: got the mark %q, want %q", text, limit, mark, want)
			}
		}
		if string(body) != strings.Repeat(text, 1000) {
			t.Fatal("the body was changed")
		}
	}
	if cutBody(bytes.Repeat([]byte{0x80}, 200), 100) == nil || cutBody(make([]byte, 100), minCut-1) != nil {
		t.Error("bytes that are no text are cut too; less than minCut bytes are not worth it")
	}
}

// asideWorld is an Env over a store on disk.
func asideEnv(t *testing.T, limits Limits) (*Env, string) {
	t.Helper()
	w := newDeliveryWorld(t, "out")
	dir := t.TempDir()
	store, err := OpenStore(dir, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w.env.Store, w.env.Limits = store, limits.WithDefaults()
	return w.env, dir
}

func readAside(t *testing.T, dir string) (events []AsideEvent, paths []string) {
	t.Helper()
	files, err := ListAside(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		paths = append(paths, f.Path)
		data, err := os.ReadFile(f.Path)
		if err != nil || int64(len(data)) != f.Bytes {
			t.Fatalf("%s: %v, %d bytes of %d", f.Path, err, len(data), f.Bytes)
		}
		if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Path, info.Mode(), err)
		}
		for line := range bytes.Lines(data) {
			var e AsideEvent
			if err := json.Unmarshal(line, &e); err == nil {
				events = append(events, e)
			}
		}
	}
	return events, paths
}

func TestOversizedEvents(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 2000) + "<>\xff"
	at := time.Date(2026, 5, 1, 2, 3, 4, 0, time.UTC)
	stage := func(t *testing.T, how Oversized) (*Pull, string, error) {
		env, dir := asideEnv(t, Limits{EventBytes: 1024, Oversized: how})
		p := NewPull(t.Context(), env, "a/1/b")
		err := errors.Join(p.Stage(testTable, at, []byte("small")), p.Stage(testTable, at, []byte(large)), p.Stage(testTable, at, []byte("small too")))
		return p, dir, err
	}
	t.Run("cut", func(t *testing.T) {
		p, _, err := stage(t, Cut)
		if err != nil {
			t.Fatal(err)
		}
		events, err := p.Staged()
		if err != nil || len(events) != 3 || len(events[1].Body) > 1024 || len(events[1].Body) < 1020 || !strings.HasSuffix(string(events[1].Body), " bytes]") || p.Stats.Cut != 1 || p.Stats.Events != 3 {
			t.Errorf("got %d events, %v, stats %+v", len(events), err, p.Stats)
		}
	})
	t.Run("set aside", func(t *testing.T) {
		p, dir, err := stage(t, SetAside)
		if err != nil {
			t.Fatal(err)
		}
		if events, _ := readAside(t, dir); len(events) != 0 {
			t.Error("it was written before the commit")
		}
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		events, paths := readAside(t, dir)
		if len(events) != 1 || p.Stats.SetAside != 1 || p.Stats.Events != 2 {
			t.Fatalf("got %d events aside, stats %+v", len(events), p.Stats)
		}
		e := events[0]
		if string(e.BodyBase64) != large || e.Collector != "a/1/b" || e.Table != testTable.Tag || !e.Time.Equal(at) || e.Bytes != len(large) ||
			!strings.Contains(e.Reason, "event_bytes is 1024") || !strings.HasPrefix(filepath.Base(paths[0]), "pull-a-1-b-20") {
			t.Errorf("got %+v in %s", e, paths)
		}
	})
	t.Run("fail", func(t *testing.T) {
		p, _, err := stage(t, Fail)
		if CodeOf(err, "") != CodeTooLarge || p.Stats.Events != 2 {
			t.Errorf("got %v, stats %+v", err, p.Stats)
		}
	})
}

func TestSetAsideIsDurableBeforeTheCommit(t *testing.T) {
	t.Parallel()
	env, dir := asideEnv(t, Limits{EventBytes: 1024, Oversized: SetAside, AsideBytes: 4000})
	commit := func(body string) error {
		p := NewPull(t.Context(), env, "a/1/b")
		p.SetCursor("n", json.RawMessage(fmt.Sprintf("%q", body[:2])))
		return errors.Join(p.Stage(testTable, time.Time{}, []byte(body)), p.Commit())
	}
	if err := commit("1 " + strings.Repeat("x", 2000)); err != nil {
		t.Fatal(err)
	}
	// No room: the commit that would pass the event does not happen.
	err := commit("2 " + strings.Repeat("x", 2000))
	if CodeOf(err, "") != CodeTooLarge || !strings.Contains(err.Error(), "starling.limits.aside_bytes") {
		t.Fatalf("got %v", err)
	}
	if v, _, _ := env.Store.Cursor("a/1/b", "n"); string(v) != `"1 "` {
		t.Fatalf("the cursor passed an event that was not kept: %s", v)
	}
	// A crash in the middle of a line spoils no other line, and a person who moves files away makes room.
	_, paths := readAside(t, dir)
	if err := os.WriteFile(paths[0], []byte(`{"set_as`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := commit("3 " + strings.Repeat("x", 2000)); err != nil {
		t.Fatal(err)
	}
	if events, _ := readAside(t, dir); len(events) != 1 || events[0].Body[:2] != "3 " {
		t.Errorf("got %+v", events)
	}
}

func TestAsideNames(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	if got := asideName("pull-a/../é b", day); got != "pull-a-..-b-2026-05-01.jsonl" {
		t.Errorf("got %q", got)
	}
	long := strings.Repeat("a", 300)
	one, two := asideName(long+"1", day), asideName(long+"2", day)
	if len(one) > 255 || one == two {
		t.Errorf("got %q and %q", one, two)
	}
}
