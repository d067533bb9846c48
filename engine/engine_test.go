package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// memorySink acknowledges at Flush, as a real one does, and fails on demand.
type memorySink struct {
	mu     sync.Mutex
	epoch  []string
	got    []string
	failed int
	fail   func() error // asked at every Flush
	closed bool
	change chan struct{}
}

func newMemorySink() *memorySink { return &memorySink{change: make(chan struct{})} }

func (s *memorySink) Send(_ context.Context, events []Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		s.epoch = append(s.epoch, string(e.Body))
	}
	return nil
}

func (s *memorySink) Flush(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	epoch := s.epoch
	s.epoch = nil
	if s.fail != nil {
		if err := s.fail(); err != nil {
			s.failed++
			return err
		}
	}
	s.got = append(s.got, epoch...)
	close(s.change)
	s.change = make(chan struct{})
	return nil
}

func (s *memorySink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// until waits until what the sink has acknowledged satisfies ok.
func (s *memorySink) until(t *testing.T, what string, ok func(got []string) bool) []string {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		s.mu.Lock()
		got, change := slices.Clone(s.got), s.change
		s.mu.Unlock()
		if ok(got) {
			return got
		}
		select {
		case <-change:
		case <-deadline:
			t.Fatalf("waited for %s; got %q", what, got)
		}
	}
}

// world is a folder with a configuration and scripts, and an engine on it.
type world struct {
	transport func(*Network) http.RoundTripper // may be nil
	t         *testing.T
	dir       string
	log       *syncBuffer
	mu        sync.Mutex
	sinks     map[string]*memorySink
	made      int
	engine    *Engine
	stop      func() error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const worldConfig = `
globals:
  id: not_used
  name: test
  persistence: {type: filesystem, config: {directory_name: state}}
outputs:
  out: {type: memory}
inputs:
  source:
    id: 1
    enabled: true
    request_period_in_seconds: 1
    services:
      hello: {}
`

func newWorld(t *testing.T, script string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &syncBuffer{}, sinks: map[string]*memorySink{}}
	w.write("config.yaml", worldConfig)
	w.write("scripts/hello.star", script)
	return w
}

