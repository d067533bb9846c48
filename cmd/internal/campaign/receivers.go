package campaign

import (
	"context"
	"time"
)

// receiverKills kills the receiver while it receives. What counts as received is what it has written to its file: its own write to
// the kernel survives its SIGKILL.
func receiverKills(p plot) func(context.Context, *round) error {
	return func(ctx context.Context, r *round) error {
		s, err := r.newScene(ctx, p)
		if err != nil {
			return err
		}
		defer s.close()
		c, err := s.start(ctx)
		if err != nil {
			return err
		}
		defer c.discard()
		d := s.receiver.(*outside)
		for seen := 0; r.result.Faults < r.size.Faults && !s.complete(); seen = d.arrived() {
			// An output that failed waits before it tries again; a receiver that gets nothing is not worth a kill.
			if !s.more(ctx, seen, patience) {
				break
			}
			wait(ctx, r.between(0, 150*time.Millisecond))
			if err := d.down(ctx, r.between(0, 300*time.Millisecond)); err != nil {
				return err
			}
			if err := c.alive(); err != nil {
				return err
			}
			r.result.Faults++
			s.pace(r.result.Faults, r.size.Faults)
		}
		return s.finish(ctx, c)
	}
}
