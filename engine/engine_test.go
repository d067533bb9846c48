package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.starlark.net/starlark"
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
	deadline := time.After(20 * time.Second)
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
	t      *testing.T
	dir    string
	log    *syncBuffer
	mu     sync.Mutex
	sinks  map[string]*memorySink
	made   int
	engine *Engine
	stop   func() error
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
		Builtin:     fstest.MapFS{"lib/builtin.star": {Data: []byte("def builtin():\n    return 'built in'\n")}},
		Predeclared: testPredeclared(),
		Logger:      slog.New(slog.NewTextHandler(w.log, nil)),
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
	deadline := time.Now().Add(20 * time.Second)
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
		"interpreter": {"list(range(1<<62))", "panic"},
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
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	w.start()
	wantCounted(t, w.sink("out").until(t, "what was left over", has(2)))
}

func TestReloadedScriptTakesOverAtACommit(t *testing.T) {
	t.Parallel()
	// The pull never ends by itself: only the new version ends it.
	endless := "def pull():\n    for n in range(get() + 1, 1000000):\n        set(n)\n        send(\"%d\" % n)\n        commit()\n"
	w := newWorld(t, endless)
	w.start()
	w.sink("out").until(t, "some events", has(1))
	old := w.engine.Status().Collectors[0].Version
	w.write("scripts/hello.star", strings.Replace(endless, `"%d" % n`, `"new %d" % n`, 1))
	got := w.sink("out").until(t, "events of the new version", func(got []string) bool {
		return len(got) > 0 && strings.HasPrefix(got[len(got)-1], "new")
	})
	for i, g := range got {
		if strings.TrimPrefix(g, "new ") != fmt.Sprint(i+1) {
			t.Fatalf("event %d is %q: lost or sent twice", i+1, g)
		}
	}
	s := w.engine.Status()
	if s.Collectors[0].Version == old || len(s.Reloads) != 1 || s.Reloads[0].Version != s.Collectors[0].Version {
		t.Errorf("status does not tell of the new version: %+v", s)
	}
}

func TestBrokenScriptIsRefusedAndTheOldOneGoesOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"syntax":    {"def pull(:\n    pass\n", "hello.star:1:"},
		"undefined": {"def pull():\n    sned(1)\n", "hello.star:2:5"},
		"top level": {"x = 1 // 0\ndef pull():\n    pass\n", "hello.star:1:7"},
		"no pull":   {"x = 1\n", "no function pull()"},
		"load":      {"load(\"lib/gone.star\", \"x\")\ndef pull():\n    pass\n", "no such file"},
		"cycle":     {"load(\"hello.star\", \"x\")\ndef pull():\n    pass\n", "load cycle: hello.star -> hello.star"},
		"at load":   {"send(\"x\")\ndef pull():\n    pass\n", "move the call into pull()"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, counting)
			w.start()
			w.write("scripts/hello.star", c.text)
			s := w.until("the refusal", func(s Status) bool { return len(s.Reloads) > 0 })
			if r := s.Reloads[0]; r.Kind != "script" || !strings.Contains(r.Error, c.want) {
				t.Errorf("got %+v, want %q in its error", r, c.want)
			}
			if !slices.ContainsFunc(s.Ready(), func(p string) bool { return strings.Contains(p, c.want) }) {
				t.Errorf("readiness does not tell: %q", s.Ready())
			}
			n := len(w.sink("out").until(t, "an event", has(1)))
			wantCounted(t, w.sink("out").until(t, "the old version going on", has(n+1)))
			w.write("scripts/hello.star", counting)
			w.until("the error to go away", func(s Status) bool { return len(s.Ready()) == 0 })
		})
	}
}

func TestFailingTestsKeepAScriptOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting+"answer = 42\n")
	w.write("scripts/hello_test.star", "def test_it(t):\n    t.equal(t.script.answer, 42)\n")
	w.start()
	w.write("scripts/hello.star", counting+"answer = 41\n")
	s := w.until("the refusal", func(s Status) bool { return len(s.Reloads) > 0 })
	if r := s.Reloads[0]; !strings.Contains(r.Error, "hello_test.star:2:12") || !strings.Contains(r.Error, "got  41") {
		t.Errorf("got %+v", r)
	}
	// Nor does a change of the configuration bring it in.
	w.write("config.yaml", strings.Replace(worldConfig, "request_period_in_seconds: 1", "request_period_in_seconds: 2", 1))
	s = w.until("the refusal of the configuration", func(s Status) bool { return len(s.Reloads) == 2 && s.Reloads[0].Kind == "config" })
	if r := s.Reloads[0]; !strings.Contains(r.Error, "got  41") {
		t.Errorf("got %+v", r)
	}
	// The configuration waits for the script: both come into use when it is right.
	w.write("scripts/hello.star", counting+"answer = 42\n# repaired\n")
	w.until("the repaired script", func(s Status) bool { return len(s.Ready()) == 0 })
	if period := w.engine.Status().Config; period.Loaded.IsZero() {
		t.Error("no configuration is loaded")
	}
}

func TestUntestedScriptDoesNotStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.write("scripts/hello_test.star", "def test_it(t):\n    t.equal(1, 2)\n")
	config, err := LoadConfig(filepath.Join(w.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = New(config, w.options()); err == nil || !strings.Contains(err.Error(), "hello_test.star:2:12") {
		t.Errorf("got %v", err)
	}
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

func TestRefusedConfigurationWaitsForItsFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "greeting = setting(\"greeting\")\ndef pull():\n    send(greeting)\n")
	w.start()
	w.write("config.yaml", strings.Replace(worldConfig, "hello: {}", "hello: {greeting: \"${file:greeting.txt}\"}", 1))
	w.until("the refusal", func(s Status) bool {
		return len(s.Reloads) == 1 && strings.Contains(s.Reloads[0].Error, "greeting.txt")
	})
	w.write("greeting.txt", "hello from a file\n")
	w.sink("out").until(t, "the greeting", func(got []string) bool { return slices.Contains(got, "hello from a file") })
}

func TestRefusedConfigurationChangesNoLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	w.write("config.yaml", strings.Replace(worldConfig, "hello: {}", "hello: {wrong: 1}", 1)+"starling: {limits: {outbox_bytes: 5MiB}}\n")
	w.until("the refusal", func(s Status) bool { return len(s.Reloads) == 1 && s.Reloads[0].Error != "" })
	w.engine.Store().mu.Lock()
	defer w.engine.Store().mu.Unlock()
	if got := w.engine.Store().limit; got != 1<<30 {
		t.Errorf("the outbox is limited to %d bytes by a configuration that was refused", got)
	}
}

func TestConfigurationChangesWithoutTouchingTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
greeting = setting("greeting")
def pull():
    send(greeting)
