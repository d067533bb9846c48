package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

// testFile names the file with the tests of a script.
func testFile(script string) string { return strings.TrimSuffix(script, ".star") + "_test.star" }

// TestResult is the outcome of one test_* function.
type TestResult struct {
	Name     string
	Duration time.Duration
	Err      error // nil if it passed; a *ScriptError names the line
}

// TestResults are the outcomes of one file of tests, in the order of their names.
type TestResults struct {
	File    string
	Results []TestResult
	LoadErr error // the file itself does not load
}

// Err joins all failures, or is nil.
func (r TestResults) Err() error {
	if r.LoadErr != nil {
		return r.LoadErr
	}
	var failed []error
	for _, t := range r.Results {
		if t.Err != nil {
			failed = append(failed, &Error{Code: CodeScript, Op: t.Name, Err: errors.New(describe(t.Err))})
		}
	}
	return errors.Join(failed...)
}

// Test runs every test_* function of a file of tests, each with state, a clock and canned answers of
// its own: nothing is asked of the network and nothing is kept. X_test.star tests X.star, or the script
// that the text "script" of the test file names, which is configured with the dict "settings" of it.
func (l *Library) Test(ctx context.Context, sources *Sources, file string, limits Limits) TestResults {
	r := TestResults{File: file}
	if l.Statements != nil { // marks take steps
		limits.Steps, limits.LoadSteps = 3*limits.Steps, 3*limits.LoadSteps
	}
	globals, err := l.testGlobals(ctx, sources, file, limits)
	if err != nil {
		r.LoadErr = err
		return r
	}
	found := 0
	store, err := OpenStore("", limits.OutboxBytes)
	if err != nil {
		r.LoadErr = err
		return r
	}
	defer store.Close()
	for _, name := range globals.Keys() {
		f, ok := globals[name].(*starlark.Function)
		if !ok || !strings.HasPrefix(name, "test_") {
			continue
		}
		found++
		if l.TestOnly != nil && !l.TestOnly(name) {
			continue
		}
		r.Results = append(r.Results, l.testOne(ctx, store, sources, file, globals, f, limits)...)
	}
	if found == 0 {
		r.LoadErr = fmt.Errorf("%s: no test_* function in it: define one that takes t", sources.files[file].display)
	}
	return r
}

// testGlobals runs the top level of a file of tests.
func (l *Library) testGlobals(ctx context.Context, sources *Sources, file string, limits Limits) (starlark.StringDict, error) {
	env := &Env{Logger: slog.New(slog.DiscardHandler), Telemetry: NewTelemetry(nil, nil), Shared: &Shared{}, Redactor: &Redactor{}, Limits: limits}
	ld := &loader{library: l, sources: sources, load: &Load{Ctx: ctx, Settings: NewSettings(nil), Env: env, Collector: file}, modules: map[string]*module{}}
	name, err := sources.resolve(file)
	if err != nil {
		return nil, err
	}
	m := ld.module(name)
	return m.globals, m.err
}

// testOne runs a test and returns its outcome and those of its parts.
func (l *Library) testOne(ctx context.Context, store *Store, sources *Sources, file string, globals starlark.StringDict, f *starlark.Function, limits Limits) []TestResult {
	late := fmt.Errorf("the test ran longer than %v: end its loops, or raise starling.limits.test_timeout if the machine is busy", limits.TestTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limits.TestTimeout, late)
	defer cancel()
	began := time.Now()
	t, err := l.newTest(ctx, store, sources, file, globals, f.Name(), limits)
	if err == nil {
		err = t.call(f)
	}
	if err != nil && errors.Is(context.Cause(ctx), late) && !strings.Contains(err.Error(), late.Error()) {
		err = fmt.Errorf("%w; it was at: %w", late, err) // what the test saw then is not what its script does
	}
	return append([]TestResult{{Name: f.Name(), Duration: time.Since(began), Err: err}}, t.parts...)
}

func (l *Library) newTest(ctx context.Context, store *Store, sources *Sources, file string, globals starlark.StringDict, name string, limits Limits) (*scriptTest, error) {
	t := &scriptTest{ctx: ctx, library: l, sources: sources, script: strings.TrimSuffix(file, "_test.star") + ".star", file: file, name: name, now: time.Now().UTC()}
	t.state(store, limits)
	if script, ok := starlark.AsString(globals["script"]); ok {
		t.script = script
	}
	var err error
	if settings, ok := globals["settings"].(*starlark.Dict); ok {
		if t.settings, err = goDict(settings); err != nil {
			err = fmt.Errorf("settings: %w", err)
		}
	}
	return t, err
}

