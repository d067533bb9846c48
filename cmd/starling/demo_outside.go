package main

import (
	"context"
	"fmt"
	"time"
)

// runOutside is a demo whose collector is another process, which the person who asked for it starts.
func (d *demo) runOutside(ctx context.Context) error {
	fmt.Fprintf(d.stdout, `A simulated Microsoft makes %.0f rows a second until Ctrl-C, for %s at most, and a simulated Devo waits for them. Then what has
come is compared with what there was. Both are reached from this machine only; this collects:

  starling run --config %s

`, d.rate, d.duration, d.world.ConfigFile())
	end := time.NewTimer(d.duration)
	defer end.Stop()
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-tick.C:
			d.showOutside()
		case <-end.C:
			going = false
		case <-ctx.Done():
			going = false
		}
	}
	cutoff := time.Now().UTC()
	fmt.Fprintf(d.stdout, "\nThe time is up; what Microsoft has by now can still be collected.\n")
	for deadline := cutoff.Add(demoSettle); time.Now().Before(deadline); time.Sleep(demoTick) {
		d.showOutside()
		if missing, _, _ := d.world.Devo.Compare(d.world.Microsoft.Truth(d.from, cutoff)); missing == 0 {
			break
		}
	}
	return d.compare(cutoff)
}

func (d *demo) showOutside() {
	m, v := d.world.Microsoft.Counters(), d.world.Devo.Counters()
	fmt.Fprintf(d.stdout, "answers %-6d rows %-8d delivered %d\n", m.Pages, m.Rows, v.Events)
}
