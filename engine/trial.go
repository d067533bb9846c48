package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

// A Trial runs pulls of one script as a test does, against a transport of its own: for tools that try
// scripts. What a pull commits stays for the next one.
type Trial struct {
	test  *scriptTest
	store *Store
	steps []Step
	kill  func(Step) error
}

// A Step is what a pull did, with the statement of the script that it was at; Library.Statements must be set.
type Step struct {
	Kind   string     // "stage", "set", "commit" (about to be made) or "committed"
	At     *Statement // may be nil
	Cursor string     // that was set
	Value  string     // its JSON
	Moved  bool       // a commit: cursors are part of it
}

// A Tried is what a pull of a trial came to.
type Tried struct {
	Events []Event
	Stats  PullStats
	Steps  []Step
	Err    error
}

// errKilled ends a pull as a kill would: nothing that follows happens.
var errKilled = errors.New("killed here by the trial")

// Killed reports whether a pull ended because the trial wanted it to.
func Killed(err error) bool { return err != nil && strings.Contains(err.Error(), errKilled.Error()) }

// Kill is the error that a transport or a step returns to end the pull there.
func Kill() error { return errKilled }

// A TrialSetup says what is tried.
type TrialSetup struct {
	Name      string // of the place in the store; another one is another state
	Script    string
	Settings  map[string]any
	Transport http.RoundTripper
	Now       time.Time
	Limits    Limits
	// Store keeps what is committed, as OpenStore("") makes it.
	Store *Store
	// Kill is asked before each step is done; an error ends the pull. It may be nil.
	Kill func(Step) error
}

// Trial loads the script. An error is one of the script or its settings.
func (l *Library) Trial(sources *Sources, setup TrialSetup) (*Trial, error) {
	setup.Store.forgetQuotas()
	limits := setup.Limits
	limits.Steps, limits.LoadSteps = 3*limits.Steps, 3*limits.LoadSteps // marks take steps
	t := &scriptTest{library: l, sources: sources, script: setup.Script, name: setup.Name, settings: setup.Settings, now: setup.Now}
	t.state(setup.Store, limits)
	t.env.Transport, t.env.Identity.Transport = setup.Transport, setup.Transport
	trial := &Trial{test: t, store: setup.Store, kill: setup.Kill}
	_, err := t.load()
	return trial, err
}

// forgetQuotas is for a store in memory that another trial, with another clock, has used.
func (s *Store) forgetQuotas() {
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	s.quotas.all = nil
}

// Now is the time of the trial's machine.
func (t *Trial) Now() time.Time { return t.test.now }

// Set sets the clock.
func (t *Trial) Set(now time.Time) { t.test.now = now }

// Restart forgets what a process forgets when it ends: tokens, quotas, the script's top level.
func (t *Trial) Restart() error {
	t.test.env.Shared, t.test.loaded = &Shared{}, nil
	_, err := t.test.load()
	return err
}

// Cursors are the committed ones.
func (t *Trial) Cursors() (map[string]json.RawMessage, error) {
	all, err := t.store.Cursors()
	return all[t.test.key], err
}

// SetCursor puts a cursor into the store, as starling state set does.
func (t *Trial) SetCursor(name string, value json.RawMessage) error {
	return t.store.SetCursor(t.test.key, name, value)
}

// Pull pulls once.
func (t *Trial) Pull(ctx context.Context) (Tried, error) {
	script, err := t.test.load()
	if err != nil {
		return Tried{}, err
	}
	t.steps = nil
	t.test.ctx = ctx
	p := t.test.newPull()
	p.told = t.told
	before := t.store.nextChunk()
	_, runErr := script.Run(p)
	events, _, err := t.store.Kept(before)
	return Tried{Events: events, Stats: p.Stats, Steps: t.steps, Err: runErr}, err
}

func (t *Trial) told(s Step) error {
	if marks := t.test.library.Statements; marks != nil {
		s.At = marks.Last()
	}
	t.steps = append(t.steps, s)
	if t.kill == nil {
		return nil
	}
	return t.kill(s)
}

// A TestFile is what a file of tests declares for tools that try the script.
type TestFile struct {
	Script   string
	Settings map[string]any
	Now      time.Time // zero if it sets no clock
	Declared map[string]any
	Answers  []Answer
}

// An Answer is one that a file of tests has for requests.
type Answer struct {
	Method, Part string
	Status       int
	Header       http.Header
	Body         string
}

// TestFile reads the settings of a file of tests and what it declares under name: a dict, or a function
// that gets t, calls t.settings, t.clock and t.http, and may return a dict. Declared is nil without either.
func (l *Library) TestFile(ctx context.Context, sources *Sources, file, name string, limits Limits) (TestFile, error) {
	var f TestFile
	globals, err := l.testGlobals(ctx, sources, file, limits)
	if err != nil {
		return f, err
	}
	store, err := OpenStore("", limits.OutboxBytes)
	if err != nil {
		return f, err
	}
	defer store.Close()
	t, err := l.newTest(ctx, store, sources, file, globals, name, limits)
	if err != nil {
		return f, err
	}
	began := t.now
	declared := globals[name]
	if call, ok := declared.(starlark.Callable); ok {
		if declared, err = t.invoke(call); err != nil {
			return f, err
		}
		f.Declared = map[string]any{}
	}
	if d, ok := declared.(*starlark.Dict); ok {
		if f.Declared, err = goDict(d); err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
	}
	f.Script, f.Settings = t.script, t.settings
	if t.now != began {
		f.Now = t.now
	}
	for _, a := range t.canned.answers {
		f.Answers = append(f.Answers, Answer{Method: a.method, Part: a.part, Status: a.status, Header: a.header, Body: a.body})
	}
	return f, nil
}
