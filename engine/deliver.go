package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// An epoch is what a sink gets between two acknowledgements. It ends when it has enough bytes of bodies,
// when it is old enough, or when nothing has come for epochIdle. Both bounds follow success: what fails
// is offered again, so epochs are small after a start and while a connection is bad.
const (
	minEpochBytes = 64 << 10
	firstEpoch    = 1 << 20
	maxEpochBytes = 8 << 20
	minEpochAge   = 200 * time.Millisecond
	maxEpochAge   = 2 * time.Second
	epochIdle     = 300 * time.Millisecond

	firstSendBackOff = 500 * time.Millisecond
	maxSendBackOff   = time.Minute
)

// delivery offers the outbox to one sink, in order, at its own pace.
type delivery struct {
	env    *Env
	output Output
	sink   Sink

	bytes  int // bounds of the next epoch
	age    time.Duration
	handed []handed      // epochs that the sink took and has not confirmed; all but empty unless it is Lagging
	known  uint64        // what Confirmed said last
	busy   chan error    // gets the result of a call that was abandoned; nil if there is none
	blocks []*block      // that the sink may still use: of the epoch
	part   uint64        // chunks before this one are delivered one by one, and in parts: an event among them is refused
	finish chan struct{} // closed when the engine stops: deliver what is there, without waiting for more
	last   lastTold

	internal internalBuffer
	mu       sync.Mutex
	status   SinkStatus
}

func newDelivery(env *Env, output Output, sink Sink) *delivery {
	return &delivery{env: env, output: output, sink: sink, bytes: firstEpoch, age: minEpochAge, finish: make(chan struct{}), last: lastTold{at: time.Now()},
		status: SinkStatus{Sink: output.Name, Type: output.Type, State: "ok"}}
}

func (d *delivery) update(f func(*SinkStatus)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.status)
}

