package main

import (
	"context"
	"time"
)

// runOutside is a demo whose collector is another process, which the person who asked for it starts.
func (d *demo) runOutside(ctx context.Context) error {
	d.say(demoReady{Kind: "ready", Config: d.world.ConfigFile()}, `A simulated Microsoft makes %.0f rows a second until Ctrl-C, for %s at most, and a simulated Devo waits for them. Then what has
come is compared with what there was. Both are reached from this machine only; this collects:

  starling run --config %s

`, d.rate, d.duration, d.world.ConfigFile())
	began := time.Now()
	end := time.NewTimer(d.duration)
	defer end.Stop()
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-tick.C:
			d.showOutside(began)
		case <-end.C:
			going = false
		case <-ctx.Done():
			going = false
		}
	}
	cutoff := time.Now().UTC()
	d.say(demoTimeUp{"time_up", cutoff}, "\nThe time is up; what Microsoft has by now can still be collected.\n")
	for deadline := cutoff.Add(demoSettle); time.Now().Before(deadline); time.Sleep(demoTick) {
		d.showOutside(began)
		if missing, _, _ := d.world.Devo.Compare(d.world.Microsoft.Truth(d.from, cutoff)); missing == 0 {
			break
		}
	}
	return d.compare(cutoff)
}

func (d *demo) showOutside(began time.Time) {
	m, v := d.world.Microsoft.Counters(), d.world.Devo.Counters()
	d.say(demoProgress{Kind: "progress", Seconds: time.Since(began).Seconds(), Answers: m.Pages, Rows: m.Rows, Delivered: v.Events}, "answers %-6d rows %-8d delivered %d\n", m.Pages, m.Rows, v.Events)
}
