package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"starling/cmd/internal/sim"
)

// otlpReceiver is the other end of OTLP over HTTP (opentelemetry.io/docs/specs/otlp).
type otlpReceiver struct {
	mu    sync.Mutex
	raw   bytes.Buffer // everything, for the search for secrets
	spans []*tracev1.Span
	names map[string]bool // of metrics
}

func (o *otlpReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := readMaybeGzip(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.raw.Write(body)
	switch {
	case err != nil:
	case r.URL.Path == "/v1/traces":
		var req collectortraces.ExportTraceServiceRequest
		err = proto.Unmarshal(body, &req)
		for _, rs := range req.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				o.spans = append(o.spans, ss.Spans...)
			}
		}
	case r.URL.Path == "/v1/metrics":
		var req collectormetrics.ExportMetricsServiceRequest
		err = proto.Unmarshal(body, &req)
		for _, rm := range req.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					o.names[m.Name] = true
				}
			}
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func readMaybeGzip(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestTracedRunShowsEverythingButSecrets runs the program with every output that people and machines
// read, has things go wrong on the way, and looks for the secrets in all of it.
func TestTracedRunShowsEverythingButSecrets(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t+of/the=app & more"
	otlp := &otlpReceiver{names: map[string]bool{}}
	receiver := httptest.NewServer(otlp)
	defer receiver.Close()
	now := time.Now().UTC()
	from := now.Add(-2 * time.Hour)
	w, err := sim.NewWorld(t.TempDir(), sim.WorldOptions{Delay: time.Second, Microsoft: sim.Options{
		ClientSecret: secret,
		Rows:         sim.Rows{From: from, To: now, Count: 20_000},
		Throttle:     sim.Throttle{Every: 8, Pause: time.Second},
		Faults:       sim.Faults{Every: 9},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	edit(t, w.ConfigFile(), "outputs:\n", "starling:\n  listen: 127.0.0.1:0\n  log: {level: debug}\n\noutputs:\n")

	var log lockedBuffer
	c := exec.Command("starling", "run", "--config", w.ConfigFile())
	c.Stderr, c.Stdout = &log, &log
	c.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_BSP_SCHEDULE_DELAY=200", "OTEL_METRIC_EXPORT_INTERVAL=500")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitComplete(t, w, from, now)
	secrets := append(w.Microsoft.Tokens(), secret, url.QueryEscape(secret), url.PathEscape(secret))
	w.Microsoft.RevokeTokens() // an error with credentials in it
	w.Microsoft.Change(func(o *sim.Options) { o.ClientSecret = "changed" })
	status := waitLog(t, &log, regexp.MustCompile(`listen=(\S+)`))
	waitLog(t, &log, regexp.MustCompile(`(AADSTS7000215)`))
	pages := map[string]string{}
	for _, path := range []string{"/metrics", "/status", "/readyz", "/"} {
		pages[path] = fetch(t, "http://"+status+path)
	}
	c.Process.Signal(syscall.SIGTERM)
	if err := c.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	state, err := exec.Command("starling", "state", "list", "--config", w.ConfigFile()).CombinedOutput()
	if err != nil {
		t.Errorf("state list: %v\n%s", err, state)
	}

	checkSpans(t, otlp)
	for _, name := range []string{"starling_pulls_total", "starling_events_pulled_total", "starling_events_sent_total", "starling_requests_total", "starling_outbox_bytes"} {
		if !strings.Contains(pages["/metrics"], name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
	for _, want := range []string{`"collector": "office365_exchange_message/10001/office365_exchange_message_service"`, `"window"`, `"devo_1"`, "AADSTS7000215"} {
		if !strings.Contains(pages["/status"], want) {
			t.Errorf("/status has no %s:\n%s", want, pages["/status"])
		}
	}
	seen := map[string]string{"log": log.String(), "traces and metrics": otlp.raw.String(), "state list": string(state), "state directory": readAll(t, filepath.Join(w.Dir, "state"))}
	for path, page := range pages {
		seen[path] = page
	}
	if len(secrets) < 4 {
		t.Errorf("only %d secrets to look for", len(secrets))
	}
	for place, text := range seen {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s shows the secret %q", place, s)
			}
		}
	}
}

// waitLog waits until the log matches, and returns the first group.
func waitLog(t *testing.T, log *lockedBuffer, re *regexp.Regexp) string {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if m := re.FindStringSubmatch(log.String()); m != nil {
			return m[1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing like %s in the log:\n%s", re, log)
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func readAll(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// checkSpans checks the shape of the traces: a pull with its requests, commits and deliveries below it.
func checkSpans(t *testing.T, o *otlpReceiver) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	pulls := map[string]bool{}
	for _, s := range o.spans {
		if s.Name == "pull" {
			pulls[string(s.SpanId)] = true
		}
	}
	below := map[string]int{}
	for _, s := range o.spans {
		if pulls[string(s.ParentSpanId)] {
			below[s.Name]++
		}
	}
	for _, name := range []string{"request", "commit", "deliver"} {
		if below[name] == 0 {
			t.Errorf("no span %q where it belongs; got %v below %d pulls", name, below, len(pulls))
		}
	}
	for _, name := range []string{"starling.pulls", "starling.commits", "starling.throttled"} {
		if !o.names[name] {
			t.Errorf("no metric %q was exported", name)
		}
	}
}