func (d *delivery) snapshot() SinkStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// run delivers until ctx ends, or until finish is closed and nothing is left. It never gives up: a
// sink that is down is tried again for as long as it takes.
func (d *delivery) run(ctx context.Context) {
	defer d.close()
	finish := d.finish // asked once: a last try is worth no more than one interrupted pause
	for failures := 0; ; {
		more, err := d.epoch(ctx)
		if ctx.Err() != nil || (err == nil && !more) {
			return
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		wait := d.failed(ctx, err, failures)
		select {
		case <-time.After(wait):
		case <-finish:
			finish = nil
		case <-ctx.Done():
			return
		}
	}
}

func (d *delivery) failed(ctx context.Context, err error, failures int) time.Duration {
	d.bytes, d.age = max(d.bytes/2, minEpochBytes), minEpochAge
	wait := min(firstSendBackOff<<min(failures-1, 16), maxSendBackOff)
	if e, ok := errors.AsType[*Error](err); ok {
		wait = max(wait, min(e.Wait, maxWait))
	}
	wait += rand.N(wait/4 + 1)
	text := d.env.Redactor.Redact(err.Error())
	d.update(func(s *SinkStatus) {
		s.State, s.LastError, s.Failures = "retrying", text, failures
	})
	d.env.Telemetry.SendFailures.Add(ctx, 1, attrs(KeySink.String(d.output.Name)))
	d.env.Logger.Warn("output did not acknowledge; its events stay in the outbox and are offered again",
		string(KeySink), d.output.Name, "failures", failures, "next_try", wait.Round(time.Millisecond).String(), "error", text)
	return wait
}

// epoch waits for events, sends them and notes what is acknowledged. It reports whether there may be
// more to come.
func (d *delivery) epoch(ctx context.Context) (more bool, err error) {
	from := d.position()
	if from < d.part {
		return true, d.isolate(ctx, from)
	}
	defer d.release()
	first, err := d.next(ctx, from, d.quiet())
	if errors.Is(err, errDropped) {
		return true, nil
	}
	if err != nil {
		return true, err
	}
	if first.events == nil {
		more = len(d.handed) > 0 || !d.finishing() || from < d.env.Store.nextChunk()
		return more, errors.Join(d.settle(ctx), d.tellAlone(ctx))
	}
	if err := d.env.Store.space.writable(); err != nil { // what cannot be noted would come again and again
		return true, err
	}
	// The trace of the pull goes on here; pulls whose events share the epoch are linked.
	ctx, span := d.env.Telemetry.Tracer.Start(trace.ContextWithRemoteSpanContext(ctx, first.pull), "deliver",
		trace.WithAttributes(KeySink.String(d.output.Name)))
	defer span.End()
	sent, err := d.send(ctx, span, from, first)
	if err == nil {
		err = d.sendInternal(ctx)
	}
	if err == nil {
		err = d.ask(ctx, d.sink.Flush)
	}
	d.internal.done(err == nil)
	if refused(err) != nil && d.output.Oversized != Fail {
		d.part = from + sent.chunks + 1
		return true, nil // at once, in parts
	}
	if err != nil {
		if ctx.Err() == nil {
			span.SetStatus(codes.Error, d.env.Redactor.Redact(err.Error()))
		}
		return true, err
	}
	span.SetAttributes(KeyEvents.Int(sent.events), KeyBytes.Int(sent.bytes))
	d.handed = append(d.handed, handed{from + sent.chunks, sent, first.committed})
	return true, d.confirm(ctx)
}

// sent counts what an epoch has.
type sent struct {
	chunks        uint64
	events, bytes int
}

// maxLinks bounds how many pulls a span of a delivery names.
const maxLinks = 32

// send hands chunks to the sink until the epoch is full, old enough, or nothing more comes.
func (d *delivery) send(ctx context.Context, span trace.Span, from uint64, c chunk) (n sent, err error) {
	end := time.Now().Add(d.age)
	if err := d.tellLoad(ctx); err != nil {
		return n, err
	}
	pull, links := c.pull, 0
	for c.events != nil {
		if !c.pull.Equal(pull) && c.pull.IsValid() && links < maxLinks {
			pull, links = c.pull, links+1
			span.AddLink(trace.Link{SpanContext: pull})
		}
		if err := d.ask(ctx, func(ctx context.Context) error { return d.sink.Send(ctx, c.events) }); err != nil {
			return n, err
		}
		n.chunks++
		n.events += len(c.events)
		for i := range c.events {
			n.bytes += len(c.events[i].Body)
		}
		if _, ok := d.sink.(Copier); ok {
			d.release()
		}
		if n.bytes >= d.bytes || time.Now().After(end) {
			return n, nil
		}
		idle := time.NewTimer(epochIdle)
		c, err = d.next(ctx, from+n.chunks, idle.C)
		idle.Stop()
		if errors.Is(err, errDropped) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// release gives the memory of the epoch's events back, unless the sink was abandoned with it.
func (d *delivery) release() {
	for _, b := range d.blocks {
		if d.busy == nil {
			d.env.Store.reuse(b)
		}
	}
	clear(d.blocks)
	d.blocks = d.blocks[:0]
}

// tellLoad tells a Loaded sink how much waits for it.
func (d *delivery) tellLoad(ctx context.Context) error {
	loaded, ok := d.sink.(Loaded)
	if !ok {
		return nil
	}
	share := float64(d.env.Store.Backlog(d.output.Name).Bytes) / float64(d.env.Limits.OutboxBytes)
	return d.ask(ctx, func(context.Context) error {
		loaded.Load(min(share, 1))
		return nil
	})
}

// next returns a chunk, waiting for it until there has been enough waiting. A chunk without events means
// that there is none now, or that nothing more will come.
func (d *delivery) next(ctx context.Context, id uint64, enough <-chan time.Time) (chunk, error) {
	for {
		c, changed, err := d.env.Store.chunk(id)
		if c.block != nil {
			d.blocks = append(d.blocks, c.block)
		}
		if err != nil || c.events != nil {
			return c, err
		}
		select {
		case <-changed:
		case <-enough:
			return chunk{}, nil
		case <-d.finish:
			return chunk{}, nil
		case <-ctx.Done():
			return chunk{}, context.Cause(ctx)
		}
	}
}

func (d *delivery) acknowledged(ctx context.Context, count, bytes int, committed time.Time) {
	if bytes >= d.bytes {
		d.bytes = min(d.bytes*2, maxEpochBytes)
	}
	d.age = min(d.age*2, maxEpochAge)
	t, by := d.env.Telemetry, attrs(KeySink.String(d.output.Name))
	t.EventsSent.Add(ctx, int64(count), by)
	t.BytesSent.Add(ctx, int64(bytes), by)
	t.DeliverySecs.Record(ctx, max(0, time.Since(committed).Seconds()), by)
	recovered := false
	now := time.Now().UTC()
	d.update(func(s *SinkStatus) {
		recovered = s.State == "retrying"
		s.State, s.LastError, s.Failures, s.LastAck = "ok", "", 0, &now
		s.Events += int64(count)
		s.Bytes += int64(bytes)
	})
	if recovered {
		d.env.Logger.Info("output acknowledges again", string(KeySink), d.output.Name)
	}
}
