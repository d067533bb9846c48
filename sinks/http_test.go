package sinks

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// collector is a receiver of HTTP. It keeps the lines of what it answers with 200.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	answer  func(w http.ResponseWriter, r *http.Request, lines []string) bool // nil: take it
	lines   []string
	paths   []string
	headers []http.Header
}

func newCollector(t testing.TB, secure bool) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(c.serve))
	c.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		c.StartTLS()
	} else {
		c.Start()
	}
	t.Cleanup(func() {
		c.CloseClientConnections()
		c.Close()
	})
	return c
}

func (c *collector) serve(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		zip, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
			return
		}
		body = zip
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	c.mu.Lock()
	answer := c.answer
	c.headers = append(c.headers, r.Header.Clone())
	c.paths = append(c.paths, r.Method+" "+r.URL.EscapedPath())
	c.mu.Unlock()
	if answer != nil && !answer(w, r, lines) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, lines...)
}

func (c *collector) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}

func (c *collector) set(answer func(http.ResponseWriter, *http.Request, []string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

func status(code int) func(http.ResponseWriter, *http.Request, []string) bool {
	return func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
		http.Error(w, "no, because", code)
		return false
	}
}

func openHTTP(t testing.TB, c *collector, more map[string]any) *posts {
	t.Helper()
	values := map[string]any{"url": c.URL + "/ingest", "format": "body"}
	maps.Copy(values, more)
	return open(t, "http", "", values).(*posts)
}

func TestHTTPKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	for _, zip := range []bool{false, true} {
		t.Run(fmt.Sprintf("gzip=%v", zip), func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				c := newCollector(t, false)
				return sinktest.Fixture{Sink: openHTTP(t, c, map[string]any{"gzip": zip, "max_request_bytes": "64KiB"}), Bodies: c.got,
					Break: func() { c.set(status(500)) }, Mend: func() { c.set(nil) },
					Stall: func() {
						c.set(func(_ http.ResponseWriter, r *http.Request, _ []string) bool {
							<-r.Context().Done()
							return false
						})
					}}
			})
		})
	}
}

func TestHTTPAnswersThatAcknowledgeNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code    int
		header  string // Retry-After, or Location
		refused bool
		wait    time.Duration
		want    string
	}{
		{code: 301, header: "https://elsewhere.example/x?token=y", want: "301 Moved Permanently to https://elsewhere.example: "},
		{code: 307, header: "https://elsewhere.example/x", want: "redirects are not followed"},
		{code: 400, refused: true, want: `the receiver answered 400 Bad Request: "no, because\n"`},
		{code: 401, want: "check the token"},
		{code: 403, want: "check the token"},
		{code: 404, want: "check url"},
		{code: 413, refused: true, want: "413"},
		{code: 422, refused: true, want: "422"},
		{code: 429, header: "17", wait: 17 * time.Second, want: "429 Too Many Requests"},
		{code: 429, header: "-3", want: "429"},
		{code: 429, header: "99999999999", wait: maxRetryAfter, want: "429"},
		{code: 500, want: "500"},
		{code: 503, header: "86400", wait: maxRetryAfter, want: "503"},
		{code: 503, header: "soon", want: "503"},
	} {
		t.Run(fmt.Sprint(c.code, c.header), func(t *testing.T) {
			t.Parallel()
			server := newCollector(t, false)
			server.set(func(w http.ResponseWriter, r *http.Request, lines []string) bool {
				w.Header().Set("Retry-After", c.header)
				if c.code < 400 {
					w.Header().Set("Location", c.header)
				}
				return status(c.code)(w, r, lines)
			})
			sink := openHTTP(t, server, nil)
			err := offer(t.Context(), sink, sinktest.Events(0, 1))
			e, ok := errors.AsType[*engine.Error](err)
			if !ok || e.Code != engine.CodeSink || e.Wait != c.wait || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v (%+v), want %q and a wait of %s", err, e, c.want, c.wait)
			}
			if r, ok := errors.AsType[*engine.Refused](err); ok != c.refused || ok && r.Index != 0 {
				t.Errorf("got refused %v, want %v", r, c.refused)
			}
		})
	}
}

func TestHTTPNamesTheEventThatIsTooLarge(t *testing.T) {
	t.Parallel()
	server := newCollector(t, false)
	tooLarge := 0
	server.set(func(w http.ResponseWriter, r *http.Request, lines []string) bool {
		if size := len(strings.Join(lines, "\n")); size > 3000 {
			tooLarge++ // requests come one after the other
			return status(413)(w, r, lines)
		}
		return true
	})
	sink := openHTTP(t, server, nil)
	events := sinktest.Events(0, 300) // far more than fits into one request
	if err := offer(t.Context(), sink, events); err != nil {
		t.Fatal(err)
	}
	if got := server.got(); len(got) != len(events) || got[299] != string(events[299].Body) {
		t.Errorf("got %d events, want %d in order", len(got), len(events))
	}
	if tooLarge == 0 {
		t.Error("no request was too large")
	}
	tooLarge = 0
	if err := offer(t.Context(), sink, events); err != nil {
		t.Fatal(err)
	}
	if tooLarge > 0 {
		t.Errorf("%d requests were too large again: nothing was learnt", tooLarge)
	}
	events[123].Body = []byte(strings.Repeat("x", 5000))
	err := offer(t.Context(), sink, events)
	if r, ok := errors.AsType[*engine.Refused](err); !ok || r.Index != 123 {
		t.Errorf("got %v, want event 123 refused", err)
	}
	events[123].Body = []byte("{}")
	server.set(func(w http.ResponseWriter, r *http.Request, lines []string) bool {
		return len(lines) == 1 || status(400)(w, r, lines)
	})
	if r, ok := errors.AsType[*engine.Refused](offer(t.Context(), sink, events)); !ok || r.Index >= 0 {
		t.Errorf("got %v, want one of many refused", r)
	}
}

