package bench

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// start is how long it takes from the start of the process to its first request, with a state that does not exist yet.
func start(b *bench) (result, error) {
	var all Values
	for range b.Runs {
		s, err := b.measure(Starling, past(1))
		if err != nil {
			return nil, err
		}
		all.add("first request", "s after the start", s.Start)
		all.add("processor time", "s, with the stop", s.CPU/1e6)
	}
	return all, nil
}

// allocs is what the whole path allocates for an event: the difference of two runs, so that it depends neither on what a start
// takes nor on what else the machine does.
func allocs(b *bench) (result, error) {
	const few, many = 20_000, 120_000
	var all Values
	for range b.Runs {
		small, err := b.measure(Starling, past(few))
		if err != nil {
			return nil, err
		}
		large, err := b.measure(Starling, past(many))
		if err != nil {
			return nil, err
		}
		all.add("allocated", "B/event", (large.Bytes*many-small.Bytes*few)/(many-few))
		all.add("allocated", "allocs/event", (large.Allocs*many-small.Allocs*few)/(many-few))
	}
	return all, nil
}

// quiet is how long a process has had nothing to do when it counts as idle.
const quiet = 20 * time.Second

// idle is the memory of a process whose collectors have pulled all that there is.
func idle(b *bench) (result, error) {
	var all Values
	for range b.Runs {
		for _, collectors := range []int{1, 100, 1000} {
			now := time.Now().UTC()
			h := history{From: now.Add(-3 * time.Hour), To: now.Add(-2 * time.Hour), Collectors: collectors}
			if _, err := b.ask(request{Begin: &h}); err != nil {
				return nil, err
			}
			p, err := b.product(h, setup{Period: 60})
			if err != nil {
				return nil, err
			}
			if _, err := b.await(p, request{Pulled: true}); err == nil {
				select {
				case <-time.After(quiet):
				case <-b.ctx.Done():
				}
			}
			resident := memory(p.cmd.Process.Pid, "VmRSS:")
			_, used, err := b.until(p, request{})
			if err != nil {
				return nil, err
			}
			all.add(fmt.Sprintf("resident with %d collectors", collectors), "MiB", float64(resident)/1024)
			all.add(fmt.Sprintf("peak with %d collectors", collectors), "MiB", float64(used.PeakKiB)/1024)
		}
	}
	return all, nil
}

// The rows of the figure lag.
const (
	lagCollectors = 100
	lagRows       = 20 // of each in a second
	lagFor        = 30 * time.Second
	lagAhead      = 10 * time.Second // time to pull what was before
)

// lag is how long after it was received a row arrives, while many collectors pull what is new.
func lag(b *bench) (result, error) {
	var all Values
	for range b.Runs {
		from := time.Now().UTC().Add(lagAhead)
		h := history{From: from, To: from.Add(lagFor), Rows: lagRows * int(lagFor/time.Second), Collectors: lagCollectors}
		if _, err := b.ask(request{Begin: &h, Timed: true}); err != nil {
			return nil, err
		}
		p, err := b.product(h, setup{Period: 1})
		if err != nil {
			return nil, err
		}
		a, used, err := b.until(p, request{Received: true})
		if err != nil {
			return nil, err
		}
		slices.Sort(a.Lags)
		for _, percent := range []int{50, 99, 100} {
			all.add(fmt.Sprintf("lag of %d %%", percent), "s at most", a.Lags[(len(a.Lags)-1)*percent/100].Seconds())
		}
		all.add("processors", "used", used.cpu.Seconds()/(lagFor+lagAhead).Seconds())
		all.add("peak", "MiB", float64(used.PeakKiB)/1024)
	}
	return all, nil
}

// frameBytes is what a frame has on average.
const frameBytes = 600

// drain is how fast a backlog goes out that an earlier process has gathered while the receiver refused connections.
func drain(b *bench) (result, error) {
	var all Values
	for range b.Runs {
		h := past(b.Backlog * 1_000_000 / frameBytes)
		s := setup{Period: 1, Outbox: "1TiB"}
		if _, err := b.ask(request{Begin: &h, Shut: true}); err != nil {
			return nil, err
		}
		p, err := b.product(h, s)
		if err != nil {
			return nil, err
		}
		if _, _, err := b.until(p, request{Pulled: true}); err != nil {
			return nil, err
		}
		all.add("state before", "MB on disk", b.stateSize())
		if _, err := b.ask(request{Open: true}); err != nil {
			return nil, err
		}
		b.runs-- // on the same state
		started := time.Now()
		if p, err = b.product(h, s); err != nil {
			return nil, err
		}
		a, used, err := b.until(p, request{Received: true})
		if err != nil {
			return nil, err
		}
		took, events := a.Last.Sub(started).Seconds(), float64(a.Events)
		all.add("backlog", "MB of frames", float64(a.Bytes)/1e6)
		all.add("drained", "events/s", events/took)
		all.add("drained", "MB/s", float64(a.Bytes)/1e6/took)
		all.add("drained with", "cpu-s/Mevents", used.cpu.Seconds()/events*1e6)
		all.add("peak", "MiB", float64(used.PeakKiB)/1024)
		all.add("state after", "MB on disk", b.stateSize())
	}
	return all, nil
}

// stateSize is what the state of the latest run takes on disk, in MB, without what is only kept free.
func (b *bench) stateSize() float64 {
	sum := int64(0)
	_ = filepath.WalkDir(filepath.Join(b.runDir(), "state"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "ballast" {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += onDisk(info)
		}
		return nil
	})
	return float64(sum) / 1e6
}
