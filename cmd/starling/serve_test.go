package main

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

const statusToken = "a-token-of-24-characters"

// startStatus serves on an address of its own; change may set the server up.
func startStatus(t *testing.T, address string, a engine.StatusAccess, change func(*statusServer)) (s *statusServer, at string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	handler := statusHandler(t.Context(), func() engine.Status { return engine.Status{Name: "of the test"} }, http.NotFoundHandler(), nil)
	s = newStatusServer(l, handler, slog.New(slog.DiscardHandler))
	s.use(&engine.Config{Status: a})
	if change != nil {
		change(s)
	}
	t.Cleanup(s.serve(l))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return s, "127.0.0.1:" + port
}

// ask sends a request and returns the status of the answer.
func ask(t *testing.T, method, url string, set func(*http.Request)) int {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(req)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge {
		err = nil // the server does not read on, so that its answer may be cut off by a reset
	}
	if err != nil || resp.StatusCode != http.StatusOK && strings.Contains(string(body), "of the test") {
		t.Errorf("%s %s: got %d %s, %v", method, url, resp.StatusCode, body, err)
	}
	return resp.StatusCode
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func TestStatusServerWantsTheToken(t *testing.T) {
	t.Parallel()
	s, at := startStatus(t, "0.0.0.0:0", engine.StatusAccess{Token: engine.NewSecret(statusToken)}, nil)
	url := "http://" + at
	for _, path := range []string{"/", "/status", "/readyz", "/metrics", "/nothing"} {
		for name, set := range map[string]func(*http.Request){"none": nil, "a wrong one": bearer(statusToken + "x"), "a part": bearer(statusToken[:10]), "an empty one": bearer(""),
			"as a password": func(r *http.Request) { r.SetBasicAuth("x", statusToken) }} {
			if got := ask(t, "GET", url+path, set); got != http.StatusUnauthorized {
				t.Errorf("%s with %s: got %d, want 401", path, name, got)
			}
		}
	}
	for path, want := range map[string]int{"/status": 200, "/readyz": 200, "/": 200, "/metrics": 404} {
		if got := ask(t, "GET", url+path, bearer(statusToken)); got != want {
			t.Errorf("%s with the token: got %d, want %d", path, got, want)
		}
	}
	if got := ask(t, "GET", url+"/healthz", nil); got != http.StatusOK {
		t.Errorf("/healthz without a token: got %d, want 200 for probes", got)
	}
	s.use(&engine.Config{Status: engine.StatusAccess{Token: engine.NewSecret("another-token-of-the-file")}})
	if ask(t, "GET", url+"/status", bearer(statusToken)) != 401 || ask(t, "GET", url+"/status", bearer("another-token-of-the-file")) != 200 {
		t.Error("the token does not follow the configuration")
	}
	s.use(&engine.Config{})
	if got := ask(t, "GET", url+"/status", bearer("")); got != 401 {
		t.Errorf("got %d: a server that others can reach is open once its token is gone", got)
	}
}

func TestStatusServerTakesQuestionsOnly(t *testing.T) {
	t.Parallel()
	_, at := startStatus(t, "127.0.0.1:0", engine.StatusAccess{}, nil)
	url := "http://" + at
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
		if got := ask(t, method, url+"/status", nil); got != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %d, want 405", method, got)
		}
	}
	body := func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20)))
		r.ContentLength = -1
	}
	if got := ask(t, "GET", url+"/status", body); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a body: got %d, want 413", got)
	}
	long := func(r *http.Request) { r.Header.Set("X-Long", strings.Repeat("x", 64<<10)) }
	if got := ask(t, "GET", url+"/status", long); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of headers: got %d, want 431", got)
	}
}

// TestWebPagesDoNotReadTheStatus: a page can have its own name lead to 127.0.0.1, and its script ask there.
func TestProfilesAreForThoseWhoAskedForThem(t *testing.T) {
	t.Parallel()
	s, at := startStatus(t, "127.0.0.1:0", engine.StatusAccess{}, nil)
	paths := []string{"", "heap", "goroutine", "profile?seconds=1"}
	want := func(code int, set func(*http.Request)) {
		t.Helper()
		for _, path := range paths {
			if got := ask(t, "GET", "http://"+at+"/debug/pprof/"+path, set); got != code {
				t.Errorf("/debug/pprof/%s: got %d, want %d", path, got, code)
			}
		}
	}
	want(http.StatusNotFound, nil)
	s.use(&engine.Config{Status: engine.StatusAccess{Pprof: true}})
	want(http.StatusOK, nil)
	s.use(&engine.Config{Status: engine.StatusAccess{Pprof: true, Token: engine.NewSecret(statusToken)}})
	want(http.StatusUnauthorized, nil)
	want(http.StatusOK, bearer(statusToken))
	if got := ask(t, "GET", "http://"+at+"/debug/pprof/cmdline", bearer(statusToken)); got != http.StatusNotFound {
		t.Errorf("the command line: got %d, want 404", got)
	}
}