func TestHTTPOverTLS(t *testing.T) {
	t.Parallel()
	authority, dir := sinktest.NewAuthority(t, "a CA"), t.TempDir()
	server := newCollector(t, true)
	config := sinktest.ServerConfig(t, authority.Issue(t, sinktest.Identity{Name: "server", Hosts: []string{"127.0.0.1"}}), authority)
	server.TLS.Certificates, server.TLS.ClientAuth, server.TLS.ClientCAs = config.Certificates, config.ClientAuth, config.ClientCAs
	values := map[string]any{"url": server.URL, "chain": "chain.crt", "cert": "client.crt", "key": "client.key", "auth_token": "t0ken-of-the-test"}
	sinktest.WriteFile(t, dir+"/chain.crt", authority.PEM)
	authority.Issue(t, sinktest.Identity{Name: "client"}).Write(t, dir, "client")
	sink := open(t, "http", dir, values).(*posts)
	if err := offer(t.Context(), sink, sinktest.Events(0, 2)); err != nil {
		t.Fatal(err)
	}
	want := `{"message_timestamp":"2022-12-21 13:17:14.405","message_tag":"test.sink.suite","message_content":"{\"number\": 0, \"text\": \"plain\"}"}`
	if got := server.got(); len(got) != 2 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := server.headers[0].Get("Authorization"); got != "Bearer t0ken-of-the-test" {
		t.Errorf("got Authorization %q", got)
	}
	// A chain that does not vouch for the server.
	sinktest.WriteFile(t, dir+"/chain.crt", sinktest.NewAuthority(t, "another CA").PEM)
	if err := sink.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := offer(t.Context(), sink, sinktest.Events(0, 2)); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("got %v", err)
	}
	sinktest.WriteFile(t, dir+"/chain.crt", []byte("nothing"))
	if err := sink.Reload(); err == nil || !strings.Contains(err.Error(), "is not PEM") {
		t.Errorf("got %v", err)
	}
}

func TestDevoHTTP(t *testing.T) {
	t.Parallel()
	server := newCollector(t, false)
	const token = "0123456789abcdef0123456789abcdef"
	sink := open(t, "devo_http", "", map[string]any{"url": server.URL, "domain": "my domain", "token": token})
	events := sinktest.Events(0, 10)
	other := &engine.Table{Tag: "my.app.other/..", Host: "a host"}
	for i := 4; i < 7; i++ {
		events[i].Table = other
	}
	if err := offer(t.Context(), sink, events); err != nil {
		t.Fatal(err)
	}
	base := "POST /stream/my%20domain/token!" + token + "/"
	want := []string{base + "test-host/test.sink.suite", base + "a_host/my.app.other%2F..", base + "test-host/test.sink.suite"}
	if !slices.Equal(server.paths, want) {
		t.Errorf("got %q, want %q", server.paths, want)
	}
	if got := server.got(); len(got) != 10 || got[9] != string(events[9].Body) {
		t.Errorf("got %q", got)
	}
	for _, answer := range []func(http.ResponseWriter, *http.Request, []string) bool{status(500), status(401),
		func(http.ResponseWriter, *http.Request, []string) bool { panic(http.ErrAbortHandler) }} {
		server.set(answer)
		if err := offer(t.Context(), sink, events); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("got %v, want an error without the token", err)
		}
	}
	server.Close()
	if err := offer(t.Context(), sink, events); err == nil || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "nobody listens") {
		t.Errorf("got %v, want an error without the token", err)
	}
}

func TestHTTPConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values map[string]any
		want   string
	}{
		{nil, `url: CollectorConfigurationException [CODE:0006]`},
		{map[string]any{"url": "logs.example.com"}, "want a URL such as"},
		{map[string]any{"url": "https://user:pass@logs.example.com"}, "without a password in it"},
		{map[string]any{"url": "https://logs.example.com", "auth_header": "X-Key"}, "is nothing without auth_token"},
		{map[string]any{"url": "http://logs.example.com", "auth_token": "x"}, "anybody on the way can read the token"},
		{map[string]any{"url": "https://logs.example.com", "auth_tokn": "x"}, "did you mean"},
	} {
		_, err := New(engine.Output{Name: "o", Type: "http", Config: engine.NewSection("", "", c.values)}, testEnv(io.Discard))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%v: got %v, want %q", c.values, err, c.want)
		}
	}
}
