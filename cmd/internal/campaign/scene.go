package campaign

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"starling/cmd/internal/sim"
)

// A scene is what a round plays in: a Microsoft with rows, a receiver, and a configuration that joins them.
type scene struct {
	*round
	world    *sim.World
	receiver receiver
	from, to time.Time // when the rows were received
	rows     int
}

// plot says what a scene is made of.
type plot struct {
	past     time.Duration // how old the oldest row is; default 23 hours
	live     time.Duration // how long rows go on coming; by default none does
	receiver func(*round, *sim.World) (receiver, error)
	config   map[string]string // texts of the configuration file to replace
	gzip     bool              // everything is compressed
}

// newScene makes both sides. The caller closes it.
func (r *round) newScene(ctx context.Context, p plot) (*scene, error) {
	now := time.Now().UTC()
	s := &scene{round: r, from: now.Add(-23 * time.Hour), to: now.Add(-time.Minute)}
	window := 60 + r.random.IntN(1200)
	if p.live > 0 { // few windows before the first row
		s.from, s.to, window = now.Add(-p.past), now.Add(p.live), 3600
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	s.gzip = p.gzip
	s.world, err = sim.NewWorld(r.dir, sim.WorldOptions{Delay: time.Second, Devo: sim.DevoOptions{GzipOnly: p.gzip}, Microsoft: sim.Options{
		Seed: r.seed, Rows: sim.Rows{From: s.from, To: s.to, Count: r.size.Rows},
		Order: sim.OldestFirst, PageSize: 100 + r.random.IntN(2000), Latency: 20 * time.Millisecond,
	}})
	if err != nil {
		return nil, err
	}
	if s.receiver, err = p.receiver(r, s.world); err != nil {
		s.close()
		return nil, err
	}
	if err := s.configure(ctx, p.config, window); err != nil {
		s.close()
		return nil, err
	}
	s.rows, r.result.Rows = r.size.Rows, r.size.Rows
	return s, nil
}

func (s *scene) configure(ctx context.Context, more map[string]string, window int) error {
	if err := s.receiver.start(ctx); err != nil {
		return err
	}
	if err := s.world.WriteConfig(s.receiver.addr()); err != nil {
		return err
	}
	changes := map[string]string{
		"request_period_in_seconds: 1\n": fmt.Sprintf("request_period_in_seconds: 1\n        window_in_seconds: %d\n", window),
	}
	if _, ok := more[outputs]; !ok {
		changes[outputs] = "starling:\n  listen: \"off\"\n\n" + outputs
	}
	if s.gzip {
		changes["      type: SSL\n"] = gzipAlways
	}
	maps.Copy(changes, more)
	return edit(s.world.ConfigFile(), changes)
}

// outputs is where the configuration's section starling can go before.
const outputs = "outputs:\n"

// gzipAlways has everything sent as gzip members, small ones, so that faults fall into them and between them.
const gzipAlways = `      type: SSL
      threshold_for_using_gzip_in_transport_layer: -1
      compression_buffer_in_bytes: 20000
`

// edit replaces texts of a file, each of which must be there.
func edit(file string, changes map[string]string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for old, new := range changes {
		if !strings.Contains(string(text), old) {
			return fmt.Errorf("%s does not contain %q", file, old)
		}
		text = []byte(strings.Replace(string(text), old, new, 1))
	}
	return os.WriteFile(file, text, 0o600)
}

func (s *scene) close() {
	if s.receiver != nil {
		s.receiver.close()
	}
	_ = s.world.Close() // it is over either way
}

// start starts the program.
func (s *scene) start(ctx context.Context) (*collector, error) {
	return startCollector(ctx, s.Starling, s.world.ConfigFile())
}

// pace makes the API faster or slower, so that rows are left until the last fault on every machine.
func (s *scene) pace(done, all int) {
	ahead := s.receiver.arrived()*all > done*s.rows
	s.world.Microsoft.Change(func(o *sim.Options) {
		if ahead {
			o.Latency = min(o.Latency*2, 500*time.Millisecond)
		} else {
			o.Latency = max(o.Latency/2, time.Millisecond)
		}
	})
}

// complete reports whether every row has arrived.
func (s *scene) complete() bool { return s.receiver.arrived() >= s.rows }

// more waits until more than n events have arrived. It gives up when all have, or when for so long none has come.
func (s *scene) more(ctx context.Context, n int, quiet time.Duration) bool {
	for {
		before := s.receiver.arrived()
		if before > n {
			return true
		}
		if s.complete() || !poll(ctx, quiet, func() bool { return s.receiver.arrived() > before }) {
			return false
		}
	}
}

// poll waits until ok, and reports whether it was in time.
func poll(ctx context.Context, within time.Duration, ok func() bool) bool {
	for end := time.Now().Add(within); !ok(); {
		if time.Now().After(end) || ctx.Err() != nil {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// finish lets everything arrive, stops the collector in order, and counts.
func (s *scene) finish(ctx context.Context, c *collector) error {
	s.world.Microsoft.Change(func(o *sim.Options) {
		o.Latency, o.Faults, o.TokenFaults, o.Throttle = 0, sim.Faults{}, sim.Faults{}, sim.Throttle{}
	})
	for last := -1; !s.complete(); {
		if err := c.alive(); err != nil {
			return err
		}
		n := s.receiver.arrived()
		if n == last {
			missing, _, _ := s.receiver.compare(s.world.Microsoft.Truth(s.from, s.to))
			return fmt.Errorf("%d of %d rows are missing and nothing has come for %v:\n%s", missing, s.rows, standstill, c.log)
		}
		last = n
		s.more(ctx, n, standstill+max(0, time.Until(s.to)))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := c.stop(); err != nil {
		return err
	}
	s.receiver.arrived() // reads what came last
	s.result.Lost, s.result.Extra, s.result.Twice = s.receiver.compare(s.world.Microsoft.Truth(s.from, s.to))
	s.result.Disorder = s.receiver.disorder()
	return nil
}
