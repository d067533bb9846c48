package certify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"starling/engine"
)

// A Script is what is certified.
type Script struct {
	Library  *engine.Library // with Statements
	Sources  *engine.Sources
	Name     string
	Settings map[string]any
	Limits   engine.Limits
	First    bool // stop at the first cell that is not in order
}

// An outcome is what pulls came to in one cell.
type outcome struct {
	cell     *Cell
	pulls    []pulled
	log      []*served
	commits  int
	events   []map[string]string // the values of each event, by path
	ended    error               // why it never came to rest; nil if it did
	endless  bool                // it asked without end
	restless bool                // new events came without end
	quiet    bool                // a pull went well while every answer was broken
}

type pulled struct {
	err   error
	steps []engine.Step
	first int // number of its first request, from 1
	last  int
	found int
}

// Limits of one cell.
const (
	mostPulls = 40
	pullTime  = 20 * time.Second
	mostTimes = 6 // events of a row
	failures  = 6 // pulls in a row, with nothing broken any more
	settleAge = 26 * time.Hour
)

type runner struct {
	script Script
	api    *API
	store  *engine.Store
	most   int // requests of a pull
	number int
}

// run pulls in one cell until nothing more comes.
func (r *runner) run(ctx context.Context, cell *Cell) (*outcome, error) {
	r.number++
	o := &outcome{cell: cell}
	var trial *engine.Trial
	s := &server{api: r.api, cell: cell, marks: r.script.Library.Statements, most: r.most}
	s.now = func() time.Time { return trial.Now().Add(-cell.Skew) }
	s.pass = func(d time.Duration) { trial.Set(trial.Now().Add(d)) }
	setup := engine.TrialSetup{Name: fmt.Sprintf("certify-%d", r.number), Script: r.script.Name, Settings: r.script.Settings, Transport: s, Now: r.api.Now.Add(cell.Skew),
		Limits: r.script.Limits, Store: r.store, Kill: func(step engine.Step) error { return o.kill(step) }}
	trial, err := r.script.Library.Trial(r.script.Sources, setup)
	if err != nil {
		return nil, err
	}
	r.script.Library.Statements.Each = func(at *engine.Statement) { s.follow(at) }
	defer func() { r.script.Library.Statements.Each = nil }()
	err = r.pulls(ctx, trial, s, o)
	o.log = s.log
	return o, err
}

// follow notes the statements behind a request, for who reads the verdict.
func (s *server) follow(at *engine.Statement) {
	if len(s.log) == 0 {
		return
	}
	for _, one := range s.log[max(0, len(s.log)-2):] { // the page that the loop has, and the one that was asked for ahead
		if one.Pull == s.pull && len(one.Then) < 24 && !slices.Contains(one.Then, at.Line) {
			one.Then = append(one.Then, at.Line)
		}
	}
}

// kill ends a pull at the commit that the cell says.
func (o *outcome) kill(step engine.Step) error {
	if step.Kind == "commit" {
		o.commits++
	}
	wanted := "commit"
	if o.cell.KillAfter {
		wanted = "committed"
	}
	if step.Kind == wanted && o.commits == o.cell.KillCommit {
		o.commits++ // once
		return engine.Kill()
	}
	return nil
}

func (r *runner) pulls(ctx context.Context, trial *engine.Trial, s *server, o *outcome) error {
	quiet, failed, settled := 0, 0, 0
	var old map[string]json.RawMessage
	for n := 0; ; n++ {
		p, err := r.pull(ctx, trial, s, o, n)
		if err != nil {
			return err
		}
		over := s.over(n)
		switch {
		case p.err == nil && p.found == 0:
			quiet, failed = quiet+1, 0
		case p.err == nil:
			quiet, failed = 0, 0
		case over:
			quiet, failed = 0, failed+1
		}
		if n == 0 {
			if old, err = trial.Cursors(); err != nil {
				return err
			}
		}
		o.quiet = o.quiet || s.silent(p, n)
		switch {
		case errors.Is(p.err, errEndless) || p.err != nil && strings.Contains(p.err.Error(), errEndless.Error()):
			o.ended, o.endless = p.err, true
			return nil
		case failed == failures:
			o.ended = p.err
			return nil
		case n == mostPulls || over && len(o.events) > mostTimes*len(r.api.rows()):
			o.restless = true
			return nil
		}
		step := r.api.Period
		if quiet >= 2 && over && n > fresh || settled > 0 && quiet > 0 {
			if settled == 2 {
				return nil
			}
			if o.cell.Old && len(old) > 0 {
				for name, v := range old {
					if err := trial.SetCursor(name, v); err != nil {
						return err
					}
				}
				old, quiet = map[string]json.RawMessage{}, 0
				if err := trial.Restart(); err != nil {
					return err
				}
				continue
			}
			quiet, settled, step = 0, settled+1, settleAge
		}
		trial.Set(trial.Now().Add(step))
	}
}

// silent reports whether a pull says that all is well while nothing that it asked for rows was answered.
func (s *server) silent(p pulled, n int) bool {
	if p.err != nil || s.cell.Fault == nil || s.cell.Fault.Lasts != forGood {
		return false
	}
	asked, failed := 0, 0
	for _, one := range s.log[p.first-1 : p.last] {
		if one.List != nil {
			asked++
			if one.Fault != "" {
				failed++
			}
		}
	}
	return asked > 0 && asked == failed
}

func (r *runner) pull(ctx context.Context, trial *engine.Trial, s *server, o *outcome, n int) (pulled, error) {
	ctx, stop := context.WithTimeout(ctx, pullTime)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.begin(n, cancel)
	p := pulled{first: len(s.log) + 1}
	tried, err := trial.Pull(ctx)
	if err != nil {
		return p, err
	}
	p.err, p.steps, p.last = tried.Err, tried.Steps, len(s.log)
	if cause := context.Cause(ctx); errors.Is(cause, errEndless) {
		p.err = errors.Join(tried.Err, errEndless)
	}
	for _, e := range tried.Events {
		p.found++
		o.events = append(o.events, leavesOf(e.Body))
	}
	o.pulls = append(o.pulls, p)
	if engine.Killed(tried.Err) || engine.Killed(context.Cause(ctx)) {
		return p, trial.Restart()
	}
	return p, nil
}

// leavesOf are the values of an event by their paths; a text that is no JSON is one value.
func leavesOf(body []byte) map[string]string {
	found := map[string]string{}
	var v any
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if d.Decode(&v) != nil {
		v = string(body)
	}
	leaves("", v, found)
	return found
}

func leaves(path string, v any, found map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			leaves(path+"."+name, x, found)
		}
	case []any:
		for _, x := range v {
			leaves(path+"[]", x, found)
		}
	case json.Number:
		found[path] = v.String()
	case string:
		found[path] = v
	}
}
