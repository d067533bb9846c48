package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"starling/engine"
)

// helloConfig is a configuration with one service and one output; the verbs are the address of the
// status server, the outputs and the URL of the API.
const helloConfig = `globals: {name: test, id: 1}
starling:
  listen: "%s"
  log: {level: debug}
outputs:
  %s
inputs:
  demo:
    id: 1
    enabled: true
    request_period_in_seconds: 1
    services:
      hello: {url: "%s"}
`

const helloScript = `
api = http.client(config.url("url"), retry = http.retry(times = 0))
table = devo.table("my.app.hello", key = [field("name")])

def pull():
    devo.send(table, api.get("/greetings")["value"])
`

// helloDir makes a folder with a configuration and a script.
func helloDir(t *testing.T, listen, output, api string) string {
	t.Helper()
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf(helloConfig, listen, output, api))
	writeText(t, filepath.Join(dir, "scripts", "hello.star"), helloScript)
	return dir
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// greetings is an API with one row, or with none when it is down.
type greetings struct{ down atomic.Bool }

func (g *greetings) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if g.down.Load() {
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	io.WriteString(w, `{"value":[{"name":"Ada"}]}`)
}

func newGreetings(t *testing.T) (*greetings, string) {
	g := &greetings{}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	return g, s.URL
}

// A process is a starling that runs.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  lockedBuffer
	url  string // of the status server
	done chan error
}

// startRun starts starling run in dir and waits until it has started.
func startRun(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("starling", "run"), done: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Stderr, p.cmd.Stdout = dir, &p.log, &p.log
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	p.url = "http://" + waitLog(t, &p.log, regexp.MustCompile(`msg=started .*listen=(\S+)`))
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exitCode waits for the end.
func (p *process) exitCode(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("still running after %v:\n%s", within, p.log.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) status() (s engine.Status) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(fetch(p.t, p.url+"/status")), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// until waits until ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestRunServesItsStatusAndStopsInOrder(t *testing.T) {
	t.Parallel()
	api, url := newGreetings(t)
	dir := helloDir(t, "127.0.0.1:0", "file_1: {type: file, config: {path: events.log, format: body}}", url)
	p := startRun(t, dir)
	until(t, "the event is delivered", func() bool { return p.status().Sinks[0].Events == 1 })

	metrics := fetch(t, p.url+"/metrics")
	for _, want := range []string{
		`starling_pulls_total{collector="demo/1/hello",outcome="ok"}`, `starling_events_sent_total{sink="file_1"} 1`,
		`starling_requests_total{`, `starling_outbox_bytes{sink="file_1"} 0`, "go_goroutines ", "process_open_fds ",
		`target_info{`, `service_name="starling"`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics has no %s:\n%s", want, metrics)
		}
	}
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/readyz", 200, "{\n  \"ready\": true,\n  \"problems\": []\n}\n"},
		{"GET", "/", 200, listing},
		{"GET", "/nonsense", 404, "404 page not found\n"},
		{"POST", "/status", 405, "Method Not Allowed\n"},
		{"DELETE", "/metrics", 405, "Method Not Allowed\n"},
	} {
		code, body, header := request(t, c.method, p.url+c.path)
		if code != c.code || body != c.body || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: got %d %q %v, want %d %q and nosniff", c.method, c.path, code, body, header, c.code, c.body)
		}
	}
	if out, err := exec.Command("starling", "health", "--url", p.url+"/healthz").CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("health: got %s %v, want ok", out, err)
	}

	// Only one starling can have a state directory, and a tool says who has it.
	out, err := exec.Command("starling", "state", "list", "--state", filepath.Join(dir, "state")).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitState || !strings.Contains(string(out), "another process has it open") {
		t.Errorf("state list: got %v %s, want exit code %d and that another process has it open", err, out, exitState)
	}

	api.down.Store(true)
	until(t, "it is not ready", func() bool { code, _, _ := request(t, "GET", p.url+"/readyz"); return code == 503 })
	_, body, _ := request(t, "GET", p.url+"/readyz")
	for _, want := range []string{`"ready": false`, "collector demo/1/hello: ", "500"} {
		if !strings.Contains(body, want) {
			t.Errorf("/readyz: got %s, want %q in it", body, want)
		}
	}
	if code, _, _ := request(t, "GET", p.url+"/healthz"); code != 200 {
		t.Errorf("/healthz: got %d while a collector fails, want 200: a restart would not help", code)
	}

	p.signal(syscall.SIGTERM)
	if code := p.exitCode(2 * time.Minute); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	events, err := os.ReadFile(filepath.Join(dir, "events.log"))
	if err != nil || string(events) != "{\"name\":\"Ada\"}\n" {
		t.Errorf("got events %q %v, want Ada once", events, err)
	}
	if !strings.HasSuffix(p.log.String(), "msg=stopped\n") {
		t.Errorf("the log does not end with stopped:\n%s", p.log.String())
	}
}

