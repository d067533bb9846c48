package campaign

import (
	"context"
	"time"
)

// stallFor is how long a receiver does not read before it breaks the connection.
const stallFor = 2 * time.Second

// stalls stops the receiver's reading in the middle of a run and then breaks the connections with an RST. What the kernels hold at
// that moment, on both sides, was written without an error and is gone.
func stalls(p plot) func(context.Context, *round) error {
	return func(ctx context.Context, r *round) error { return stallsIn(ctx, r, p) }
}

func stallsIn(ctx context.Context, r *round, p plot) error {
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
	for r.result.Faults < r.size.Faults && !s.complete() {
		share := 5 + r.random.IntN(70) // percent of the rows that are left
		at := s.receiver.arrived()
		if !s.more(ctx, at+(s.rows-at)*share/100, patience) {
			break
		}
		s.world.Devo.Pause()
		wait(ctx, stallFor)
		s.world.Devo.Reset()
		s.world.Devo.Resume()
		r.result.Faults++
	}
	return s.finish(ctx, c)
}
