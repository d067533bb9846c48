package campaign

import (
	"context"
	"fmt"
	"time"
)

// An outage is a way in which a receiver cannot be reached, until it ends.
type outage struct {
	name       string
	begin, end func() error
}

// outages has the receiver down for the time that the size says, and for a tenth of it in other ways. Meanwhile pulls go on, the
// process stays, and the outbox keeps what they bring.
func outages(ctx context.Context, r *round) error {
	short := max(r.size.For/10, 4*time.Second)
	s, err := r.newScene(ctx, plot{
		receiver: newInside, past: 2 * time.Hour, live: r.size.For + 2*short,
		config: map[string]string{"type: SSL\n": "type: SSL\n      confirm_timeout: 2\n"},
	})
	if err != nil {
		return err
	}
	defer s.close()
	c, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer c.discard()
	devo := s.world.Devo
	rename := func(old, new string) func() error {
		return func() error {
			return edit(s.world.ConfigFile(), map[string]string{"address: " + old + " ": "address: " + new + " "})
		}
	}
	for _, o := range []outage{
		{"connections are refused", func() error { devo.Kill(); return nil }, devo.Restart},
		{"the name does not resolve", rename("127.0.0.1", "receiver.invalid"), rename("receiver.invalid", "127.0.0.1")},
		{"nothing is read", func() error { devo.Pause(); return nil }, func() error { devo.Resume(); return nil }},
	} {
		length := short
		if r.result.Faults == 0 {
			length = r.size.For
		}
		if err := s.outage(ctx, c, o, length); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		r.result.Faults++
	}
	return s.finish(ctx, c)
}

// outage begins while events flow, and ends when it is old enough, the output has noticed and pulls have gone on.
func (s *scene) outage(ctx context.Context, c *collector, o outage, length time.Duration) error {
	if !s.complete() && !s.more(ctx, s.receiver.arrived(), standstill) {
		return fmt.Errorf("nothing comes before it:\n%s", c.log)
	}
	failures, pages := c.log.count(notAcknowledged), s.world.Microsoft.Counters().Pages
	if err := o.begin(); err != nil {
		return err
	}
	for began, told := time.Now(), time.Now(); time.Since(began) < length && ctx.Err() == nil; wait(ctx, 100*time.Millisecond) {
		if err := c.alive(); err != nil {
			return err
		}
		if time.Since(told) > time.Minute {
			told = time.Now()
			s.Log("outage: %s for %v", o.name, time.Since(began).Round(time.Second))
		}
	}
	noticed := func() bool {
		return c.log.count(notAcknowledged) > failures && s.world.Microsoft.Counters().Pages > pages || c.alive() != nil
	}
	if !poll(ctx, standstill, noticed) {
		return fmt.Errorf("%d failures of the output and %d pages since it began:\n%s",
			c.log.count(notAcknowledged)-failures, s.world.Microsoft.Counters().Pages-pages, c.log)
	}
	if err := c.alive(); err != nil {
		return err
	}
	return o.end()
}

// notAcknowledged is what the log says when an output failed.
const notAcknowledged = "output did not acknowledge"
