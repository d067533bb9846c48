package engine

import (
	"sync"
	"time"
)

const (
	// skewMatters is from which difference on the API's clock counts instead of this machine's.
	skewMatters = 30 * time.Second
	// skewAlarm is from which difference on a person is told.
	skewAlarm  = 5 * time.Minute
	skewRepeat = time.Hour
	// skewAnswers is how many answers are looked at. The earliest time that one of them says counts: the
	// clock of one server that is ahead must not lead to a range that is not over yet.
	skewAnswers = 8
	// skewTrust is how many answers it takes to believe that the API is ahead. To be late harms nothing.
	skewTrust = 3
)

// An APIClock is what an API's answers say about this machine's clock. The zero APIClock believes it. Its
// methods may be called from any goroutine.
type APIClock struct {
	mu    sync.Mutex
	heard bool
	skews []time.Duration // of the latest answers: how far the API is ahead of this machine
	last  time.Time
	clock time.Time // last, for measuring
	told  time.Time
	notes int // how many answers it has heard
}

// APIClock returns the clock that the answers to this pull's collector have set.
func (p *Pull) APIClock() *APIClock {
	if p.apiClock != nil {
		return p.apiClock
	}
	return p.env.Shared.apiClock(p.collector)
}

// APINow returns the time, UTC: that of the API where its answers say that this machine's is wrong.
func (p *Pull) APINow() time.Time { return p.APIClock().Now(p.Now(), p.Clock()) }

func (s *Shared) apiClock(collector string) *APIClock {
	return s.Get("clock:"+collector, func() any { return new(APIClock) }).(*APIClock)
}

// Note takes the time date, whole seconds, that an answer says it was made at; it was between sent and
// received by this machine's clock. It reports whether a person should be told how far they differ. Here
// and below, clock is the moment of the last time for measuring, as of Pull.Clock. An answer during which
// this machine's clock was set tells nothing.
func (c *APIClock) Note(date, sent, received, clock time.Time) (skew time.Duration, tell bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes++
	if c.stepped(received, clock) {
		return c.skew(), false
	}
	c.heard = true
	switch {
	case date.After(received):
		skew = date.Sub(received.Round(0))
	case date.Add(time.Second).Before(sent):
		skew = date.Sub(sent.Round(0))
	}
	c.skews = append(c.skews, skew)
	if len(c.skews) > skewAnswers {
		c.skews = c.skews[1:]
	}
	now := c.skew()
	if now.Abs() <= skewAlarm || !c.told.IsZero() && received.Sub(c.told) < skewRepeat {
		return now, false
	}
	c.told = received
	return now, true
}

// stepped forgets what is known if this machine's clock was set since the last time, and reports whether it was.
func (c *APIClock) stepped(now, clock time.Time) bool {
	step := now.Round(0).Sub(c.last.Round(0)) - clock.Sub(c.clock)
	is := !c.last.IsZero() && step.Abs() > skewMatters/2
	if is {
		c.skews, c.heard = nil, false
	}
	c.last, c.clock = now, clock
	return is
}

func (c *APIClock) skew() time.Duration {
	if len(c.skews) == 0 {
		return 0
	}
	least := c.skews[0]
	for _, s := range c.skews {
		least = min(least, s)
	}
	if least > 0 && len(c.skews) < skewTrust || least.Abs() <= skewMatters {
		return 0
	}
	return least
}

// Skew returns how far the API is ahead of this machine, negative if it is behind; 0 if it is not worth
// a thought.
func (c *APIClock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew()
}

// Heard reports whether there was an answer since this machine's clock was last set: before, nothing
// shows that the clock is right.
func (c *APIClock) Heard() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// Silent notes an answer that does not say when it was made.
func (c *APIClock) Silent(received, clock time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes++
	c.heard = !c.stepped(received, clock)
}

// Now corrects now, a time of this machine.
func (c *APIClock) Now(now, clock time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stepped(now, clock)
	return now.Add(c.skew())
}