func request(t *testing.T, method, url string) (code int, body string, header http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func TestSIGHUPReadsEverythingAgain(t *testing.T) {
	t.Parallel()
	_, url := newGreetings(t)
	p := startRun(t, helloDir(t, "127.0.0.1:0", "nowhere: {type: discard}", url))
	until(t, "it has pulled", func() bool { return p.status().Collectors[0].Pulls > 0 })
	if r := p.status().Reloads; len(r) != 0 {
		t.Fatalf("reloads before the signal: %v", r)
	}
	p.signal(syscall.SIGHUP)
	until(t, "the configuration is reloaded", func() bool {
		for _, r := range p.status().Reloads {
			if r.Kind == "config" && r.Error == "" {
				return true
			}
		}
		return false
	})
	p.signal(syscall.SIGINT)
	if code := p.exitCode(2 * time.Minute); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

func TestDebugSwitchesWhileItRuns(t *testing.T) {
	t.Parallel()
	_, url := newGreetings(t)
	dir := helloDir(t, "127.0.0.1:0", "nowhere: {type: discard}", url)
	file := filepath.Join(dir, "config.yaml")
	edit(t, file, "  log: {level: debug}\n", "")
	edit(t, filepath.Join(dir, "scripts", "hello.star"), "    devo.send", "    log.debug(\"a detail\")\n    devo.send")
	p := startRun(t, dir)
	pulls := func(n int64) {
		before := p.status().Collectors[0].Pulls
		until(t, "it has pulled again", func() bool { return p.status().Collectors[0].Pulls >= before+n })
	}
	pulls(1)
	if strings.Contains(p.log.String(), "a detail") {
		t.Fatalf("details before debug is on:\n%s", p.log.String())
	}
	edit(t, file, "globals: {", "globals: {debug: true, ")
	until(t, "details are logged", func() bool { return strings.Contains(p.log.String(), "level=DEBUG msg=\"a detail\"") })
	edit(t, file, "debug: true, ", "debug: false, ")
	until(t, "the configuration is reloaded twice", func() bool { return strings.Count(p.log.String(), "msg=reloaded kind=config") == 2 })
	pulls(1) // one may have begun before
	details := strings.Count(p.log.String(), "a detail")
	pulls(1)
	if got := strings.Count(p.log.String(), "a detail"); got != details {
		t.Errorf("%d details after debug is off:\n%s", got-details, p.log.String())
	}
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(2 * time.Minute); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	_, url := newGreetings(t)
	// Nobody listens there, so that a stop in order goes on trying to deliver for 20 seconds.
	dir := helloDir(t, "127.0.0.1:0", "down: {type: syslog, config: {address: 127.0.0.1, port: 1}}", url)
	p := startRun(t, dir)
	until(t, "an event waits", func() bool { return p.status().Outbox.Chunks > 0 })
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGTERM) // at once, as timeout(1) does: it does not count
	waitLog(t, &p.log, regexp.MustCompile(`msg="(asked to stop)"`))
	if code, body, _ := request(t, "GET", p.url+"/readyz"); code != 503 || !strings.Contains(body, "starling is stopping") {
		t.Errorf("/readyz: got %d %s, want 503 because it stops", code, body)
	}
	time.Sleep(sameSignal) // from here on it does
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(15 * time.Second); code != 128+15 {
		t.Errorf("got exit code %d, want 143", code)
	}
	out, err := exec.Command("starling", "state", "list", "--state", filepath.Join(dir, "state")).CombinedOutput()
	if err != nil || !regexp.MustCompile(`output down: 1 chunk \(\d+ bytes\) wait since `).Match(out) {
		t.Errorf("state list: got %v %s, want that 1 chunk waits", err, out)
	}
}

func TestStartRefusesAnAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := helloDir(t, l.Addr().String(), "nowhere: {type: discard}", "http://127.0.0.1:1")
	var errs strings.Builder
	code := run(t.Context(), []string{"run", "--config", filepath.Join(dir, "config.yaml")}, program{stdout: io.Discard, stderr: &errs, getenv: os.Getenv})
	if want := "listen on " + l.Addr().String() + ": another program uses this address"; code != exitOther || !strings.Contains(errs.String(), want) {
		t.Errorf("got %d %s, want %d %s", code, errs.String(), exitOther, want)
	}
}

// TestDeadCollectorOfTelemetryDisturbsNothing has a port that takes connections and never answers.
func TestDeadCollectorOfTelemetryDisturbsNothing(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, url := newGreetings(t)
	p := startRun(t, helloDir(t, "127.0.0.1:0", "nowhere: {type: discard}", url), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+l.Addr().String(),
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_METRIC_EXPORT_INTERVAL=100", "OTEL_BSP_EXPORT_TIMEOUT=300", "OTEL_METRIC_EXPORT_TIMEOUT=300")
	until(t, "it has pulled three times", func() bool { return p.status().Collectors[0].Pulls >= 3 })
	waitLog(t, &p.log, regexp.MustCompile(`(telemetry is not exported)`))
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(flushTimeout + 2*time.Minute); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	if n := strings.Count(p.log.String(), "telemetry is not exported"); n != 1 {
		t.Errorf("%d lines about telemetry, want 1:\n%s", n, p.log.String())
	}
}
