package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// A collector runs one configured use of a script: pull, wait for the period, pull again. It never
// overlaps with itself, and its trouble is its own.
type collector struct {
	env      *Env
	config   CollectorConfig
	key      string
	script   atomic.Pointer[Script]
	handover atomic.Bool
	wake     chan struct{}

	mu     sync.Mutex
	status CollectorStatus
}

func newCollector(env *Env, config CollectorConfig, script *Script) *collector {
	c := &collector{env: env, config: config, key: config.Key(), wake: make(chan struct{}, 1)}
	c.status = CollectorStatus{Collector: c.key, Script: config.Script, Version: script.Version, State: "starting"}
	c.script.Store(script)
	return c
}

// use makes script the one to run: the pull that runs now ends at its next commit, the next one
// starts at once.
func (c *collector) use(script *Script) {
	c.script.Store(script)
	c.handover.Store(true)
	c.wakeUp()
}

// wakeUp ends the pause before the next pull.
func (c *collector) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *collector) update(f func(*CollectorStatus)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.status)
}

// run pulls until ctx ends.
func (c *collector) run(ctx context.Context) {
	// Collectors that start together spread, so that they do not ask an API all at once for good.
	next := time.Now().Add(rand.N(min(c.config.Period/10, 5*time.Second) + 1))
	c.tellStart(ctx)
	failures := 0
	for c.sleep(ctx, next) {
		began := time.Now()
		handover, err := c.pull(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			next = time.Now().Add(backOff(err, failures))
		case handover:
			failures, next = 0, time.Now()
		default:
			failures, next = 0, began.Add(c.config.Period)
			c.env.Logger.Debug("next pull", string(KeyCollector), c.key, "elapsed", time.Since(began).String(), "wait", max(0, time.Until(next)).String())
		}
		at := next.UTC()
		c.update(func(s *CollectorStatus) { s.Failures, s.NextPull = failures, &at })
	}
}

// tellStart logs where the collector goes on.
func (c *collector) tellStart(ctx context.Context) {
	log := c.env.Logger
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	cursors := ""
	if all, err := c.env.Store.Cursors(); err == nil && len(all[c.key]) > 0 {
		text, err := json.Marshal(all[c.key])
		if err == nil {
			cursors = string(text)
		}
	}
	log.Debug("collector starts", string(KeyCollector), c.key, "script", c.config.Script, string(KeyVersion), c.script.Load().Version,
		"period", c.config.Period.String(), "cursors", cursors)
}

// sleep waits until next, or until a new script waits to be used. It reports whether to go on.
func (c *collector) sleep(ctx context.Context, next time.Time) bool {
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-c.wake:
	}
	return ctx.Err() == nil
}

const (
	firstBackOff = 2 * time.Second
	maxBackOff   = 5 * time.Minute
	authBackOff  = 5 * time.Minute // while a person must act; longer each time, up to maxAuthBackOff
	// maxAuthBackOff is with jitter a quarter of an hour: how long a person who has mended it waits at most.
	maxAuthBackOff = 12 * time.Minute
)

// backOff returns how long to wait after the n-th failure in a row: what the other side asked for, a
// long time if a person must act first, and otherwise ever longer, with jitter.
func backOff(err error, n int) time.Duration {
	wait := min(firstBackOff<<min(n-1, 16), maxBackOff)
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Code == CodeAuth || e.Code == CodeConfig {
			wait = min(authBackOff*time.Duration(min(n, 16)), maxAuthBackOff)
		}
		wait = max(wait, e.Wait)
	}
	return wait + rand.N(wait/4+1)
}

