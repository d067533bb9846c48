package sim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// seen is what a client sees of an answer.
type seen struct {
	status int
	header http.Header
	body   []byte
	err    error // of the request, or of reading the body
}

// see asks once, over a connection of its own, and reads at most 1 MiB.
func see(c *client, transport *http.Transport, address string, gzipped bool) (s seen) {
	transport.DisableKeepAlives = true
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", c.accept)
	if gzipped {
		request.Header.Set("Accept-Encoding", "gzip")
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return seen{err: err}
	}
	defer response.Body.Close()
	s = seen{status: response.StatusCode, header: response.Header}
	s.body, s.err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return s
}

func unzip(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// Each kind looks the same over a socket and in memory, for the report and for Graph.
func TestEveryFaultIsSeenByTheClient(t *testing.T) {
	t.Parallel()
	status := func(want int) func(seen) bool { return func(s seen) bool { return s.err == nil && s.status == want } }
	fails := func(want error) func(seen) bool { return func(s seen) bool { return errors.Is(s.err, want) } }
	good := func(s seen) bool { return s.err == nil && s.status == 200 }
	checks := map[Fault]func(seen) bool{
		ServerError: status(500), BadGateway: status(502), Unavailable: status(503), GatewayTimeout: status(504),
		Reset: fails(syscall.ECONNRESET), ResetEarly: fails(syscall.ECONNRESET), CloseEarly: fails(io.EOF),
		Truncated: fails(io.ErrUnexpectedEOF),
		CutChunks: func(s seen) bool {
			return errors.Is(s.err, io.ErrUnexpectedEOF) && s.header.Get("Content-Length") == ""
		},
		Cut:      func(s seen) bool { return good(s) && !json.Valid(s.body) },
		WebPage:  func(s seen) bool { return good(s) && s.header.Get("Content-Type") == "text/html" },
		Redirect: func(s seen) bool { return s.status == 302 && !strings.Contains(s.header.Get("Location"), "127.0.0.1") },
		BadGzip: func(s seen) bool {
			_, err := unzip(s.body)
			return good(s) && s.header.Get("Content-Encoding") == "gzip" && err != nil
		},
		TwiceKeys: func(s seen) bool {
			var last struct{ Value []any }
			err := json.Unmarshal(s.body, &last)
			return good(s) && err == nil && len(last.Value) == 0 && len(s.body) > 10_000
		},
		BOM:     func(s seen) bool { return good(s) && bytes.HasPrefix(s.body, []byte("\xef\xbb\xbf{")) },
		BadUTF8: func(s seen) bool { return good(s) && !utf8.Valid(s.body) && json.Valid(bytes.ToValidUTF8(s.body, nil)) },
		Huge:    func(s seen) bool { return good(s) && len(s.body) == 1<<20 && bytes.HasSuffix(s.body, []byte("    ")) },
	}
	for _, kind := range AllFaults() {
		check := checks[kind]
		if check == nil && kind != Slow && kind != Hang { // those have their own tests, with a virtual clock
			t.Errorf("%s: no test", kind)
		}
		if check == nil {
			continue
		}
		c := newGraphClient(t, Options{Rows: hour(), KeepLog: true})
		graph := c.token
		c.token = c.signIn()
		c.sim.Change(func(o *Options) { o.Faults = Faults{Every: 1, Kinds: []Fault{kind}} })
		memory, stop := c.sim.Transport()
		for where, transport := range map[string]*http.Transport{"socket": {DisableCompression: true}, "memory": memory} {
			for api, address := range map[string]string{"report": c.report("$top=100"), "Graph": c.traces("$top=100")} {
				was := c.token
				if api == "Graph" {
					c.token = graph
				}
				if s := see(c, transport, address, kind == BadGzip); !check(s) {
					t.Errorf("%s, %s, %s: got %d %v %v %.100q", kind, where, api, s.status, s.err, s.header, s.body)
				}
				c.token = was
			}
		}
		stop()
		for _, r := range c.sim.Log()[3:] {
			if r.Fault != kind {
				t.Errorf("%s is %q in the log", kind, r.Fault)
			}
		}
		if got := c.sim.Counters(); got.Faults != 4 || got.Pages != 0 {
			t.Errorf("%s: got %+v", kind, got)
		}
	}
}

func TestSlowAnswersAndClientsThatLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMicrosoft(Options{Faults: Faults{Every: 1, Kinds: []Fault{Slow, Hang}}})
		transport, stop := m.Transport()
		defer stop()
		c := &client{t: t, sim: m, base: "http://sim", http: &http.Client{Transport: transport, Timeout: 5 * time.Minute}}
		c.signInFor(graphResource)
		for _, want := range []int{25, 0} { // bytes in five minutes
			start := time.Now()
			response, err := c.do(c.traces(""))
			n := 0
			if err == nil {
				var body []byte
				body, err = io.ReadAll(response.Body)
				response.Body.Close()
				n = len(body)
			}
			if err == nil || time.Since(start) != 5*time.Minute || n < want || n > want+10 {
				t.Errorf("got %d bytes and %v after %s", n, err, time.Since(start))
			}
		}
	})
}

func TestGraphCompressesForThoseWhoTakeIt(t *testing.T) {
	t.Parallel()
	c := newGraphClient(t, Options{Rows: hour()})
	plain := see(c, &http.Transport{DisableCompression: true}, c.traces("$top=50"), false)
	zipped := see(c, &http.Transport{}, c.traces("$top=50"), true)
	body, err := unzip(zipped.body)
	if err != nil || zipped.header.Get("Content-Encoding") != "gzip" || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("got %v with %v, and %v", zipped.header, err, plain.header)
	}
	cut := func(b []byte) string { text, _, _ := strings.Cut(string(b), `"@odata.nextLink"`); return text }
	if cut(body) != cut(plain.body) {
		t.Error("the compressed page has other rows")
	}
	c.sim.Change(func(o *Options) { o.Graph.Plain = true })
	if s := see(c, &http.Transport{}, c.traces("$top=50"), true); s.header.Get("Content-Encoding") != "" {
		t.Errorf("got %v", s.header)
	}
}

// The service's clock can be off, and step back, and shows it in the Date header.
func TestSkew(t *testing.T) {
	t.Parallel()
	c := newGraphClient(t, Options{Rows: Rows{From: now.Add(-time.Hour), PerSecond: 0.1}})
	count := func() int { return len(graphKeys(c.listing(between(now.Add(-time.Hour), now.Add(time.Hour)), nil))) }
	before := count()
	for _, skew := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		c.sim.Change(func(o *Options) { o.Skew = skew })
		response, _ := c.graph(c.traces(""))
		if want := now.Add(skew).Format(http.TimeFormat); response.Header.Get("Date") != want {
			t.Errorf("got the date %s, want %s", response.Header.Get("Date"), want)
		}
		if n := count() - before; n < 110 == (skew > 0) || n > -110 == (skew < 0) {
			t.Errorf("with a clock that is %s ahead there are %d more rows", skew, n)
		}
	}
}
