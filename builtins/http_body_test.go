package builtins

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"starling/engine"
)

func zipped(t testing.TB, texts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, text := range texts { // each is a member
		w := gzip.NewWriter(&b)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// bodyOf makes an answer whose length is said or not.
func bodyOf(body []byte, encoding string, said bool) *http.Response {
	resp := &http.Response{Header: http.Header{"Content-Encoding": {encoding}}, ContentLength: -1, Body: io.NopCloser(bytes.NewReader(body))}
	if said {
		resp.ContentLength = int64(len(body))
	}
	return resp
}

func TestBodiesAreReadWholeAndUpToTheLimit(t *testing.T) {
	t.Parallel()
	text := randomText(30_000)
	b, last := new(bodies), new(lastSize)
	for range 2 { // the second time it is known how long they are
		for _, said := range []bool{true, false} {
			for _, c := range []struct {
				body []byte
				as   string
				want string
			}{
				{[]byte(text), "", text},
				{nil, "", ""},
				{nil, "gzip", ""},
				{zipped(t, text), "gzip", text},
				{zipped(t, text[:1000], text[1000:20_000], text[20_000:]), "gzip", text},
				{zipped(t, text, ""), "gzip", text},
				{zipped(t, "", text), "x-gzip", text},
			} {
				for _, limit := range []int64{1 << 40, 30_000, 29_999} {
					got, err := b.read(bodyOf(c.body, c.as, said), limit, last)
					if e, ok := errors.AsType[*engine.Error](err); int64(len(c.want)) > limit {
						if !ok || e.Code != engine.CodeTooLarge || !strings.Contains(e.Error(), fmt.Sprintf("longer than %d bytes", limit)) {
							t.Errorf("%q, length said: %v, limit %d: got %d bytes, %v", c.as, said, limit, len(got), err)
						}
					} else if err != nil || string(got) != c.want {
						t.Errorf("%q, length said: %v, limit %d: got %d bytes, %v", c.as, said, limit, len(got), err)
					}
				}
			}
		}
	}
}

// TestUnzippingIsBounded: a body that says less, or more, than it holds gets no more room than its size is worth.
func TestUnzippingIsBounded(t *testing.T) {
	bomb := zipped(t, strings.Repeat("a", 8<<20))
	_, err := new(bodies).read(bodyOf(bomb, "gzip", true), 1<<40, nil)
	if e, ok := errors.AsType[*engine.Error](err); !ok || e.Code != engine.CodeTooLarge || !strings.Contains(e.Error(), "no honest answer") {
		t.Errorf("got %v", err)
	}
	small := zipped(t, "hello")
	copy(small[len(small)-4:], []byte{0xff, 0xff, 0xff, 0x7f})
	if got := allocatedBy(func() {
		if _, err := new(bodies).read(bodyOf(small, "gzip", true), 1<<40, nil); err == nil {
			t.Error("a length that is wrong is no error")
		}
	}); got > 4<<20 {
		t.Errorf("a few bytes that say that they are 2 GiB got room for %d", got)
	}
}

// allocatedBy is how many bytes f allocates, when no test runs beside it.
func allocatedBy(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestBodiesAreNotWrittenToAgain: what a body is read with is used for the next; the body is not.
func TestBodiesAreNotWrittenToAgain(t *testing.T) {
	t.Parallel()
	b, last := new(bodies), new(lastSize)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			var texts []string
			var got [][]byte
			for n := range 20 {
				text := strings.Repeat(fmt.Sprint(i, n, " "), 1000*(n%3+1))
				body, as := []byte(text), ""
				if n%2 == 0 {
					body, as = zipped(t, text), "gzip"
				}
				read, err := b.read(bodyOf(body, as, n%5 == 0), 1<<20, last)
				if err != nil {
					t.Error(err)
				}
				texts, got = append(texts, text), append(got, read)
			}
			for n := range got {
				if string(got[n]) != texts[n] {
					t.Errorf("body %d of %d has changed", n, i)
				}
			}
		})
	}
	wg.Wait()
}

// TestBodiesOfOneLengthAreNotCopied: room is made once for a page that is as long as the one before, and a short
// body does not keep the room of a long one.
func TestBodiesOfOneLengthAreNotCopied(t *testing.T) {
	const size = 1 << 20
	page := []byte(strings.Repeat(randomText(1<<10), size>>10))
	for name, c := range map[string]struct {
		body []byte
		as   string
		said bool
		most float64 // of the size
	}{
		"length said":     {page, "", true, 1.1},
		"length not said": {page, "", false, 1.25},
		"gzip":            {zipped(t, string(page)), "gzip", false, 1.1},
	} {
		b, last := new(bodies), new(lastSize)
		read := func() {
			if _, err := b.read(bodyOf(c.body, c.as, c.said), 32<<20, last); err != nil {
				t.Fatal(err)
			}
		}
		read()
		if got := float64(allocatedBy(func() { read(); read() })) / 2 / size; got > c.most {
			t.Errorf("%s: a page of %d bytes allocates %.2f times that", name, size, got)
		}
	}
	last := new(lastSize)
	last.note(size)
	short, err := new(bodies).read(bodyOf([]byte("short"), "", false), 32<<20, last)
	if err != nil || cap(short) > 100 {
		t.Errorf("5 bytes keep %d (%v)", cap(short), err)
	}
}

// TestConnectionsAreKept: every kind of answer leaves a connection that can be used again.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	n := bareNetTest(t)
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := []byte(`{"a": "` + strings.Repeat("x", 100_000) + `"}`)
		switch r.URL.Path {
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			body = zipped(t, string(body))
		case "/failure":
			w.WriteHeader(http.StatusNotFound)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
			return
		case "/length":
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.Write(body)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	n.base = server.URL
	n.env.Transport = &http.Transport{DisableCompression: true}
	v, err := n.pullOnce(t, `base`, `return [api.get(p, ok = [404]).status for p in ["/gzip", "/length", "/chunked", "/failure", "/empty"] * 3]`)
	wantValue(t, v, err, "["+strings.TrimSuffix(strings.Repeat("200, 200, 200, 404, 204, ", 3), ", ")+"]")
	if got := connections.Load(); got != 1 {
		t.Errorf("got %d connections for requests that follow each other, want 1", got)
	}
}