// pull runs the script once and records how it went, everywhere.
func (c *collector) pull(parent context.Context) (handover bool, err error) {
	c.handover.Store(false)
	select {
	case <-c.wake: // asked for what begins now
	default:
	}
	script := c.script.Load()
	timeout := c.env.Limits.PullTimeout
	ctx, cancel := context.WithTimeoutCause(parent, timeout,
		fmt.Errorf("the pull took longer than %v: raise starling.limits.pull_timeout, or ask for less at a time", timeout))
	defer cancel()
	ctx, span := c.env.Telemetry.Tracer.Start(ctx, "pull", trace.WithNewRoot(), trace.WithAttributes(
		KeyCollector.String(c.key), KeyScript.String(script.Name), KeyVersion.String(script.Version)))
	defer span.End()

	began := time.Now()
	p := NewPull(ctx, c.env, c.key)
	defer p.dropStaged()
	p.limits = c.config.Limits
	p.handover = &c.handover
	if err := c.env.Recorder.record(p, script); err != nil {
		p.log.Warn("the pull is not recorded", "error", c.env.Redactor.Redact(err.Error()))
	}
	p.committed = func(r *commitRequest) {
		c.update(func(s *CollectorStatus) {
			s.Events += r.events
			s.Cut += r.cut
			s.SetAside += r.asides
		})
	}
	p.log = p.log.With(string(KeyVersion), script.Version, "trace_id", span.SpanContext().TraceID().String())
	started := p.started
	c.update(func(s *CollectorStatus) {
		s.State, s.LastPull, s.Version = "pulling", &started, script.Version
	})
	p.log.Debug("pull starts", "pulling_id", started.UnixMilli())
	handover, err = script.Run(p)
	p.Stats.Duration = time.Since(began) // not since p.started: that of a recording is what the machine's clock said
	if p.lane != nil {
		defer c.env.Recorder.Keep(c.env.Recorder.finish(p, handover, err))
	}

	outcome := outcomeOf(handover, err)
	c.record(ctx, p, outcome)
	c.tell(p, outcome, err)
	if err != nil && outcome != "canceled" {
		span.SetStatus(codes.Error, c.env.Redactor.Redact(err.Error()))
	}
	span.SetAttributes(KeyOutcome.String(outcome), KeyEvents.Int64(p.Stats.Events), KeyBytes.Int64(p.Stats.Bytes))
	return handover, err
}

func outcomeOf(handover bool, err error) string {
	switch {
	case handover:
		return "handover"
	case err == nil:
		return "ok"
	case CodeOf(err, "") == CodeCanceled:
		return "canceled"
	}
	return "error"
}

func (c *collector) record(ctx context.Context, p *Pull, outcome string) {
	t, by := c.env.Telemetry, attrs(KeyCollector.String(c.key))
	t.Pulls.Add(ctx, 1, attrs(KeyCollector.String(c.key), KeyOutcome.String(outcome)))
	t.PullSeconds.Record(ctx, p.Stats.Duration.Seconds(), by)
	t.Steps.Add(ctx, int64(p.Stats.Steps), by)
	t.EventsSkipped.Add(ctx, p.Stats.Skipped, by)
}

// tell logs the end of a pull and puts it into the status.
func (c *collector) tell(p *Pull, outcome string, err error) {
	s := p.Stats
	counts := []any{"outcome", outcome, "requests", s.Requests, "pages", s.Pages, "rows", s.Rows, "events", s.Events,
		"skipped", s.Skipped, "left_out", s.LeftOut, "cut", s.Cut, "set_aside", s.SetAside, "commits", s.Commits, "duration", s.Duration.Round(time.Millisecond).String(), "pulling_id", p.started.UnixMilli()}
	state, text := "waiting", ""
	switch outcome {
	case "error":
		state, text = "failing", c.env.Redactor.Redact(describe(err))
		p.log.Error("pull failed; it starts again at its last commit", append(counts, "code", CodeOf(err, CodeScript), "error", text)...)
	case "canceled":
		state = "stopped"
		p.log.Info("pull ended", counts...)
	default:
		p.log.Info("pull ended", counts...)
	}
	c.update(func(st *CollectorStatus) {
		st.State, st.LastError, st.Last = state, text, s
		st.Pulls++
		if outcome != "error" && outcome != "canceled" {
			now := time.Now().UTC()
			st.LastSuccess = &now
		}
	})
}

// describe returns everything that is known about err: for a script's error its place, source line
// and backtrace.
func describe(err error) string {
	if e, ok := errors.AsType[*ScriptError](err); ok {
		return e.Text
	}
	return err.Error()
}
