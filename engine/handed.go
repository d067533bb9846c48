package engine

import (
	"context"
	"slices"
	"time"
)

// settleAfter is how long nothing new must come before a Lagging sink is asked to settle.
const settleAfter = time.Second

// handed is an epoch that the sink took.
type handed struct {
	next uint64 // the first chunk after it
	sent
	committed time.Time // its first chunk
}

// position returns the first chunk that the sink was not handed.
func (d *delivery) position() uint64 {
	tail := d.env.Store.tail(d.output.Name)
	if n := len(d.handed); n > 0 {
		return max(tail, d.handed[n-1].next)
	}
	return tail
}

// quiet ends the wait for more when the sink has something to settle.
func (d *delivery) quiet() <-chan time.Time {
	if len(d.handed) == 0 {
		return nil
	}
	return time.After(settleAfter)
}

// ask calls the sink. After an error it has forgotten all that it did not confirm.
func (d *delivery) ask(ctx context.Context, call func(context.Context) error) error {
	began := time.Now()
	err := d.call(ctx, call)
	d.update(func(s *SinkStatus) { s.Seconds += time.Since(began).Seconds() })
	if err == nil {
		return nil
	}
	if d.busy != nil { // it may still change what it counts
		d.handed = nil
		return err
	}
	if cerr := d.confirm(ctx); cerr != nil { // what was confirmed before the error comes again
		d.env.Logger.Warn("what an output confirmed could not be noted", string(KeySink), d.output.Name, "error", cerr.Error())
	}
	d.handed = nil
	if lagging, ok := d.sink.(Lagging); ok {
		d.known = lagging.Confirmed()
	}
	return err
}

// settle wants the evidence that is still missing.
func (d *delivery) settle(ctx context.Context) error {
	lagging, ok := d.sink.(Lagging)
	if !ok || len(d.handed) == 0 {
		return nil
	}
	if err := d.ask(ctx, lagging.Settle); err != nil {
		return err
	}
	return d.acknowledge(ctx, len(d.handed))
}

// confirm notes what the sink has confirmed: everything that it took, unless it is Lagging.
func (d *delivery) confirm(ctx context.Context) error {
	lagging, ok := d.sink.(Lagging)
	if !ok {
		return d.acknowledge(ctx, len(d.handed))
	}
	return d.acknowledge(ctx, int(min(lagging.Confirmed()-d.known, uint64(len(d.handed)))))
}

// acknowledge moves the sink's place past the first n epochs that it took. If that fails, they stay
// in handed, and the next call notes them too.
func (d *delivery) acknowledge(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	if err := d.env.Store.ack(d.output.Name, d.handed[n-1].next); err != nil {
		return err
	}
	for _, h := range d.handed[:n] {
		d.acknowledged(ctx, h.events, h.bytes, h.committed)
	}
	d.handed = slices.Delete(d.handed, 0, n)
	d.known += uint64(n)
	return nil
}
