package engine

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dgraph-io/badger/v4"
	"go.opentelemetry.io/otel/trace"
)

// bounded ends the process, and so makes a finding, when one input takes longer than any should.
// Stop the timer when it is done.
func bounded() *time.Timer {
	return time.AfterFunc(2*time.Minute, func() { panic("one input takes two minutes") })
}

// FuzzExpand: a text with its dollar signs doubled expands to itself, any text expands or is a problem
// with a place, and what a variable holds is not expanded again.
func FuzzExpand(f *testing.F) {
	for _, text := range []string{"${A}", "$$", "x${A}y${B:-z}", "${A", "${file:}", "${B:-${A}}", "${A:-}}", "<name>", "$", "${C_SECRET}", "${}"} {
		f.Add(text, "value", true)
		f.Add(text, "${A}$$", false)
	}
	f.Fuzz(func(t *testing.T, text, value string, plain bool) {
		if strings.Contains(text, "file:") {
			return // files of this machine are none of the fuzzer's business
		}
		expand := func(text string) (*node, *expander) {
			x := &expander{problems: &problems{file: "c.yaml"}, env: func(name string) (string, bool) {
				return value, strings.HasPrefix(name, "A") || strings.HasPrefix(name, "C")
			}}
			n := &node{kind: scalarNode, text: text, value: text, plain: plain, line: 3, col: 5}
			x.expand(n, "a.b", "b")
			return n, x
		}
		escaped := strings.ReplaceAll(text, "$", "$$")
		if n, x := expand(escaped); !placeholder.MatchString(text) && (n.text != text || x.problems.err() != nil) {
			t.Fatalf("%q became %q (%v)", escaped, n.text, x.problems.err())
		}
		if n, _ := expand("${A}"); value != "" && n.text != value {
			t.Fatalf("${A} became %q, want %q", n.text, value)
		}
		_, x := expand(text)
		err := x.problems.err()
		if err == nil {
			return
		}
		if !strings.HasPrefix(err.Error(), "c.yaml:3:5: a.b: ") {
			t.Fatalf("no place: %v", err)
		}
		if len(value) > 8 && !strings.Contains(text, value) && strings.Contains(err.Error(), value) {
			t.Fatalf("the value is in the error: %v", err)
		}
	})
}

// FuzzEvents: what a chunk is made of comes out of it again, as one line each.
func FuzzEvents(f *testing.F) {
	f.Add("my.app.test", "host", 14, int64(1_700_000_000_000), []byte("one"), []byte("two\n<14>forged\x00"))
	f.Add("", "", 0, int64(-1), []byte(nil), []byte("\xff\t"))
	f.Fuzz(func(t *testing.T, tag, host string, priority int, ms int64, first, second []byte) {
		if priority < 0 || ms > 1<<60 || ms < -1<<60 {
			return
		}
		tables := []*Table{{Tag: tag, Host: host, Priority: priority}, {Tag: "other", Priority: 1}}
		var st staging
		for _, e := range []Event{{tables[0], time.UnixMilli(ms), first}, {tables[1], time.Time{}, second}, {tables[0], time.UnixMilli(ms), second}} {
			if err := st.add(e.Table, e.Time, e.Body, false, 1<<30); err != nil {
				t.Fatal(err)
			}
		}
		sealed := st.writer.seal()
		committed := time.UnixMilli(1_700_000_000_123).UTC()
		stampChunk(sealed, committed, trace.SpanContext{})
		c, err := decodeChunk(sealed, &block{})
		if err != nil || len(c.events) != 3 || !c.committed.Equal(committed) {
			t.Fatalf("%d events, %v, %v", len(c.events), c.committed, err)
		}
		for i, want := range []Event{{tables[0], time.UnixMilli(ms), first}, {tables[1], time.Time{}, second}, {tables[0], time.UnixMilli(ms), second}} {
			got := c.events[i]
			if *got.Table != *want.Table || !got.Time.Equal(want.Time) || len(got.Body) != len(want.Body) {
				t.Fatalf("event %d: got %+v, want %+v", i, got, want)
			}
			for j, b := range got.Body {
				if b != want.Body[j] && (want.Body[j] >= ' ' || b != ' ') || b < ' ' && b != '\t' {
					t.Fatalf("event %d: got %q of %q", i, got.Body, want.Body)
				}
			}
		}
		for at := range sealed { // one flipped bit is always found
			damaged := bytes.Clone(sealed)
			damaged[at] ^= 1 << (at % 8)
			if _, err := decodeChunk(damaged, &block{}); err == nil {
				t.Fatalf("a flipped bit in byte %d was not found", at)
			}
			if at > 200 {
				break
			}
		}
	})
}

