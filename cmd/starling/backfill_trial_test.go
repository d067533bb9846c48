package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"starling/builtins"
	"starling/cmd/internal/sim"
	"starling/engine"
)

// officeHours are the times of 100 days before and some after now in which people write to each other.
func officeHours(now time.Time, perSecond float64) (all []sim.Burst) {
	for day := now.Truncate(24*time.Hour).AddDate(0, 0, -100); day.Before(now.AddDate(0, 0, 3)); day = day.AddDate(0, 0, 1) {
		if w := day.Weekday(); w != time.Saturday && w != time.Sunday {
			all = append(all, sim.Burst{From: day.Add(8 * time.Hour), To: day.Add(18 * time.Hour), PerSecond: perSecond})
		}
	}
	return all
}

// newOffice is a tenant with about 18 pages of mail on a working day, and a collector that began 10 days back.
func newOffice(t *testing.T, now time.Time, pageRows int) *tenant {
	busy := float64(pageRows) * 0.0004
	rows := sim.Rows{From: now.AddDate(0, 0, -100), PerSecond: busy / 8, Bursts: officeHours(now, busy), Delays: sim.UsualDelays(), Evolve: 0.2, EvolveBy: 2 * time.Hour}
	return newTenant(t, sim.Options{Seed: 90, Rows: rows}, pageRows, now, map[string]any{})
}

// TestBackfillOf90Days pulls all that Graph keeps beside what is new, with a restart in the middle, and
// holds what came of it against the truth, against what --dry-run said, and against the same days without
// it. STARLING_BACKFILL_PAGE is how many rows a page has; the tenant is larger by the same factor.
func TestBackfillOf90Days(t *testing.T) {
	pageRows := int(numberOf(t, "STARLING_BACKFILL_PAGE", 10))
	began := time.Date(2026, 6, 10, 8, 0, 0, 0, time.UTC)
	c := newOffice(t, began, pageRows)
	c.pullUntil(began.Add(2*time.Hour + 2*time.Minute)) // 2 minutes after a fresh sweep
	start := c.clock()
	before := c.report()
	b := engine.Backfill{From: start.AddDate(0, 0, -90).Truncate(time.Second), To: before.Settled}
	plan := builtins.PlanBackfill(before, b, start)
	may, long := takes(plan.Requests, c.rates[0])
	if err := c.env.Store.SetBackfill(tenantKey, &b); err != nil {
		t.Fatal(err)
	}
	c.backfill(b)
	requests, end := c.backfilled(b, start)
	c.pullUntil(end.Add(freshRows))
	c.checkUnion(b, before)

	t.Logf("%d requests, %d were expected; %v, %v were expected; %d rows, %d were expected", requests, plan.Requests, end.Sub(start), long, len(c.sent), plan.Rows)
	tenth := func(what string, got, want float64) {
		if math.Abs(got-want) > got/10 {
			t.Errorf("--dry-run expects %v %s, and it took %v", want, what, got)
		}
	}
	tenth("requests", float64(requests), float64(plan.Requests))
	tenth("seconds", end.Sub(start).Seconds(), long.Seconds())
	tenth("requests in 5 minutes", float64(requests)/end.Sub(start).Minutes()*5, float64(may))
	log := c.m.Log()
	if n := sim.Busiest(log, "graph", quotaPer); n > 90 {
		t.Errorf("%d requests in %v", n, quotaPer)
	}

	alone := newOffice(t, began, pageRows)
	alone.pullUntil(end.Add(freshRows))
	with, without := c.lag(start, end, freshRows), alone.lag(start, end, freshRows)
	every, everyAlone := c.freshEvery(start, end), alone.freshEvery(start, end)
	t.Logf("lag %v, without %v; a fresh sweep at least every %v, without %v", with, without, every, everyAlone)
	// Rows appear a minute after they were received at the earliest, and are asked for from 5 minutes on, at
	// the next sweep.
	if with.longest > 4*time.Minute+everyAlone+freshLater || with.median > without.median+freshLater || every > everyAlone+freshLater {
		t.Errorf("fresh data waits longer: %v, a sweep every %v; without a backfill %v, every %v", with, every, without, everyAlone)
	}
}