`)
	w.write("scripts/good.star", counting)
	base := strings.Replace(worldConfig, "hello: {}", "hello: {greeting: first}\n      good: {}", 1)
	w.write("config.yaml", base)
	w.start()
	sink := w.sink("out")
	sink.until(t, "the first greeting", func(got []string) bool { return slices.Contains(got, "first") })
	good := w.engine.collectors["source/1/good"]

	w.write("config.yaml", strings.Replace(base, "first", "second", 1))
	sink.until(t, "the second greeting", func(got []string) bool { return slices.Contains(got, "second") })
	w.engine.mu.Lock()
	if w.engine.collectors["source/1/good"] != good {
		t.Error("a collector that did not change was replaced")
	}
	w.engine.mu.Unlock()

	w.write("config.yaml", strings.Replace(base, "greeting: first", "greting: third", 1))
	s := w.until("the refusal", func(s Status) bool { return len(s.Reloads) > 0 && s.Reloads[0].Error != "" })
	if e := s.Reloads[0].Error; !strings.Contains(e, "config.yaml:14:") || !strings.Contains(e, "greting") || !strings.Contains(e, "greeting") {
		t.Errorf("the refusal does not name place, key and nearest key: %q", e)
	}

	// A new output gets what comes from now on, beside the old one, which keeps its connection.
	w.write("config.yaml", strings.Replace(base, "out: {type: memory}", "out: {type: memory}\n  two: {type: memory}", 1))
	w.until("the second output", func(s Status) bool { return len(s.Sinks) == 2 })
	w.sink("two").until(t, "events at the second output", has(1))
	if w.sink("out") != sink {
		t.Error("an output that did not change was made again")
	}

	w.write("config.yaml", strings.Replace(base, "\n      good: {}", "", 1))
	w.until("the end of the collector", func(s Status) bool { return len(s.Collectors) == 1 && len(s.Sinks) == 1 })
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

func TestScriptsFolderOfAConfigMap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	// As kubelet mounts it: the files are links to ..data, which is a link to the current version.
	folder := filepath.Join(w.dir, "mounted")
	version := func(name, script string) {
		if err := errors.Join(os.MkdirAll(filepath.Join(folder, name), 0o700),
			os.WriteFile(filepath.Join(folder, name, "hello.star"), []byte(script), 0o600),
			os.Symlink(name, filepath.Join(folder, "..tmp")),
			os.Rename(filepath.Join(folder, "..tmp"), filepath.Join(folder, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	version("..2026_01", counting)
	if err := os.Symlink("..data/hello.star", filepath.Join(folder, "hello.star")); err != nil {
		t.Fatal(err)
	}
	w.write("config.yaml", worldConfig+"starling: {scripts: mounted}\n")
	w.start()
	w.sink("out").until(t, "an event of the first version", has(1))
	version("..2026_02", "def pull():\n    send('second')\n")
	os.RemoveAll(filepath.Join(folder, "..2026_01"))
	w.sink("out").until(t, "an event of the second version", func(got []string) bool { return slices.Contains(got, "second") })
}

func TestFolderBehindALinkIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	// As git-sync does it: the folder itself is a link that is moved to the next checkout.
	for name, script := range map[string]string{"one": counting, "two": "def pull():\n    send('second')\n"} {
		w.write(name+"/hello.star", script)
	}
	link := filepath.Join(w.dir, "current")
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	w.write("config.yaml", worldConfig+"starling: {scripts: current}\n")
	w.start()
	w.sink("out").until(t, "an event of the first version", has(1))
	if err := errors.Join(os.Symlink("two", link+".new"), os.Rename(link+".new", link)); err != nil {
		t.Fatal(err)
	}
	w.sink("out").until(t, "an event of the second version", func(got []string) bool { return slices.Contains(got, "second") })
}

func TestVanishedScriptIsGivenTimeToReturn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	w.sink("out").until(t, "an event", has(1))
	script := filepath.Join(w.dir, "scripts", "hello.star")
	// Each time long enough to be seen as gone and short enough to be forgiven; together too long.
	for range 3 {
		n := len(w.sink("out").until(t, "an event", has(1)))
		if err := os.Rename(script, script+".away"); err != nil {
			t.Fatal(err)
		}
		w.sink("out").until(t, "two more events", has(n+2))
		if err := os.Rename(script+".away", script); err != nil {
			t.Fatal(err)
		}
		w.sink("out").until(t, "more events", has(n+4))
	}
	if r := w.engine.Status().Reloads; len(r) != 0 {
		t.Errorf("a script that was away for a moment was reported: %+v", r)
	}
}

// reloadingSink has a file that can be replaced, as a sink with a certificate has.
type reloadingSink struct {
	*memorySink
	file string
	mu   sync.Mutex
	text string
}

func (s *reloadingSink) Files() []string { return []string{s.file} }

func (s *reloadingSink) Reload() error {
	text, err := os.ReadFile(s.file)
	if err != nil || !strings.HasPrefix(string(text), "good") {
		return fmt.Errorf("%s: not a certificate", s.file)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = string(text)
	return nil
}

func TestCertificateIsReloaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.write("certs/cert.pem", "good 1")
	sink := &reloadingSink{memorySink: newMemorySink(), file: filepath.Join(w.dir, "certs", "cert.pem"), text: "good 1"}
	config, err := LoadConfig(filepath.Join(w.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o := w.options()
	o.NewSink = func(Output) (Sink, error) { return sink, nil }
	w.run(config, o)
	uses := func() string {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return sink.text
	}
	w.write("certs/cert.pem", "good 2")
	w.until("the new certificate", func(s Status) bool {
		return len(s.Reloads) == 1 && s.Reloads[0].Kind == "certificate" && uses() == "good 2"
	})
	w.write("certs/cert.pem", "bad")
	w.until("the refusal", func(s Status) bool { return strings.Contains(s.Reloads[0].Error, "not a certificate") })
	if uses() != "good 2" {
		t.Errorf("a bad certificate is in use: %q", uses())
	}
	w.write("certs/cert.pem", "good 3")
	w.until("the next good one", func(s Status) bool { return s.Reloads[0].Error == "" && uses() == "good 3" })
}

func TestForcedReloadReadsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	w.engine.Reload()
	s := w.until("the reload", func(s Status) bool { return len(s.Reloads) == 1 })
	if r := s.Reloads[0]; r.Kind != "config" || r.Error != "" {
		t.Errorf("got %+v", r)
	}
	w.sink("out").until(t, "an event", has(1))
	if w.made != 1 {
		t.Errorf("an output that did not change was made %d times", w.made)
	}
}
