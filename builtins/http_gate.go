package builtins

import (
	"fmt"
	"sync"
	"time"

	"starling/engine"
)

// maxPause is the longest wait inside a pull, and a second for jitter. What takes longer ends the
// pull, and the engine waits.
const maxPause = 15*time.Minute + time.Second

// A gate lets requests through one at a time: at most n in any stretch of per, and none while the
// other side asked for a pause. Everybody who shares a quota shares its gate.
//
// It counts what was sent and is no token bucket, because quotas are written as "n in any 5 minutes":
// a bucket of n that refills while it is used lets up to twice as many through.
type gate struct {
	mu     sync.Mutex
	n      int // 0: any number
	per    time.Duration
	sent   []time.Time // the sends of the last per, oldest first
	paused time.Time   // no send before
}

// sharedGate returns the gate of a quota, which all pulls of the process share.
func sharedGate(env *engine.Env, key string) *gate {
	return env.Shared.Get(key, func() any { return new(gate) }).(*gate)
}

// limit sets the quota; what was sent before counts.
func (g *gate) limit(n int, per time.Duration) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n, g.per = n, per
	return g
}

// pause keeps everybody from sending until t.
func (g *gate) pause(t time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.After(g.paused) {
		g.paused = t
	}
}

// turn takes a place and returns 0, or returns how long to wait before asking again.
func (g *gate) turn(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait := g.paused.Sub(now); wait > 0 {
		return wait
	}
	if g.n == 0 {
		return 0
	}
	old := 0
	for old < len(g.sent) && now.Sub(g.sent[old]) >= g.per {
		old++
	}
	g.sent = g.sent[old:]
	if extra := len(g.sent) - g.n; extra >= 0 {
		return g.per - now.Sub(g.sent[extra])
	}
	g.sent = append(g.sent, now)
	return 0
}

// wait waits for a turn. A turn that is too far away is an error that says how far.
func (g *gate) wait(p *engine.Pull, op string) error {
	for {
		d := g.turn(p.Clock())
		if d <= 0 {
			return nil
		}
		if d > maxPause || !p.CanWait(d) {
			return &engine.Error{Code: engine.CodeThrottled, Op: op, Wait: d,
				Err: fmt.Errorf("the next request may be sent in %v, too late for this pull", d.Round(time.Second))}
		}
		if err := throttled(p, d); err != nil {
			return stopped(p, op, err)
		}
	}
}

// throttled waits, and counts it as waiting that the other side caused.
func throttled(p *engine.Pull, d time.Duration) error {
	began := p.Clock()
	err := p.Wait(d)
	p.Env().Telemetry.Throttled.Add(p.Context(), p.Clock().Sub(began).Seconds(),
		collectorAttr(p))
	return err
}
