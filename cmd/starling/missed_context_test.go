package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A trialContext is the context of a pull of a trial, whose deadline is of the trial's time. That lies in the
// past of the machine's clock, so that nothing sets a timer; whoever lets time pass ends the context, and
// with it all that came of it, before anything else happens.
type trialContext struct {
	context.Context // values only
	deadline        time.Time
	done            chan struct{}

	mu    sync.Mutex
	cause error
	after []func()
}

func newTrialContext(parent context.Context, deadline time.Time) *trialContext {
	return &trialContext{Context: parent, deadline: deadline, done: make(chan struct{})}
}

func (c *trialContext) Deadline() (time.Time, bool) { return c.deadline, true }
func (c *trialContext) Done() <-chan struct{}       { return c.done }

func (c *trialContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause == nil:
		return nil
	case errors.Is(c.cause, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// AfterFunc is how package context learns of the end in the same moment.
func (c *trialContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.after)
	c.after = append(c.after, f)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if n >= len(c.after) {
			return false
		}
		c.after[n] = func() {}
		return true
	}
}

// end ends the context; the first cause counts.
func (c *trialContext) end(cause error) {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return
	}
	c.cause = cause
	after := c.after
	c.after = nil
	close(c.done)
	c.mu.Unlock()
	for _, f := range after {
		f()
	}
}
