package campaign

import (
	"context"
	"fmt"
	"time"
)

// kills kills the collector: some times from its very start on, so that opening the store and reading the configuration are hit,
// more often once it delivers.
func kills(p plot) func(context.Context, *round) error {
	return func(ctx context.Context, r *round) error { return killsIn(ctx, r, p) }
}

// unconfirmedKills kills a collector that has always something unconfirmed: nothing is, until 256 KiB more are taken.
func unconfirmedKills(ctx context.Context, r *round) error {
	window := "address: 127.0.0.1 "
	err := killsIn(ctx, r, plot{receiver: newInside, config: map[string]string{window: "confirmation: window\n      replay_window: 256KiB\n      " + window}})
	if err == nil && r.result.Twice < r.result.Faults {
		return fmt.Errorf("%d events came again over %d kills: too few had something unconfirmed", r.result.Twice, r.result.Faults)
	}
	return err
}

func killsIn(ctx context.Context, r *round, p plot) error {
	s, err := r.newScene(ctx, p)
	if err != nil {
		return err
	}
	defer s.close()
	for r.result.Faults < r.size.Faults && !s.complete() {
		c, err := s.start(ctx)
		if err != nil {
			return err
		}
		defer c.discard()
		if r.random.IntN(4) > 0 {
			if err := c.ready(); err != nil {
				return err
			}
			// However long it takes: a busy machine must not have all kills hit the start.
			s.more(ctx, s.receiver.arrived(), patience)
		}
		wait(ctx, r.between(0, 300*time.Millisecond))
		if err := c.kill(); err != nil {
			return err
		}
		r.result.Faults++
		s.pace(r.result.Faults, r.size.Faults)
	}
	c, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer c.discard()
	return s.finish(ctx, c)
}