// write replaces a file as editors do: by renaming over it.
func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	os.MkdirAll(filepath.Dir(path), 0o700)
	if err := errors.Join(os.WriteFile(path+"~", []byte(text), 0o600), os.Rename(path+"~", path)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) options() Options {
	return Options{
		Builtin:      fstest.MapFS{"lib/builtin.star": {Data: []byte("def builtin():\n    return 'built in'\n")}},
		Predeclared:  testPredeclared(),
		Logger:       slog.New(slog.NewTextHandler(w.log, nil)),
		NewTransport: w.transport,
		NewSink: func(o Output) (Sink, error) {
			o.Config.Text("note", "")
			if err := o.Config.Err(); err != nil {
				return nil, err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.made++
			s := newMemorySink()
			w.sinks[o.Name] = s
			return s, nil
		},
	}
}

func (w *world) sink(name string) *memorySink {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sinks[name]
}

func (w *world) start() {
	w.t.Helper()
	config, err := LoadConfig(filepath.Join(w.dir, "config.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.run(config, w.options())
}

func (w *world) run(config *Config, o Options) {
	w.t.Helper()
	var err error
	w.engine, err = New(config, o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.engine.Run(ctx) }()
	w.stop = sync.OnceValue(func() error { cancel(); return <-done })
	w.t.Cleanup(func() { w.stop() })
}

// until polls the status: there is nothing to wait on for what the engine does to itself.
func (w *world) until(what string, ok func(Status) bool) Status {
	w.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		s := w.engine.Status()
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited for %s; status %+v\nlog:\n%s", what, s, w.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// testPredeclared are the few builtins that tests of the engine need: send, commit, get and set of a
// number, wait.
func testPredeclared() starlark.StringDict {
	type fn = func(p *Pull, args starlark.Tuple) (starlark.Value, error)
	table := map[string]fn{
		"send": func(p *Pull, args starlark.Tuple) (starlark.Value, error) {
			text, _ := starlark.AsString(args[0])
			return starlark.None, p.Stage(testTable, time.Time{}, []byte(text))
		},
		"commit": func(p *Pull, _ starlark.Tuple) (starlark.Value, error) { return starlark.None, p.Commit() },
		"get": func(p *Pull, _ starlark.Tuple) (starlark.Value, error) {
			v, ok, err := p.Cursor("n")
			if !ok {
				return starlark.MakeInt(0), err
			}
			var n int
			fmt.Sscan(string(v), &n)
			return starlark.MakeInt(n), nil
		},
		"set": func(p *Pull, args starlark.Tuple) (starlark.Value, error) {
			p.SetCursor("n", []byte(args[0].String()))
			return starlark.None, nil
		},
		"wait": func(p *Pull, _ starlark.Tuple) (starlark.Value, error) {
			return starlark.None, p.Wait(time.Hour)
		},
		"crash": func(*Pull, starlark.Tuple) (starlark.Value, error) { panic("a defect in a builtin") },
	}
	d := starlark.StringDict{}
	for name, f := range table {
		d[name] = starlark.NewBuiltin(name, func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			p, err := PullOf(thread)
			if err != nil {
				return nil, fmt.Errorf("%s %w", b.Name(), err)
			}
			return f(p, args)
		})
	}
	d["out"] = &starlarkstruct.Module{Name: "out", Members: starlark.StringDict{"send": d["send"]}}
	d["setting"] = starlark.NewBuiltin("setting", func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		l, err := LoadOf(thread)
		if err != nil {
			return nil, err
		}
		name, _ := starlark.AsString(args[0])
		v, ok := l.Settings.Lookup(name)
		if !ok {
			return starlark.String(""), nil
		}
		return starlark.String(fmt.Sprint(v.Go())), nil
	})
	return d
}

// counting sends 1, 2, 3… a number a pull, and keeps its place in a cursor.
const counting = `
def pull():
    n = get() + 1
    set(n)
    send("%d" % n)
`

func has(n int) func([]string) bool { return func(got []string) bool { return len(got) >= n } }

func wantCounted(t *testing.T, got []string) {
	t.Helper()
	for i, g := range got {
		if g != fmt.Sprint(i+1) {
			t.Fatalf("got %q, want 1, 2, 3, … in order, each once", got)
		}
	}
}

func TestEventsArriveInOrderAndOnceOverAStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	w.sink("out").until(t, "two events", has(2))
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	first := w.sink("out")
	if !first.closed {
		t.Error("the sink was not closed")
	}
	w.start()
	got := append(first.got, w.sink("out").until(t, "two more", has(2))...)
	wantCounted(t, got)
}

func TestFailedPullLeavesNothingAndStartsAtItsLastCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
def pull():
    n = get()
    if n == 0:
        set(1)
        send("1")
        commit()
        set(7)
        send("must not be sent")
        fail("on purpose")
    set(n + 1)
    send("%d" % (n + 1))
`)
	w.start()
	wantCounted(t, w.sink("out").until(t, "three events", has(3)))
	if log := w.log.String(); !strings.Contains(log, "hello.star:10:13") || !strings.Contains(log, "on purpose") {
		t.Errorf("the log does not name the line that failed:\n%s", log)
	}
}

func TestScriptTroubleIsContained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, want string }{
		"panic":       {"crash()", "a defect in a builtin"},
		"interpreter": {"list(range(1<<62))", "one operation may have"},
		"endless":     {"for i in range(1 << 40):\n        pass", "steps"},
		"recursion":   {"pull()", "called recursively"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "def pull():\n    "+c.body+"\n")
			w.write("scripts/good.star", counting)
			w.write("config.yaml", strings.Replace(worldConfig, "hello: {}", "hello: {}\n      good: {}", 1)+
				"starling: {limits: {steps: 1000000}}\n")
			w.start()
			s := w.until("the failure", func(s Status) bool { return s.Collectors[1].State == "failing" })
			if !strings.Contains(s.Collectors[1].LastError, c.want) {
				t.Errorf("got %q, want %q in it", s.Collectors[1].LastError, c.want)
			}
			wantCounted(t, w.sink("out").until(t, "the other collector's events", has(2)))
		})
	}
}

func TestSinkIsOfferedAgainWhatItDidNotAcknowledge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.write("config.yaml", strings.Replace(worldConfig, "out: {type: memory}", "out: {type: memory}\n  other: {type: memory}", 1))
	w.start()
	failures := 0
	bad := w.sink("out")
	bad.mu.Lock()
	bad.fail = func() error {
		if failures++; failures <= 3 {
			return errors.New("no answer")
		}
		return nil
	}
	bad.mu.Unlock()
	w.until("the sink's trouble", func(s Status) bool { return s.Sinks[1].State == "retrying" && s.Sinks[1].LastError == "no answer" })
	wantCounted(t, w.sink("other").until(t, "the other sink's events", has(2)))
	wantCounted(t, bad.until(t, "everything after the trouble", has(3)))
	w.until("recovery in the status", func(s Status) bool { return s.Sinks[1].State == "ok" })
}

func TestStopDoesNotWaitForASinkThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.write("config.yaml", worldConfig+"starling: {limits: {shutdown_delivery: 1}}\n")
	w.start()
	bad := w.sink("out")
	bad.mu.Lock()
	bad.fail = func() error { return errors.New("down") }
	bad.mu.Unlock()
	w.until("two commits in the outbox", func(s Status) bool { return s.Outbox.Chunks >= 2 })
	began := time.Now()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 15*time.Second { // without the limit it is 20 s
		t.Errorf("the stop took %v", took)
	}
	w.start()
	wantCounted(t, w.sink("out").until(t, "what was left over", has(2)))
}

func TestStopIsNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "def pull():\n    send('x')\n    wait()\n")
	w.start()
	w.until("the pull to run", func(s Status) bool { return s.Collectors[0].State == "pulling" })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if log := w.log.String(); strings.Contains(log, "level=ERROR") || !strings.Contains(log, "outcome=canceled") {
		t.Errorf("a stop in the middle of a pull looks like a failure:\n%s", log)
	}
}

func TestStatusCanBeAskedForWhileItStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	ended := make(chan struct{})
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			for {
				w.engine.Status()
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	w.sink("out").until(t, "an event", has(1))
	err := w.stop()
	w.engine.Status()
	close(ended)
	asking.Wait()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStopTriesOnceMoreWhatWaitsInAPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	sink := w.sink("out")
	sink.mu.Lock()
	sink.fail = func() error {
		return &Error{Code: CodeSink, Op: "out", Wait: time.Hour, Err: errors.New("come back later")}
	}
	sink.mu.Unlock()
	w.until("the pause", func(s Status) bool { return s.Sinks[0].State == "retrying" })
	sink.mu.Lock()
	sink.fail = nil
	sink.mu.Unlock()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if len(sink.got) == 0 {
		t.Error("nothing was delivered to an output that works again")
	}
}

func TestWrongStartIsRefusedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "def pull():\n    undefined()\n")
	w.write("config.yaml", strings.Replace(worldConfig, "out: {type: memory}", "out: {type: memory, config: {nte: x}}", 1))
	config, err := LoadConfig(filepath.Join(w.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(config, w.options())
	if err == nil {
		t.Fatal("started")
	}
	for _, want := range []string{"hello.star:2:5", "config.yaml:7:", "nte", "note"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "state")); !os.IsNotExist(err) {
		t.Errorf("a refused start made the state directory: %v", err)
	}
}
