package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

const (
	callTimeout = 10 * time.Minute // of one call of a sink; sinks have shorter ones of their own
	callGrace   = 5 * time.Second  // what a sink gets to return after its context ended
	maxWait     = 10 * time.Minute // no receiver can ask for a longer pause
)

// call calls the sink in a goroutine of its own. A call that does not return in time after its context
// ended is abandoned: neither a stop nor a reload waits for it, and the sink is not used again until it
// has returned. A panic becomes an error.
func (d *delivery) call(ctx context.Context, f func(context.Context) error) error {
	if err := d.returned(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("the output took longer than %v", callTimeout))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.contained(func() error { return f(ctx) }) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(callGrace):
	}
	d.busy = done
	d.env.Logger.Error("an output does not end although it was told to; it is left alone until it has returned", string(KeySink), d.output.Name)
	return Errorf(CodeSink, "output "+d.output.Name, "%w, and it did not end when it was told to", context.Cause(ctx))
}

// returned makes the sink usable again if a call that was abandoned has returned.
func (d *delivery) returned(ctx context.Context) error {
	if d.busy == nil {
		return nil
	}
	var late error
	select {
	case late = <-d.busy:
		d.busy = nil
	default:
		return Errorf(CodeSink, "output "+d.output.Name, "it has still not returned from an earlier call, and is not used until then")
	}
	lagging, ok := d.sink.(Lagging)
	if !ok {
		return nil
	}
	// It may hold epochs that are offered again: they are settled, and then count for nothing.
	if late == nil {
		if late = d.call(ctx, lagging.Settle); d.busy != nil {
			return late
		}
	}
	d.known = lagging.Confirmed()
	return nil
}

// contained makes an error of a panic.
func (d *delivery) contained(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			d.env.Logger.Error("panic in an output", string(KeySink), d.output.Name, "stack", d.env.Redactor.Redact(string(debug.Stack())))
			err = &Error{Code: CodeSink, Op: "output " + d.output.Name, Err: fmt.Errorf("panic: %v", r), Hint: "this is a defect of the program: report it with the log"}
		}
	}()
	return f()
}

var errStillOpen = errors.New("it does not end")

// close closes the sink, but waits no longer than callGrace for it.
func (d *delivery) close() {
	busy, closed := d.busy, make(chan error, 1)
	go func() {
		if busy != nil {
			<-busy
		}
		closed <- d.contained(d.sink.Close)
	}()
	var err error
	select {
	case err = <-closed:
	case <-time.After(callGrace):
		err = errStillOpen
	}
	if err != nil {
		d.env.Logger.Warn("output did not close in order", string(KeySink), d.output.Name, "error", d.env.Redactor.Redact(err.Error()))
	}
}
