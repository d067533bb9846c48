package campaign

import (
	"context"
	"time"
)

// kills kills the collector: some times from its very start on, so that opening the store and reading the configuration are hit,
// more often once it delivers.
func kills(ctx context.Context, r *round) error {
	s, err := r.newScene(ctx, plot{receiver: newInside})
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
			s.more(ctx, s.receiver.arrived(), 2*time.Second)
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