// state gives t answers, quotas and a place in the store of its own.
func (t *scriptTest) state(store *Store, limits Limits) {
	t.key, t.canned = "test/"+t.name, &canned{}
	t.env = &Env{Logger: slog.New(slog.DiscardHandler), Telemetry: NewTelemetry(nil, nil), Transport: t.canned, Identity: Identity{Transport: t.canned}, Shared: &Shared{},
		Redactor: &Redactor{}, Limits: limits, Store: store}
}

// call runs a function of the test file with t.
func (t *scriptTest) call(f starlark.Callable) error {
	if _, err := t.invoke(f); err != nil {
		return err
	}
	return t.canned.unused()
}

func (t *scriptTest) invoke(f starlark.Callable) (starlark.Value, error) {
	// Builtins that need a pull, such as time.now, find the one of the test.
	thread := t.newPull().NewThread(t.name)
	thread.Print = func(*starlark.Thread, string) {}
	ctx, end := context.WithCancelCause(t.ctx)
	defer end(nil)
	v, err := watched(ctx, end, t.env, thread, t.env.Limits.Steps, func() (starlark.Value, error) {
		return starlark.Call(thread, f, starlark.Tuple{t}, nil)
	})
	if err != nil {
		return nil, newScriptError(err, t.sources.byDisplay)
	}
	return v, nil
}

// scriptTest is the value t that a test function gets.
type scriptTest struct {
	ctx      context.Context
	library  *Library
	sources  *Sources
	script   string
	file     string // of the test
	name     string // of the test, or of the part of it
	parts    []TestResult
	key      string // of the collector that the test is
	env      *Env
	settings map[string]any
	loaded   *Script
	now      time.Time
	canned   *canned
}

func (t *scriptTest) newPull() *Pull {
	p := NewPull(t.ctx, t.env, t.key)
	p.started, p.now = t.now, func() time.Time { return t.now }
	p.measure = p.now
	p.jump = func(d time.Duration) { t.now = t.now.Add(d) }
	return p
}

// load initialises the script under test, once, with the settings of the moment.
func (t *scriptTest) load() (*Script, error) {
	if t.loaded != nil {
		return t.loaded, nil
	}
	settings := NewSettings(t.settings)
	settings.open = t.sources.file
	s, err := t.library.Load(t.sources, t.script, &Load{Settings: settings, Env: t.env, Collector: t.key})
	t.loaded = s
	return s, err
}

// run pulls once and returns what a test wants to know of it.
func (t *scriptTest) run() (*starlark.Dict, error) {
	script, err := t.load()
	if err != nil {
		return nil, err
	}
	p := t.newPull()
	before := t.env.Store.nextChunk()
	requests := len(t.canned.requests)
	_, runErr := script.Run(p)
	events, err := t.events(before)
	if err != nil {
		return nil, err
	}
	result := starlark.NewDict(8)
	set := func(name string, v starlark.Value) { err = cmp.Or(err, result.SetKey(starlark.String(name), v)) }
	set("events", events)
	set("requests", starlark.NewList(t.canned.requests[requests:]))
	set("skipped", starlark.MakeInt64(p.Stats.Skipped))
	set("commits", starlark.MakeInt64(p.Stats.Commits))
	set("error", starlark.None)
	set("code", starlark.None)
	if runErr != nil {
		set("error", starlark.String(runErr.Error()))
		set("code", starlark.String(CodeOf(runErr, CodeScript)))
	}
	cursors, cerr := t.cursors()
	set("cursors", cursors)
	return result, cmp.Or(err, cerr)
}

// events returns what was committed since chunk from.
func (t *scriptTest) events(from uint64) (*starlark.List, error) {
	events, _, err := t.env.Store.Kept(from)
	list := starlark.NewList(nil)
	for _, e := range events {
		v, err := eventValue(e)
		if err != nil {
			return nil, err
		}
		if err := list.Append(v); err != nil {
			return nil, err
		}
	}
	return list, err
}

func (t *scriptTest) cursors() (*starlark.Dict, error) {
	all, err := t.env.Store.Cursors()
	d := starlark.NewDict(4)
	for _, name := range sortedKeys(all[t.key]) {
		v, derr := decodeJSON(string(all[t.key][name]))
		err = cmp.Or(err, derr, d.SetKey(starlark.String(name), v))
	}
	return d, err
}
