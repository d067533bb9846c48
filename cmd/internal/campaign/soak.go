package campaign

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"starling/cmd/internal/sim"
)

// soak runs everything at once: faults at the far ends, and kills, restarts and edits at the collector. The collector is killed and
// restarted in the first third of the time only; afterwards one process lives to the end, whose levels are compared.
func soak(ctx context.Context, r *round) error {
	status, err := freeAddress()
	if err != nil {
		return err
	}
	s, err := r.newScene(ctx, plot{
		receiver: newOwn, past: time.Minute + r.size.For/10, live: r.size.For,
		config: map[string]string{
			"outputs:\n":    "starling:\n  listen: " + status + "\n\noutputs:\n",
			"type: SSL\n":   "type: SSL\n      confirm_timeout: 3\n",
			"  services:\n": "  requests_timeout_in_seconds: 2\n    services:\n",
		},
	})
	if err != nil {
		return err
	}
	defer s.close()
	k := &soaker{scene: s, began: time.Now(), url: "http://" + status, scripts: filepath.Join(r.dir, "scripts"), kinds: map[string]int{}}
	if err := k.copyScripts(ctx); err != nil {
		return err
	}
	k.again = func() (err error) { k.collector, err = s.start(ctx); return err }
	if err := k.again(); err != nil {
		return err
	}
	defer func() { k.collector.discard() }()
	if err := k.run(ctx); err != nil {
		return err
	}
	r.result.Faults = k.faults()
	if err := k.collector.hangup(); err != nil { // what waits after failures need not
		return err
	}
	if err := s.finish(ctx, k.collector); err != nil {
		return err
	}
	r.result.Notes = append(r.result.Notes, k.summary(), k.levels.table())
	return k.levels.level()
}

// A soaker is a soak that runs.
type soaker struct {
	*scene
	began   time.Time
	url     string // of the status server
	scripts string // folder

	collector *collector   // of the near side
	again     func() error // starts another
	levels    levels
	mu        sync.Mutex
	kinds     map[string]int // how often each fault hit
}

// first reports whether this is the first third.
func (k *soaker) first() bool { return time.Since(k.began) < k.size.For/3 }

func (k *soaker) hit(kind string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kinds[kind]++
}

func (k *soaker) faults() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, count := range k.kinds {
		n += count
	}
	return n
}

// running reports whether there is time left.
func (k *soaker) running(ctx context.Context) bool {
	return ctx.Err() == nil && time.Since(k.began) < k.size.For
}

// run has both sides misbehave until the time is over, and leaves them mended.
func (k *soaker) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	failed := make(chan error, 3)
	for _, side := range []func(context.Context) error{k.farSide, k.nearSide, k.watch} {
		wg.Go(func() {
			if err := side(ctx); err != nil {
				failed <- err
				stop()
			}
		})
	}
	wg.Wait()
	if ctx.Err() == nil {
		return nil
	}
	select {
	case err := <-failed: // the first says why
		return err
	default:
		return ctx.Err()
	}
}

// watch samples levels and tells once a minute how it goes.
func (k *soaker) watch(ctx context.Context) error {
	every := min(max(k.size.For/120, time.Second), 15*time.Second)
	for told := time.Now(); k.running(ctx); wait(ctx, every) {
		if err := k.levels.sample(ctx, k.url, filepath.Join(k.dir, "state"), time.Since(k.began)); err != nil {
			continue // it is down, or starting
		}
		if time.Since(told) > time.Minute {
			told = time.Now()
			k.Log("soak: %v, %d faults, %s", time.Since(k.began).Round(time.Second), k.faults(), k.levels.last())
		}
	}
	return nil
}

// summary says which faults there were.
func (k *soaker) summary() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	text := fmt.Sprintf("%d kinds of faults:", len(k.kinds))
	for _, kind := range sortedKeys(k.kinds) {
		text += fmt.Sprintf(" %s %d,", kind, k.kinds[kind])
	}
	return text[:len(text)-1] + "."
}

// farSide is trouble with Microsoft and with the receiver.
func (k *soaker) farSide(ctx context.Context) error {
	random := k.stream(1)
	d := k.receiver.(*outside)
	pause := func(least, most time.Duration) { wait(ctx, least+time.Duration(random.Int64N(int64(most-least)))) }
	api := func(change func(*sim.Options)) {
		k.world.Microsoft.Change(change)
		pause(500*time.Millisecond, 3*time.Second)
		k.world.Microsoft.Change(k.calm)
	}
	defer k.world.Microsoft.Change(k.calm)
	deeds := []struct {
		kind string
		do   func() error
	}{
		{"receiver killed", func() error { return d.down(ctx, time.Duration(random.Int64N(int64(2*time.Second)))) }},
		{"receiver stalled", func() error {
			defer d.stall()()
			pause(time.Second, 4*time.Second)
			return nil
		}},
		{"receiver stalled and reset", func() error {
			resume := d.stall()
			wait(ctx, stallFor)
			defer resume()
			return d.down(ctx, 0)
		}},
		{"API 429", func() error {
			api(func(o *sim.Options) { o.Throttle = sim.Throttle{Every: 2, Pause: time.Second} })
			return nil
		}},
		{"API 500 and 503", func() error {
			api(func(o *sim.Options) {
				o.Faults = sim.Faults{Share: 0.7, Kinds: []sim.Fault{sim.ServerError, sim.Unavailable}}
			})
			return nil
		}},
		{"API broken answers", func() error {
			api(func(o *sim.Options) {
				o.Faults = sim.Faults{Share: 0.5, Kinds: []sim.Fault{sim.Reset, sim.Truncated, sim.Cut, sim.WebPage}}
			})
			return nil
		}},
		{"API timeouts", func() error { api(func(o *sim.Options) { o.Latency = 3 * time.Second }); return nil }},
		{"tokens refused", func() error {
			k.world.Microsoft.RevokeTokens()
			api(func(o *sim.Options) { o.TokenFaults = sim.Faults{Every: 2} })
			return nil
		}},
	}
	for ; k.running(ctx); pause(300*time.Millisecond, 4*time.Second) {
		deed := deeds[random.IntN(len(deeds))]
		if err := deed.do(); err != nil {
			return fmt.Errorf("%s: %w", deed.kind, err)
		}
		k.hit(deed.kind)
	}
	return nil
}

// calm is how Microsoft is between two faults.
func (*soaker) calm(o *sim.Options) {
	o.Latency, o.Throttle, o.Faults, o.TokenFaults = 20*time.Millisecond, sim.Throttle{}, sim.Faults{}, sim.Faults{}
}
