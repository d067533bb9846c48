package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	refusedTries = 3           // so often an event is offered alone before it counts as refused
	refusedPause = time.Second // between them
	// What is refused in a row, with nothing taken in between, is held in memory up to this many bytes.
	// The output is at fault if there is more.
	maxRefused = 16 << 20
	// In the first attempt fewer events are tried before the output is left alone for a while; each
	// further attempt may try twice as many.
	firstProbes = 128
)

// refused returns the refusal in err, or nil.
func refused(err error) *Refused {
	r, _ := errors.AsType[*Refused](err)
	return r
}

// suspect is an event that was refused alone. It is set aside once the output took another one.
type suspect struct {
	event  Event
	reason error
}

// isolation delivers chunks in parts, so that an event that is refused holds no other back. Order is
// kept. No event is given up unless the output took another one of the same chunks, which shows that
// the event is at fault and not the output.
type isolation struct {
	d          *delivery
	suspects   []suspect
	held       int // bytes of them
	probes     int // left
	taken, cut int64
	bytes      int
}

// isolate delivers the chunk at from in parts, and those after it while nothing is taken.
func (d *delivery) isolate(ctx context.Context, from uint64) error {
	i := &isolation{d: d, probes: firstProbes << min(d.status.Failures, 16)}
	for id := from; ; id++ {
		c, _, err := d.env.Store.chunk(id)
		switch {
		case errors.Is(err, errDropped):
			return nil
		case err != nil:
			return err
		case c.events == nil && len(i.suspects) == 0:
			d.part = from // the whole epoch is done
			return nil
		case c.events == nil:
			return i.stuck()
		}
		if err := i.offer(ctx, c.events); err != nil {
			return err
		}
		if i.taken > 0 {
			return i.done(ctx, id+1, c.committed)
		}
	}
}

// offer delivers events as one epoch; if one of them is refused, in parts around it.
func (i *isolation) offer(ctx context.Context, events []Event) error {
	for len(events) > 1 {
		err := i.deliver(ctx, events)
		r := refused(err)
		if r == nil {
			return err
		}
		at, rest := r.Index, r.Index+1
		if at < 0 || at >= len(events) {
			at, rest = len(events)/2, len(events)/2
		}
		if err := i.offer(ctx, events[:at]); err != nil {
			return err
		}
		if err := i.offer(ctx, events[at:rest]); err != nil {
			return err
		}
		events = events[rest:]
	}
	if len(events) == 1 {
		return i.alone(ctx, events[0])
	}
	return nil
}

// alone delivers one event, or makes it a suspect. The first one gets several tries, in case the
// output has a bad moment.
func (i *isolation) alone(ctx context.Context, e Event) error {
	for try := 1; ; try++ {
		err := i.deliver(ctx, []Event{e})
		r := refused(err)
		if r == nil {
			return err
		}
		if i.d.output.Oversized == Cut && r.Limit > 0 && len(e.Body) > r.Limit {
			if short := cutBody(e.Body, r.Limit); short != nil {
				return i.short(ctx, e, short, r)
			}
		}
		if len(i.suspects) > 0 || try == refusedTries {
			return i.suspect(e, r)
		}
		select {
		case <-time.After(refusedPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// short delivers what is left of an event that is too large for the output.
func (i *isolation) short(ctx context.Context, e Event, body []byte, r *Refused) error {
	cut := e
	cut.Body = body
	err := i.deliver(ctx, []Event{cut})
	if refused(err) != nil {
		return i.suspect(e, r)
	}
	if err == nil {
		i.cut++
	}
	return err
}

func (i *isolation) suspect(e Event, r *Refused) error {
	i.suspects = append(i.suspects, suspect{e, r.Err})
	i.held += len(e.Body)
	if i.probes--; i.taken == 0 && (i.probes <= 0 || i.held > maxRefused) {
		return i.stuck()
	}
	return nil
}

// stuck says that nothing was taken, so that the output may be at fault.
func (i *isolation) stuck() error {
	last := i.suspects[len(i.suspects)-1].reason
	return &Error{Code: CodeSink, Op: "output " + i.d.output.Name,
		Err:  fmt.Errorf("it refuses every event that it was offered, %d so far; the last one: %w", len(i.suspects), last),
		Hint: "events are set aside only once it takes others; check the output's configuration and that of the receiver"}
}

// deliver has events acknowledged as an epoch of their own.
func (i *isolation) deliver(ctx context.Context, events []Event) error {
	d := i.d
	err := d.ask(ctx, func(ctx context.Context) error { return d.sink.Send(ctx, events) })
	if err == nil {
		err = d.ask(ctx, d.sink.Flush)
	}
	if lagging, ok := d.sink.(Lagging); ok && err == nil {
		if err = d.ask(ctx, lagging.Settle); err == nil {
			d.known++
		}
	}
	if err != nil {
		return err
	}
	i.taken += int64(len(events))
	for _, e := range events {
		i.bytes += len(e.Body)
	}
	return nil
}

// done sets the suspects aside and then moves the output's place to next.
func (i *isolation) done(ctx context.Context, next uint64, committed time.Time) error {
	d := i.d
	if err := i.setAside(); err != nil {
		return err
	}
	if err := d.env.Store.ack(d.output.Name, next); err != nil {
		return err
	}
	d.acknowledged(ctx, int(i.taken), i.bytes, committed)
	aside := int64(len(i.suspects))
	d.update(func(s *SinkStatus) {
		s.Refused += aside + i.cut
		s.Cut += i.cut
		s.SetAside += aside
	})
	t, by := d.env.Telemetry, attrs(KeySink.String(d.output.Name))
	t.EventsRefused.Add(ctx, aside+i.cut, by)
	t.EventsCut.Add(ctx, i.cut, by)
	t.EventsAside.Add(ctx, aside, by)
	return nil
}

// setAside writes the suspects to a file.
func (i *isolation) setAside() error {
	d := i.d
	log := d.env.Logger.With(string(KeySink), d.output.Name)
	if i.cut > 0 {
		log.Warn("events are too large for an output and were cut", "events", i.cut)
	}
	if len(i.suspects) == 0 {
		return nil
	}
	var lines []byte
	var last AsideEvent
	for _, s := range i.suspects {
		last = newAsideEvent(s.event.Table, s.event.Time, s.event.Body, d.env.Redactor.Redact(s.reason.Error()))
		last.Output = d.output.Name
		lines = append(lines, last.line()...)
	}
	path, err := d.env.Store.aside.write("output-"+d.output.Name, lines, d.env.Limits.AsideBytes)
	if err == nil {
		log.Warn("events are refused by an output and were set aside", "events", len(i.suspects), "file", path, "table", last.Table, "reason", last.Reason)
	}
	return err
}
