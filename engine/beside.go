package engine

import (
	"context"
	"errors"

	"go.starlark.net/starlark"
)

// Work is what a pull has done beside its script. Its methods are for the goroutine that runs the script.
type Work struct {
	pull, own *Pull
	cancel    context.CancelCauseFunc
	done      chan struct{}
	panicked  any
	notes     int // of the API's clock, when it began
}

// Beside runs f in a goroutine of its own while the script goes on. The pull that f gets is for asking APIs:
// nothing can be staged with it, and what it has counted belongs to p once the work was waited for. Wait or
// Cancel must be called. In a test that sets the clock nothing happens at once, so f has run when Beside returns.
func (p *Pull) Beside(f func(*Pull)) *Work {
	ctx, cancel := context.WithCancelCause(p.ctx)
	own := &Pull{env: p.env, ctx: ctx, outer: p.ctx, collector: p.collector, started: p.started, now: p.now, measure: p.measure,
		jump: p.jump, log: p.log, handover: p.handover, limits: p.limits}
	if p.lane != nil {
		own.lane, own.apiClock = p.lane.newLane(p.lane.at, p.lane.set), p.apiClock.clone()
	}
	w := &Work{pull: p, own: own, cancel: cancel, done: make(chan struct{})}
	if p.apiClock != nil {
		w.notes = p.apiClock.notes
	}
	run := func() {
		defer close(w.done)
		defer func() { w.panicked = recover() }()
		f(own)
	}
	if p.jump != nil {
		run()
		return w
	}
	p.beside.Go(run)
	return w
}

// Wait waits until the work is done, however it ends. A panic goes on in the script, where it becomes an error of the pull.
func (w *Work) Wait() {
	<-w.done
	w.cancel(nil)
	w.join()
	w.pull.Stats.Requests += w.own.Stats.Requests
	w.pull.Stats.Retries += w.own.Stats.Retries
	w.own.Stats = PullStats{}
	if w.panicked != nil {
		panic(w.panicked)
	}
}

// join has the script's lane of a recording know what came to light beside it.
func (w *Work) join() {
	l, own := w.pull.lane, w.own.lane
	if l == nil || own == nil {
		return
	}
	w.own.lane = nil
	l.set = own.set
	l.moveTo(own.at)
	w.pull.apiClock.join(w.own.apiClock, w.notes)
}

// leave has a recording say what was done beside the script for nothing: how far it came is up to chance.
func (w *Work) leave() {
	l := w.own.lane
	if l == nil {
		return
	}
	w.own.lane = nil
	if !l.playing {
		l.Left = append(l.Left, LeftLane{Lane: l.number, Requests: w.own.Stats.Requests, Retries: w.own.Stats.Retries})
		return
	}
	w.own.Stats = PullStats{}
	if i := l.leftLane(); i >= 0 {
		w.own.Stats = PullStats{Requests: l.Left[i].Requests, Retries: l.Left[i].Retries}
	}
	l.gone[l.number] = true
}

// Cancel breaks the work off, but for what Whole protects, and waits until it has ended.
func (w *Work) Cancel(cause error) {
	w.cancel(cause)
	<-w.done
	w.leave()
	w.Wait()
}

// Whole runs f, which is not broken off when work beside a script is: it ends when the pull must.
func (p *Pull) Whole(f func() error) error {
	if p.outer == nil {
		return f()
	}
	ctx := p.ctx
	p.ctx = p.outer
	defer func() { p.ctx = ctx }()
	return f()
}

var errPrints = errors.New("it prints")

// WithoutPull calls f while builtins find no pull on thread. What f has a script's function do then depends on nothing that
// changes while the pull runs, or it fails, as it does when it prints: then nothing has happened, and it can be called again.
func WithoutPull(thread *starlark.Thread, f func() error) error {
	pull, print := thread.Local(pullLocal), thread.Print
	printed := false
	thread.SetLocal(pullLocal, nil)
	thread.Print = func(*starlark.Thread, string) { printed = true }
	defer func() {
		thread.SetLocal(pullLocal, pull)
		thread.Print = print
	}()
	err := f()
	if printed && err == nil {
		err = errPrints
	}
	return err
}
