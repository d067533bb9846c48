package builtins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/engine"
)

// A netTest runs scripts against an HTTP server and keeps everything that a person could read.
type netTest struct {
	env   *engine.Env
	base  string
	spans *spanLog
	log   *lockedBuffer
	waits *floatSum
	// settings of the scripts, beside "secret"
	settings map[string]any

	mu      sync.Mutex
	handler http.HandlerFunc
	seen    []*http.Request
}

// newNetTest starts a real server.
func newNetTest(t *testing.T, handler http.HandlerFunc) *netTest {
	t.Helper()
	n := bareNetTest(t)
	n.serve(handler)
	server := httptest.NewServer(http.HandlerFunc(n.answer))
	t.Cleanup(server.Close)
	n.base = server.URL
	return n
}

// serve sets what answers from now on.
func (n *netTest) serve(handler http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handler = handler
}

// answer keeps the request and answers it.
func (n *netTest) answer(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.seen = append(n.seen, r)
	handler := n.handler
	n.mu.Unlock()
	handler(w, r)
}

// newBubbleTest answers without a network, for tests in which time passes.
func newBubbleTest(t testing.TB, handler http.HandlerFunc) *netTest {
	n := bareNetTest(t)
	n.base = "https://api.example.com"
	n.serve(handler)
	n.env.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		n.answer(w, r)
		resp := w.Result()
		resp.Request = r
		return resp, r.Context().Err()
	})
	return n
}

func bareNetTest(t testing.TB) *netTest {
	n := &netTest{env: testEnv(t), spans: &spanLog{}, log: &lockedBuffer{}, waits: &floatSum{}}
	n.env.Telemetry.Tracer = n.spans
	n.env.Telemetry.Throttled = n.waits
	n.env.Logger = slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return n
}

// requests returns method and URI of what the server has seen.
func (n *netTest) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lines []string
	for _, r := range n.seen {
		lines = append(lines, r.Method+" "+r.URL.RequestURI())
	}
	return lines
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A script has its top level run, and its pull as often as a test wants.
type testScript struct {
	n       *netTest
	globals starlark.StringDict
	stats   engine.PullStats
}

// load runs a script's top level, in which base is the server and settings are {"secret": ...}.
func (n *netTest) load(t testing.TB, source string) *testScript {
	t.Helper()
	s, err := n.tryLoad(source)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const testSecret = "s3cr3t-value+with/odd=chars"

func (n *netTest) tryLoad(source string) (*testScript, error) {
	env := testPredeclared()
	env["base"] = starlark.String(n.base)
	settings := map[string]any{"secret": testSecret}
	maps.Copy(settings, n.settings)
	load := &engine.Load{Env: n.env, Collector: "input/1/service", Settings: engine.NewSettings(settings)}
	globals, err := starlark.ExecFileOptions(&syntax.FileOptions{Set: true}, load.NewThread("t"), "t.star", source, env)
	globals.Freeze()
	return &testScript{n: n, globals: globals}, errors.Join(load.Problems(), err)
}

// pull runs the script's pull function as the engine does.
func (s *testScript) pull(ctx context.Context) (starlark.Value, error) {
	p := engine.NewPull(ctx, s.n.env, "input/1/service")
	thread := p.NewThread("pull")
	v, err := starlark.Call(thread, s.globals["pull"], nil, nil)
	if stored, ok := thread.Local("starling.iterator_error").(error); ok {
		err = stored
	}
	s.stats = p.Stats
	return v, err
}

// pullOnce loads and runs a script whose pull is body.
func (n *netTest) pullOnce(t testing.TB, client, body string) (starlark.Value, error) {
	t.Helper()
	source := "api = http.client(" + client + ")\ndef pull():\n    " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\n"
	return n.load(t, source).pull(t.Context())
}

// noSecrets fails if what people can read shows one of the secrets.
func (n *netTest) noSecrets(t testing.TB, err error, secrets ...string) {
	t.Helper()
	text := n.spans.String() + n.log.String()
	if err != nil {
		text += err.Error()
		if e, ok := errors.AsType[*starlark.EvalError](err); ok {
			text += e.Backtrace()
		}
	}
	for _, secret := range append(secrets, testSecret) {
		if strings.Contains(text, secret) {
			t.Errorf("secret %q is readable in:\n%s", secret, text)
		}
	}
}

func wantError(t testing.TB, err error, code engine.Code, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s with %q", code, parts)
	}
	if got := engine.CodeOf(err, "none"); got != code {
		t.Errorf("got code %q, want %q: %v", got, code, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
}

func wantValue(t testing.TB, v starlark.Value, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(backtrace(err))
	}
	if v.String() != want {
		t.Errorf("got %s, want %s", v, want)
	}
}

// A spanLog is a tracer that keeps names, attributes and errors of spans as text.
type spanLog struct {
	tracenoop.Tracer
	lockedBuffer
}

func (l *spanLog) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(options...)
	return ctx, &loggedSpan{log: l, name: name, attributes: config.Attributes()}
}

type loggedSpan struct {
	tracenoop.Span
	log        *spanLog
	name       string
	status     string
	attributes []attribute.KeyValue
}

func (s *loggedSpan) SetAttributes(kv ...attribute.KeyValue) {
	s.attributes = append(s.attributes, kv...)
}
func (s *loggedSpan) SetStatus(_ codes.Code, description string) { s.status = description }
func (s *loggedSpan) End(...trace.SpanEndOption) {
	fmt.Fprintf(s.log, "%s %s", s.name, s.status)
	for _, kv := range s.attributes {
		fmt.Fprintf(s.log, " %s=%s", kv.Key, kv.Value.String())
	}
	fmt.Fprintln(s.log)
}

type floatSum struct {
	metricnoop.Float64Counter
	mu  sync.Mutex
	sum float64
}

func (f *floatSum) Add(_ context.Context, n float64, _ ...metric.AddOption) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sum += n
}

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