func TestWebPagesDoNotReadTheStatus(t *testing.T) {
	t.Parallel()
	_, at := startStatus(t, "127.0.0.1:0", engine.StatusAccess{}, nil)
	for host, want := range map[string]int{at: 200, "localhost:1": 200, "[::1]:80": 200, "10.0.0.7": 200, "evil.example": 401, "evil.example:9464": 401, "127.0.0.1.evil.example": 401} {
		if got := ask(t, "GET", "http://"+at+"/status", func(r *http.Request) { r.Host = host }); got != want {
			t.Errorf("host %s: got %d, want %d", host, got, want)
		}
	}
}

// TestSlowAndManyConnectionsDoNotStopTheStatusServer: as many as it takes send one byte of a request and
// no more. They are ended, and then who asks properly is answered.
func TestSlowAndManyConnectionsDoNotStopTheStatusServer(t *testing.T) {
	t.Parallel()
	_, at := startStatus(t, "127.0.0.1:0", engine.StatusAccess{}, func(s *statusServer) { s.ReadHeaderTimeout = 300 * time.Millisecond })
	for range 2 * maxStatusConns {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "G"); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(t, "GET", "http://"+at+"/status", nil); got != http.StatusOK {
		t.Errorf("got %d, want 200", got)
	}
}

// TestConnectionsOfTheStatusServerAreBounded: beyond the bound nobody is served until somebody leaves.
func TestConnectionsOfTheStatusServerAreBounded(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bounded := &boundedListener{Listener: l, free: make(chan struct{}, 2)}
	defer bounded.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := bounded.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	<-accepted
	if len(bounded.free) != 2 || len(accepted) != 0 {
		t.Errorf("%d connections are open and %d wait, want 2 and none", len(bounded.free), len(accepted))
	}
	first.Close()
	first.Close() // the second close frees nothing more
	if third := <-accepted; third == nil || len(bounded.free) != 2 {
		t.Errorf("got %v and %d open, want the third connection", third, len(bounded.free))
	}
}

func TestStatusServerTakesCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, theirs := sinktest.NewAuthority(t, "ours"), sinktest.NewAuthority(t, "theirs")
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server := ours.Issue(t, sinktest.Identity{Name: "first", Hosts: []string{"127.0.0.1"}})
	a := engine.StatusAccess{Certificate: write("cert", server.Cert), Key: write("key", server.Key), ClientCA: write("ca", ours.PEM)}
	_, at := startStatus(t, "0.0.0.0:0", a, nil)
	url := "https://" + at
	get := func(path string, client *sinktest.Pair) (code int, name string) {
		t.Helper()
		config := &tls.Config{RootCAs: ours.Pool()}
		if client != nil {
			pair, err := tls.X509KeyPair(client.Cert, client.Key)
			if err != nil {
				t.Fatal(err)
			}
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		req, err := http.NewRequest("GET", url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{TLSClientConfig: config, DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			return 0, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode, resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	good, bad := ours.Issue(t, sinktest.Identity{Name: "prometheus"}), theirs.Issue(t, sinktest.Identity{Name: "prometheus"})
	if code, name := get("/status", &good); code != 200 || name != "first" {
		t.Errorf("a good certificate: got %d %s, want 200", code, name)
	}
	if code, _ := get("/status", nil); code != 401 {
		t.Errorf("no certificate: got %d, want 401", code)
	}
	if code, _ := get("/healthz", nil); code != 200 {
		t.Errorf("a probe: got %d, want 200", code)
	}
	if code, text := get("/status", &bad); code != 0 {
		t.Errorf("a certificate of others: got %d %s, want no connection", code, text)
	}
	if err := askHealth(t.Context(), url+"/healthz"); err != nil {
		t.Errorf("health: %v", err)
	}
	renewed := ours.Issue(t, sinktest.Identity{Name: "second", Hosts: []string{"127.0.0.1"}})
	write("key", []byte("being written"))
	if code, name := get("/status", &good); code != 200 || name != "first" {
		t.Errorf("while the key is written: got %d %s, want the old one", code, name)
	}
	write("cert", renewed.Cert)
	write("key", renewed.Key)
	if code, name := get("/status", &good); code != 200 || name != "second" {
		t.Errorf("renewed: got %d %s, want the new one", code, name)
	}
}
