package engine

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Bounds of the events about Starling itself. They are never written to disk: what does not fit, or is in
// an epoch that fails, is counted and forgotten.
const (
	maxInternal      = 1000             // that wait for an output
	maxInternalBytes = 8 << 10          // of one
	internalEpoch    = 200              // that go into one epoch
	internalEvery    = 10 * time.Second // without events to go with
)

// An InternalStatus counts the events about Starling itself of an output.
type InternalStatus struct {
	Sent    int64 `json:"sent"` // in epochs that went well
	Bytes   int64 `json:"bytes"`
	Dropped int64 `json:"dropped"` // there were too many, or the output failed
	Waiting int64 `json:"waiting"`
}

// InternalEvents takes events about Starling itself, such as lines of its log, to the outputs that lead to
// Devo: beside the events of collectors, and never in their place. Its methods may be called at any time
// from any goroutine, also on nil, which drops everything.
type InternalEvents struct {
	mu      sync.Mutex
	buffers []*internalBuffer
}

// use sends to these outputs from now on.
func (i *InternalEvents) use(config *Config, deliveries map[string]*delivery) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.buffers = nil
	for _, o := range config.Outputs {
		if d := deliveries[o.Name]; d != nil && config.InternalEvents && leadsToDevo(o.Type) {
			i.buffers = append(i.buffers, &d.internal)
		}
	}
}

// leadsToDevo reports whether outputs of a type do.
func leadsToDevo(kind string) bool { return kind == "devo_http" || slices.Contains(senderTypes, kind) }

// On reports whether any output takes such events.
func (i *InternalEvents) On() bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.buffers) > 0
}

// Add has an event go out, to all outputs that take such events. It never waits.
func (i *InternalEvents) Add(table *Table, at time.Time, body []byte) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, b := range i.buffers {
		b.add(Event{table, at.UTC(), body})
	}
}

// takes reports whether a buffer is that of an output that takes such events.
func (i *InternalEvents) takes(b *internalBuffer) bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Contains(i.buffers, b)
}

// An internalBuffer holds the events about Starling itself that wait for one output.
type internalBuffer struct {
	mu     sync.Mutex
	events []Event
	flight int // the first so many were handed to the output
	status InternalStatus
}

func (b *internalBuffer) add(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) >= maxInternal || len(e.Body) > maxInternalBytes {
		b.status.Dropped++
		return
	}
	b.events = append(b.events, e)
}

// take returns what goes into the next epoch.
func (b *internalBuffer) take() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flight = min(len(b.events), internalEpoch)
	return slices.Clone(b.events[:b.flight])
}

// done forgets what was taken: the output has it, or the epoch failed.
func (b *internalBuffer) done(sent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events[:b.flight] {
		if sent {
			b.status.Sent++
			b.status.Bytes += int64(len(e.Body))
		} else {
			b.status.Dropped++
		}
	}
	b.events, b.flight = slices.Delete(b.events, 0, b.flight), 0
}

func (b *internalBuffer) snapshot() *InternalStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Waiting = int64(len(b.events))
	if s == (InternalStatus{}) {
		return nil
	}
	return &s
}

// sendInternal puts what waits into the epoch, after its events.
func (d *delivery) sendInternal(ctx context.Context) error {
	events := d.internal.take()
	if len(events) == 0 {
		return nil
	}
	return d.ask(ctx, func(ctx context.Context) error { return d.sink.Send(ctx, events) })
}

// tellAlone sends what waits in an epoch of its own, as no events have come for a while. If that fails it is
// forgotten and nothing is logged, or the log would never end.
func (d *delivery) tellAlone(ctx context.Context) error {
	if s := d.internal.snapshot(); s == nil || s.Waiting == 0 || len(d.handed) > 0 || d.finishing() {
		return nil
	}
	err := d.sendInternal(ctx)
	if err == nil {
		err = d.ask(ctx, d.sink.Flush)
	}
	d.internal.done(err == nil)
	if _, lagging := d.sink.(Lagging); lagging && err == nil {
		d.handed = append(d.handed, handed{next: d.position(), committed: time.Now()})
		return d.confirm(ctx)
	}
	return nil
}

func (d *delivery) finishing() bool {
	select {
	case <-d.finish:
		return true
	default:
		return false
	}
}

// messageSent is the table of Devo's collectors for what was acknowledged.
var messageSent = &Table{Tag: "devo.collector.metric.message_sent", Priority: DefaultPriority}

// addMessageSent has the output tell how much it has acknowledged since a time.
func (d *delivery) addMessageSent(about InternalAbout, events, bytes int64, since, now time.Time) {
	body, err := json.Marshal(map[string]any{"col_id": about.ID, "col_name": about.Name, "col_version": about.Version, "col_image": about.Image,
		"msg_sent": map[string]any{"part_counter": events, "part_bytes": bytes, "since_ts": since.UnixMilli()}})
	if err == nil { // texts and numbers can be encoded
		d.internal.add(Event{messageSent, now.UTC(), body})
	}
}

// InternalAbout is what events about Starling itself say of the program.
type InternalAbout struct{ ID, Name, Version, Image string }