const (
	quotaPer   = 5 * time.Minute
	freshRows  = 55 * time.Minute // how late a row may appear that fresh sweeps find: their overlap, less their own age
	freshLater = time.Minute      // that a fresh sweep may begin, because a window is being read
)

// backfill pulls until b is done. In the middle the collector is killed within a window, and starts again.
func (c *tenant) backfill(b engine.Backfill) {
	c.t.Helper()
	killed := false
	for {
		next := c.report().Backfill.Next
		if !next.Before(b.To) {
			break
		}
		if !killed {
			c.killAt = 500
		}
		c.pull()
		if !killed && c.killAt == 0 {
			killed = true
			at := c.report().Backfill.Next
			if err := c.env.Store.Close(); err != nil {
				c.t.Fatal(err)
			}
			c.start()
			if again := c.report().Backfill.Next; !at.After(b.From) || !at.Before(b.To) || !again.Equal(at) {
				c.t.Errorf("it was at %v of %v to %v before the restart, and is at %v after it", at, b.From, b.To, again)
			}
		}
	}
	if !killed {
		c.t.Error("it was done before it was to be killed")
	}
}

// backfilled counts the requests for what is in b, and says when the last one was answered.
func (c *tenant) backfilled(b engine.Backfill, start time.Time) (requests int64, end time.Time) {
	for _, r := range c.m.Log() {
		if r.API == "graph" && r.From.Before(b.To) && r.At.After(start) {
			requests++
			end = r.At
		}
	}
	return requests, end
}

// checkUnion wants every row of b once, none from before it, no row twice with the same status, and no
// hole in the ledger: only what the API did not keep until it was asked for may be a gap.
func (c *tenant) checkUnion(b engine.Backfill, before engine.CoverageReport) {
	c.t.Helper()
	r, err := c.env.Store.Report(tenantKey, b.From, b.To)
	if err != nil {
		c.t.Fatal(err)
	}
	at, kept := b.From, b.From
	for _, s := range r.Spans {
		switch {
		case !s.From.Equal(at):
			c.t.Errorf("the ledger says nothing about %v to %v", at, s.From)
		case s.State == engine.SpanGap && s.From.Equal(b.From) && s.To.Sub(s.From) < 5*time.Minute:
			kept = s.To
		case s.State != engine.SpanSettled:
			c.t.Errorf("%v to %v is %s (%s)", s.From, s.To, s.State, s.Reason)
		}
		at = s.To
	}
	if !at.Equal(b.To) {
		c.t.Errorf("the ledger ends at %v, want %v", at, b.To)
	}
	times := map[string]int{}
	for id, n := range c.sent {
		if n != 1 {
			c.t.Errorf("%s was sent %d times", id, n)
		}
		times[id[:strings.LastIndex(id, "|")]] += n
	}
	rows := 0
	for row := range c.m.RowsBy(kept, c.clock(), c.clock()) {
		n := times[row.Identity()]
		switch {
		case n == 0 && row.Received.Before(b.To):
			c.t.Errorf("the row of %v, visible %v, is missing", row.Received, row.Visible)
		case n > 1 && row.Received.Before(before.Spans[0].From):
			c.t.Errorf("the row of %v, which only the backfill asked for, was sent %d times", row.Received, n)
		}
		if n > 0 {
			rows++
		}
	}
	if rows != len(times) {
		c.t.Errorf("%d rows were sent, and %d of them are of the time that was asked for", len(times), rows)
	}
}

// freshEvery is the longest time between the begins of two fresh sweeps.
func (c *tenant) freshEvery(from, to time.Time) (longest time.Duration) {
	last := from
	for _, r := range c.m.Log() {
		fresh := r.API == "graph" && !r.Link && r.At.Sub(r.To) < 6*time.Minute
		if fresh && r.At.After(from) && r.At.Before(to) {
			longest, last = max(longest, r.At.Sub(last)), r.At
		}
	}
	return longest
}
