package main

import (
	"testing"
	"time"

	"starling/cmd/internal/sim"
)

// What was measured of a large tenant: so many rows in half an hour, 5000 on a page.
const (
	largeRows = 447_000
	largePage = 5000
	usuallyBy = 10 * time.Minute // 9 of 10 rows appear
)

// TestFreshLagOfALargeTenant has as many rows arrive as at the largest tenant that was measured: for half an
// hour in the middle of a quiet time, and all day long from long before the collector begins, which has to
// catch up. It counts the rows that appear as soon as usual: fresh sweeps overlap by less then, and what
// appears later is left to other lanes. Pages and rows are smaller by the same factor;
// STARLING_FRESH_PAGE=5000 is the full size.
func TestFreshLagOfALargeTenant(t *testing.T) {
	pageRows := int(numberOf(t, "STARLING_FRESH_PAGE", 10))
	perSecond := float64(largeRows) / 1800 * float64(pageRows) / largePage
	began := time.Date(2026, 6, 10, 8, 0, 0, 0, time.UTC)
	from := began.Add(time.Hour)
	half := sim.Burst{From: from, To: from.Add(30 * time.Minute), PerSecond: perSecond}
	for _, c := range []struct {
		name  string
		rows  sim.Rows
		until time.Time
	}{
		{"half an hour", sim.Rows{From: began.AddDate(0, 0, -2), PerSecond: perSecond / 100, Bursts: []sim.Burst{half}}, half.To.Add(time.Hour)},
		{"all day", sim.Rows{From: began.AddDate(0, 0, -2), PerSecond: perSecond}, from.Add(time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.rows.Delays = sim.UsualDelays()
			w := newTenant(t, sim.Options{Seed: 447, Rows: c.rows}, pageRows, began, map[string]any{"max_historic_date_cutoff_days_back": 1})
			w.pullUntil(c.until)
			to := w.clock().Add(-20 * time.Minute)
			fresh := w.lag(from, to, usuallyBy)
			log := w.m.Log()
			busiest := sim.Busiest(log, "graph", quotaPer)
			t.Logf("lag %v; %d requests, at most %d in %v, at most %d for a window; %d rows sent", fresh, len(log), busiest, quotaPer, w.mostPages(), len(w.sent))
			if fresh.longest >= 15*time.Minute {
				t.Errorf("the lag is %v, want less than 15 minutes", fresh)
			}
			if busiest > 90 {
				t.Errorf("%d requests in %v", busiest, quotaPer)
			}
		})
	}
}
