package builtins

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"starling/engine"
)

// reset ends the connection as a crashed server does.
func reset(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

// lasting are failures that sending again does not cure, and what a script that catches them sees.
var lasting = []struct {
	name   string
	answer func(w http.ResponseWriter)
	status string
	want   string // in .error
	sent   int
}{
	{"wrong query", func(w http.ResponseWriter) {
		w.WriteHeader(400)
		io.WriteString(w, `{"error":{"code":"BadRequest","message":"Invalid StartDate value. The StartDate can't be older than 90 days from today."}}`)
	}, "400", "400 Bad Request: BadRequest: Invalid StartDate value.", 1},
	{"gone", func(w http.ResponseWriter) { w.WriteHeader(410) }, "410", "410 Gone", 1},
	{"trouble of the service", func(w http.ResponseWriter) { w.WriteHeader(500) }, "500", "500 Internal Server Error", 4},
	{"bad gateway", func(w http.ResponseWriter) { w.WriteHeader(502) }, "502", "502 Bad Gateway", 4},
	{"unavailable", func(w http.ResponseWriter) { w.WriteHeader(503) }, "503", "503 Service Unavailable", 4},
	{"timed out behind", func(w http.ResponseWriter) { w.WriteHeader(504) }, "504", "504 Gateway Timeout", 4},
	{"a page of a proxy", func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html><title>Sign in</title></html>")
	}, "200", "want JSON, got text/html", 4},
	{"half of the JSON", func(w http.ResponseWriter) { io.WriteString(w, `{"value":[{"a":1},`) }, "200", "want JSON", 4},
	{"nothing", func(w http.ResponseWriter) {}, "200", "want JSON", 4},
	{"a short body", func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"value":[]}`)
	}, "0", "body broke off after 12 bytes", 4},
	{"a compressed body that ends early", func(w http.ResponseWriter) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(gzipped(`{"value":[]}`)[:20])
	}, "0", "broke off", 4},
	{"a compressed body with a wrong checksum", func(w http.ResponseWriter) {
		w.Header().Set("Content-Encoding", "gzip")
		body := gzipped(`{"value":[]}`)
		body[len(body)-6] ^= 1
		w.Write(body)
	}, "0", "checksum", 4},
	{"a compressed body that is whole, of an answer that is not", func(w http.ResponseWriter) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", "1000")
		w.Write(gzipped(`{"value":[]}`))
	}, "0", "broke off", 4},
	{"a reset", reset, "0", "reset", 4},
	{"more than is read", func(w http.ResponseWriter) { io.WriteString(w, `{"value":"`+strings.Repeat("x", 4096)+`"}`) }, "0", "longer than 4096 bytes", 1},
}

func TestLastingFailuresAreGivenToTheScript(t *testing.T) {
	t.Parallel()
	for _, c := range lasting {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) { c.answer(w) })
			n.env.Limits.ResponseBytes = 4096
			client := `base, retry = http.retry(3, backoff = 0.001)`
			v, err := n.pullOnce(t, client, `
for page in api.pages("/x", next = "n", catch = True):
    return [page.status, page.error]`)
			want := "[" + c.status + ", \"GET " + n.base + "/x: "
			if err != nil || !strings.HasPrefix(v.String(), want) || !strings.Contains(v.String(), c.want) {
				t.Errorf("got %v, %v, want %q and then %q", v, err, want, c.want)
			}
			if got := len(n.requests()); got != c.sent {
				t.Errorf("got %d requests, want %d", got, c.sent)
			}
			// A script that does not look fails as it would have without catch.
			_, err = n.pullOnce(t, client, `return [p["value"] for p in api.pages("/x", next = "n", catch = True)]`)
			code := engine.CodeUpstream
			if c.sent == 1 && c.status == "0" {
				code = engine.CodeTooLarge
			}
			wantError(t, err, code, c.want)
			_, err = n.pullOnce(t, client, `return [p.raise_error() for p in api.pages("/x", next = "n", catch = True)]`)
			wantError(t, err, code, c.want)
		})
	}
}

func TestACaughtFailureIsTheLastPage(t *testing.T) {
	t.Parallel()
	pages := 0
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		if pages++; pages == 2 {
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprintf(w, `{"n": "?page=%d", "text": "older than"}`, pages)
	})
	v, err := n.pullOnce(t, `base`, `return [(p.status, p.error == None, "older than" in p.text) for p in api.pages("/", next = "n", catch = True)]`)
	wantValue(t, v, err, `[(200, True, True), (400, False, True)]`)
	pages = 2
	v, err = n.pullOnce(t, `base`, `return [(p.status, p.error) for p in api.pages("/", next = "n", catch = True, max_pages = 1)]`)
	if err != nil || !strings.Contains(v.String(), `(200, None), (0, "GET`) || !strings.Contains(v.String(), "more than 1 pages") {
		t.Errorf("got %v, %v", v, err)
	}
	v, err = n.pullOnce(t, `base`, `r = api.get("/", catch = True)
return [r.error, r.raise_error(), r["text"]]`)
	wantValue(t, v, err, `[None, None, "older than"]`)
}

// What a person must act on, and what must not be answered by asking for less, is never caught.
func TestWhatNoScriptCanCureIsNotCaught(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		header string
		code   engine.Code
	}{
		{401, "", engine.CodeAuth},
		{403, "", engine.CodeAuth},
		{404, "", engine.CodeConfig},
		{410, "", engine.CodeConfig},
		{429, "", engine.CodeThrottled},
		{503, "600", engine.CodeThrottled},
		{500, "600", engine.CodeThrottled},
	} {
		n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
			if c.header != "" {
				w.Header().Set("Retry-After", c.header)
			}
			w.WriteHeader(c.status)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // less than any pause
		_, err := n.load(t, "api = http.client(base, hints = {404: 'it is elsewhere', 410: 'it was retired'})\ndef pull():\n    return api.get('/', catch = True)").pull(ctx)
		cancel()
		wantError(t, err, c.code, fmt.Sprint(c.status))
	}
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"n": "https://elsewhere.example.com/"}`)
	})
	_, err := n.pullOnce(t, `base`, `return [p for p in api.pages("/", next = "n", catch = True)]`)
	wantError(t, err, engine.CodeUpstream, "elsewhere.example.com")
	n.serve(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"n": "/"}`) })
	_, err = n.pullOnce(t, `base`, `return [p for p in api.pages("/", next = "n", catch = True)]`)
	wantError(t, err, engine.CodeUpstream, "circle")
}

func TestHintsFitTheTextOrTheStatus(t *testing.T) {
	t.Parallel()
	body := ""
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, body)
	})
	client := `base, hints = {"No Permission to access": "give the role", "other": "no", 403: "ask an administrator"}`
	for text, want := range map[string]string{
		`{"ErrorCode":"","Message":"No permission to access the report for the organization ."}`: "(give the role)",
		`{"error":{"code":"Authorization_RequestDenied"}}`:                                       "(ask an administrator)",
	} {
		body = text
		_, err := n.pullOnce(t, client, `return api.get("/")`)
		wantError(t, err, engine.CodeAuth, want)
	}
	for _, bad := range []string{`{"": "x"}`, `{200: "x"}`, `{"a": 1}`, `{None: "x"}`} {
		if _, err := n.tryLoad("http.client(base, hints = " + bad + ")"); err == nil || !strings.Contains(err.Error(), "hints: got") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}
