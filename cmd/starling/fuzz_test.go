package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"
	"unicode/utf8"

	"starling/builtins"
	"starling/engine"
	"starling/scripts"
)

// bounded ends the process, and so makes a finding, when one input takes longer than any should.
// Stop the timer when it is done.
func bounded() *time.Timer {
	return time.AfterFunc(2*time.Minute, func() { panic("one input takes two minutes") })
}

// fuzzLimits end a script soon.
var fuzzLimits = engine.Limits{Steps: 20_000, LoadSteps: 20_000, ResponseBytes: 1 << 20, StagedBytes: 1 << 20}.WithDefaults()

// runTest runs the only test in a file of a library.
func runTest(t *testing.T, files fstest.MapFS, file string) error {
	t.Helper()
	l := &engine.Library{Builtin: files, Predeclared: builtins.All()}
	sources, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	err = l.Test(context.Background(), sources, file, fuzzLimits).Err()
	if err != nil && strings.Contains(err.Error(), "panic in") {
		t.Fatal(err)
	}
	return err
}

const fuzzedScriptTest = `
settings = {"tenant_id": "t", "client_id": "c", "client_secret": "s"}

def test_pull(t):
    t.http("GET", "", body = '{"value": [{"a": 1, "t": "2026-01-01T00:00:00Z"}], "next": "abc"}', times = 3)
    t.http("POST", "", json = {"access_token": "x", "expires_in": 60}, times = 3)
    t.cursor("n", 1)
    error = t.pull().error
    if error:
        fail(error)
`

var placedError = regexp.MustCompile(`(^|\n)(builtin:(x|lib/y)\.star:[0-9]+:[0-9]+|settings(:[0-9]+:[0-9]+)?): .`)

// FuzzScript: any text as a script, and as a file that it loads, is refused at a line and column of one
// of the two, or runs until it ends, fails or meets a limit.
func FuzzScript(f *testing.F) {
	for _, pattern := range []string{"../../scripts/*.star", "../../scripts/lib/*.star", "../../builtins/testdata/*.star"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no scripts %s (%v)", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text), "x = 1")
		}
	}
	for _, text := range []string{
		"", "def pull(): pass", "def pull():\n  [0 for a in range(1000000) for b in range(1000000)]", "load('lib/y.star', 'x')\ndef pull(): x()",
		"load('x.star', 'pull')", "pull = lambda: 1 // 0", "def pull(): print('\\x00\\n' * 9)", "x = [1] * 3\nx[x[0]] = x\ndef pull(): checkpoint.set('n', x)",
		"def pull():\n  x = {}\n  x['x'] = x\n  json.encode(x)", "def pull(): return 1 << 500", "api = http.client('https://h')\ndef pull():\n  for p in api.pages('/', next = 'next'): log.info(p['value'])",
		"m = devo.table('a.b', fields.map({'x': field('a').apply(lambda v: v / 0)}))\ndef pull(): devo.send(m, [{'a': 1}, {}, None])", "def pull(): time.parse('%', '%')\n\x00",
		"def pull():\n  for w in checkpoint.windows('1h'): checkpoint.commit(w)", "\xef\xbb\xbfdef pull(): pass\r\n", "x = re.compile('(a*)*$').search('a' * 99)\ndef pull(): hash.sha256(x)",
	} {
		f.Add(text, "def x(): pull()")
	}
	f.Fuzz(func(t *testing.T, text, loaded string) {
		defer bounded().Stop()
		files := fstest.MapFS{"x.star": {Data: []byte(text)}, "lib/y.star": {Data: []byte(loaded)}, "x_test.star": {Data: []byte(fuzzedScriptTest)}}
		l := &engine.Library{Builtin: files, Predeclared: builtins.All()}
		sources, err := l.Read()
		if err != nil {
			t.Fatal(err)
		}
		env := &engine.Env{Logger: slog.New(slog.DiscardHandler), Telemetry: engine.NewTelemetry(nil, nil), Shared: &engine.Shared{}, Redactor: &engine.Redactor{}, Limits: fuzzLimits}
		_, err = l.Load(sources, "x.star", &engine.Load{Settings: engine.NewSettings(nil), Env: env, Collector: "in/1/x"})
		if err != nil && (strings.Contains(err.Error(), "panic in") || !placedError.MatchString(err.Error())) {
			t.Fatalf("no place in it: %v", err)
		}
		if err != nil {
			return
		}
		_ = runTest(t, files, "x_test.star")
	})
}

const fuzzedPullTest = `
settings = {"tenant_id": "contoso.example", "client_id": "c", "client_secret": "hidden-from-all", "max_historic_date_cutoff_days_back": 2, "window_in_seconds": 86400}

def test_pages(t):
    t.clock("2026-11-21T02:00:00Z")
    t.http("POST", "/oauth2/token", file = "testdata/token.json", times = -1)
    t.http("GET", "/MessageTrace?$filter=", file = "testdata/first.json")
    t.http("GET", "/", file = "testdata/second.json", times = -1)
    got = t.pull()
    for e in got.events:
        json.decode(e.raw)
        if e.tag != "cloud.office365.messagetracing" or "\n" in e.raw:
            fail("FORGED " + repr(e.raw))
    if "hidden-from-all" in repr(got.error):
        fail("SHOWN")
    if got.error == None and got.cursors["window"] != "2026-11-20T01:00:00Z":
        fail("UNFINISHED")
    if got.error != None and got.code not in ["script", "auth", "throttled", "upstream", "too_large"]:
        fail("CODE " + got.code)
`

