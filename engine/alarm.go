package engine

import (
	"context"
	"time"
)

const (
	guardEvery  = 10 * time.Second
	alarmRepeat = 30 * time.Minute // while it lasts
	alarmOver   = 0.9              // of the share that raises it
)

// alarm is what the log was told about how full the outbox is.
type alarm struct {
	on   bool
	told time.Time
	last OutboxStatus // at the last look
	when time.Time
}

// policy is what config says about a full outbox.
func (e *Engine) policy(config *Config, limits Limits) policy {
	p := policy{bytes: limits.OutboxBytes, age: limits.OutboxAge, drop: map[string]bool{}, dropped: e.dropped}
	for _, o := range config.Outputs {
		if o.OutboxFull == DropOldest {
			p.drop[o.Name] = true
		}
	}
	return p
}

// dropped tells of events that an output is not given.
func (e *Engine) dropped(d Dropped) {
	e.options.Telemetry.EventsDropped.Add(context.Background(), d.Events, attrs(KeySink.String(d.Sink)))
	e.options.Logger.Error("the outbox is full; the oldest events of an output were dropped, as outbox_full says", string(KeySink), d.Sink,
		"events", d.Events, "chunks", d.Chunks, "first_chunk", d.First, "last_chunk", d.Last, "committed_from", d.From, "committed_to", d.To)
}

// outbox says how full the outbox is.
func (env *Env) outbox(now time.Time) OutboxStatus {
	s := OutboxStatus{BacklogStatus: backlogStatus(env.Store.Backlog(""), now), State: "ok"}
	s.Share = float64(s.Bytes) / float64(env.Limits.OutboxBytes)
	if age := env.Limits.OutboxAge; age > 0 {
		s.Share = max(s.Share, s.AgeSeconds/age.Seconds())
	}
	switch {
	case s.Share >= 1:
		s.State = "full"
	case s.Share >= env.Limits.OutboxAlarm:
		s.State = "alarm"
	}
	return s
}

// guardOutbox looks at the outbox until ctx ends: it warns before it is full and drops what is too old.
func (e *Engine) guardOutbox(ctx context.Context) {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		e.mu.Lock()
		env := e.env
		e.mu.Unlock()
		if err := env.Store.dropAged(); err != nil {
			env.Logger.Error("outbox", "error", err.Error())
		}
		now := time.Now()
		e.alarm.look(env, env.outbox(now), now)
	}
}

// look warns when the outbox is nearly full, again from time to time, and when that is over.
func (a *alarm) look(env *Env, s OutboxStatus, now time.Time) {
	before, since := a.last, now.Sub(a.when)
	a.last, a.when = s, now
	switch {
	case s.State != "ok" && (!a.on || now.Sub(a.told) >= alarmRepeat):
		a.on, a.told = true, now
		args := []any{"share", s.Share, "bytes", s.Bytes, "limit_bytes", env.Limits.OutboxBytes, "age", (time.Duration(s.AgeSeconds) * time.Second).String()}
		if left := timeToFull(before, s, since); left > 0 && s.Share < 1 {
			args = append(args, "full_in", left.Round(time.Second).String())
		}
		env.Logger.Warn("outbox: alarm: outputs take events more slowly than they are pulled; at the limit outbox_full decides", args...)
	case a.on && s.Share < alarmOver*env.Limits.OutboxAlarm:
		a.on = false
		env.Logger.Info("outbox: the alarm is over", "share", s.Share, "bytes", s.Bytes)
	}
}

// timeToFull estimates how long the outbox has room if it goes on as between two looks; 0 if it does
// not grow.
func timeToFull(before, now OutboxStatus, between time.Duration) time.Duration {
	grown := now.Share - before.Share
	if grown <= 0 || between <= 0 {
		return 0
	}
	return time.Duration((1 - now.Share) / grown * float64(between))
}
