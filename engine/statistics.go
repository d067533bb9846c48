package engine

import (
	"context"
	"time"
)

// lastTold is what the log was told of an output last.
type lastTold struct {
	at     time.Time
	status SinkStatus
}

// tellStatistics logs what each output has acknowledged, each in its own period, until ctx ends.
func (e *Engine) tellStatistics(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.statistics(false)
		case <-ctx.Done():
			return
		}
	}
}

// statistics logs the figures of the outputs that are due, or of all.
func (e *Engine) statistics(all bool) {
	e.mu.Lock()
	config, deliveries := e.config, e.deliveries
	e.mu.Unlock()
	for _, o := range config.Outputs {
		if d := deliveries[o.Name]; d != nil && (all || time.Since(d.last.at) >= o.StatsPeriod) {
			d.tell()
		}
	}
}

// tell logs what the output has acknowledged, in all and since it was told last, and what waits.
func (d *delivery) tell() {
	now, before := time.Now(), d.last
	s, waits := d.snapshot(), d.env.Store.Backlog(d.output.Name)
	d.last = lastTold{at: now, status: s}
	backlog := backlogStatus(waits, now)
	d.env.Logger.Info("output: what it has acknowledged", string(KeySink), d.output.Name, "type", d.output.Type, "state", s.State,
		"events", s.Events, "bytes", s.Bytes, "since", before.at.UTC(), "events_since", s.Events-before.status.Events, "bytes_since", s.Bytes-before.status.Bytes,
		"seconds", s.Seconds-before.status.Seconds, "events_wait", backlog.Events, "bytes_wait", backlog.Bytes, "oldest_waits", backlog.AgeSeconds)
}