// FuzzMessageTrace pulls with the built-in script whatever two pages and a token answer hold: events are
// JSON of one line for Devo's table, and a pull that went well has moved its window on.
func FuzzMessageTrace(f *testing.F) {
	const script = "office365_exchange_message_service.star"
	files := fstest.MapFS{}
	for _, name := range []string{script, "lib/message_trace.star"} {
		text, err := fs.ReadFile(scripts.FS(), name)
		if err != nil {
			f.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	files[strings.TrimSuffix(script, ".star")+"_test.star"] = &fstest.MapFile{Data: []byte(fuzzedPullTest)}
	payloads, err := fs.Glob(scripts.FS(), "testdata/microsoft/*/*.json")
	if err != nil || len(payloads) == 0 {
		f.Fatalf("no payloads (%v)", err)
	}
	token := []byte(`{"token_type":"Bearer","expires_in":"3599","access_token":"eyJ"}`)
	for _, name := range payloads {
		text, err := fs.ReadFile(scripts.FS(), name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token, text, text)
		f.Add(text, []byte(`{"value":[]}`), text)
	}
	f.Fuzz(func(t *testing.T, token, first, second []byte) {
		defer bounded().Stop()
		with := maps.Clone(files)
		for name, text := range map[string][]byte{"token": token, "first": first, "second": second} {
			with["testdata/"+name+".json"] = &fstest.MapFile{Data: text}
		}
		err := runTest(t, with, strings.TrimSuffix(script, ".star")+"_test.star")
		if err != nil && regexp.MustCompile(`fail: (FORGED|SHOWN|UNFINISHED|CODE)`).MatchString(err.Error()) {
			t.Fatal(err)
		}
	})
}

// FuzzStatusRequest: whatever is asked of the status server, it answers with a status and a body that
// are right for that path, and changes nothing.
func FuzzStatusRequest(f *testing.F) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "HEAD /readyz HTTP/1.0\r\n\r\n", "POST /status HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc",
		"GET //status/../healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET /%2e%2e/status?x=%zz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"CONNECT a:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET http://h/readyz HTTP/1.1\r\nHost: \x00\r\n\r\n",
	} {
		f.Add([]byte(text), "collector failed: \n\x00\xff")
	}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, "# metrics\n") })
	f.Fuzz(func(t *testing.T, request []byte, failure string) {
		defer bounded().Stop()
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil {
			return
		}
		status := engine.Status{Name: failure, Collectors: []engine.CollectorStatus{{State: "failing", LastError: failure}}}
		server := &statusServer{local: true}
		server.use(&engine.Config{})
		handler := server.guard(statusHandler(context.Background(), func() engine.Status { return status }, metrics, nil))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		got := w.Result()
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]int{200, 301, 307, 400, 401, 404, 405, 413, 503}, got.StatusCode) || got.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Fatalf("%q: %d %v", request, got.StatusCode, got.Header)
		}
		if got.StatusCode == http.StatusOK && r.Method != http.MethodGet && r.Method != http.MethodHead {
			t.Fatalf("%q is answered", request)
		}
		if got.Header.Get("Content-Type") == "application/json" && !json.Valid(body) {
			t.Fatalf("not JSON: %s", body)
		}
		for _, values := range got.Header {
			for _, v := range values {
				if strings.ContainsFunc(v, unicode.IsControl) {
					t.Fatalf("%q in a header of the answer", v)
				}
			}
		}
	})
}

// FuzzLog: whatever is logged, one record is one line; in text, what has several lines goes below it,
// and each of those is marked, so that nothing can pass for a record.
func FuzzLog(f *testing.F) {
	f.Add("message", "key", "value")
	f.Add("a\nlevel=ERROR msg=forged", "at=\n", "x\r\ntime=2026-01-01T00:00:00.000Z level=INFO msg=forged\nb")
	f.Add("\x1b[2K", "", "\xff\u2028\u0085")
	f.Add("x", "y", "first\n\x1b[2K\u009b2K\xff")
	f.Fuzz(func(t *testing.T, message, key, value string) {
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			log := slog.New(newHandler(&out, format, slog.LevelInfo, &engine.Redactor{}))
			log.Info(message, key, value, "error", errors.New(value))
			text := out.String()
			first, below, _ := strings.Cut(text, "\n")
			if format == "json" && (below != "" || !json.Valid([]byte(first))) {
				t.Fatalf("not one line of JSON: %q", text)
			}
			for line := range strings.Lines(below) {
				if !strings.HasPrefix(line, "    | ") {
					t.Fatalf("a line that passes for a record: %q in %q", line, text)
				}
			}
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return isObeyed(r) && !(format == "json" && r >= 0x80) }) {
				t.Fatalf("control characters: %q", text)
			}
		}
	})
}

// isObeyed reports whether a terminal may do something else than show r or pass over it.
func isObeyed(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != 0x7f }