// FuzzStore: whatever stands under the keys of a store, it is refused with words, or it opens, its
// outputs stand inside the outbox, and all can be read or said to be damaged.
func FuzzStore(f *testing.F) {
	var w chunkWriter
	w.add(testTable, time.Unix(1_700_000_000, 0), []byte("x"))
	good := w.seal()
	stampChunk(good, time.Unix(1_700_000_000, 0), trace.SpanContext{})
	n := func(head, block byte) []byte { return []byte{7: head, 15: block} }
	f.Add([]byte("1"), n(1, 1), "out", []byte{7: 0}, []byte{7: 0}, good, "in/1/svc\x00window", []byte(`"2026-01-01T00:00:00Z"`), []byte{15: 0}, make([]byte, 32))
	f.Add([]byte("1"), n(2, 1), "out", []byte{7: 1}, []byte{7: 1}, good[:20], "c", []byte(`{`), []byte("x"), make([]byte, 17))
	f.Add([]byte("2"), []byte("short"), "", []byte{1}, []byte{1}, []byte{}, "", []byte(nil), []byte{}, []byte{})
	f.Add([]byte("1"), n(1, 0), "out", []byte{0: 9, 7: 9}, []byte{7: 0}, good, "a\x00b\x00c", []byte("\xff"), []byte{0: 0x80, 15: 1}, []byte{1})

	db, err := openBadger("")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	f.Fuzz(func(t *testing.T, version, head []byte, sink string, tail, id, chunk []byte, cursor string, value, seen, block []byte) {
		defer bounded().Stop()
		if len(sink)+len(cursor)+len(id)+len(seen) > 1000 {
			return // longer than Badger takes
		}
		s := &Store{db: db, policy: policy{bytes: 1 << 20}, drops: map[string]Dropped{}, turn: make(chan struct{}, 1), closed: make(chan struct{}), tails: map[string]uint64{},
			changed: make(chan struct{}), hours: map[string]*keyCache{}}
		defer empty(t, db)
		if err := s.write(func(w *badger.WriteBatch) error {
			for key, v := range map[string][]byte{keyVersion: version, keyHead: head, prefTail + sink: tail, prefDrop + sink: tail, prefChunk + string(id): chunk,
				prefCursor + cursor: value, prefSeen + "c\x00" + string(seen): nil, prefBlock + string(seen[min(8, len(seen)):]): block} {
				if err := w.Set([]byte(key), v); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.load(); err != nil {
			if len(err.Error()) < 30 || !utf8.ValidString(err.Error()) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("does not say what is wrong: %q", err)
			}
			return
		}
		if len(head) != 16 && len(head) != 0 {
			t.Fatalf("opened with the head %q", head)
		}
		for name, at := range s.tails {
			if at > s.head {
				t.Fatalf("output %q stands at %d of %d: it would pass over events", name, at, s.head)
			}
		}
		if _, err := s.Cursors(); err != nil {
			t.Fatal(err)
		}
		b := s.Backlog("")
		if _, err := json.Marshal(backlogStatus(b, time.Now())); err != nil {
			t.Fatal(err)
		}
		for at := s.first; at < s.head && at < s.first+3; at++ {
			if c, _, err := s.chunk(at); err == nil && c.events == nil {
				t.Fatalf("chunk %d of %d is not there, and no error", at, s.head)
			}
		}
		if hours, err := s.seenHours("c"); err == nil {
			for _, hour := range hours {
				s.seen("c", hour)
			}
		}
		if err := s.outputs([]string{"out"}); err != nil {
			t.Fatal(err)
		}
	})
}

// empty deletes everything in db.
func empty(t *testing.T, db *badger.DB) {
	var keys [][]byte
	err := db.View(func(txn *badger.Txn) error {
		return scan(txn, "", false, func(_ string, item *badger.Item) error {
			keys = append(keys, item.KeyCopy(nil))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	w := db.NewWriteBatch()
	defer w.Cancel()
	for _, key := range keys {
		if err := w.Delete(key); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}
