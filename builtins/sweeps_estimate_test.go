package builtins

import (
	"testing"
	"time"

	"starling/engine"
)

// TestPlanOfABackfill plans over a ledger of two weeks, in which hours of the night have no rows and
// those of the day 1000.
func TestPlanOfABackfill(t *testing.T) {
	begin := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	now := begin.Add(20 * day)
	r := engine.CoverageReport{Sweeps: []byte(`{"v":1,"page_rows":500,"base":3600,"least":60,"most":3600,"settles":90000}`)}
	settled := engine.CoveredSpan{Span: engine.Span{From: begin, To: begin.Add(14 * day), State: engine.SpanSettled, Swept: begin.Add(20 * day)}, Delivered: true}
	r.Spans = []engine.CoveredSpan{settled}
	for at := begin; at.Before(settled.To); at = at.Add(time.Hour) {
		if at.Hour() >= 8 && at.Hour() < 20 {
			r.Hours = append(r.Hours, engine.HourCount{Hour: at, Rows: 1000, Events: 900})
		}
	}
	week := engine.Backfill{From: begin.Add(-7 * day), To: begin}
	p := PlanBackfill(r, week, now)
	// A window of at most an hour: one request at night, two pages by day.
	if p.Guessed || p.Ranges != 1 || p.Length != 7*day || p.Rows != 7*12*1000 || p.Windows != 7*24 || p.Requests != 7*(12+2*12) {
		t.Errorf("a week before: %+v", p)
	}
	week = engine.Backfill{From: begin.Add(-day), To: begin.Add(day)}
	if p := PlanBackfill(r, week, now); p.Length != day || p.Rows != 12_000 {
		t.Errorf("a day of two is settled: %+v", p)
	}
	week.Again = true
	if p := PlanBackfill(r, week, now); p.Length != 2*day || p.Rows != 24_000 || p.Ranges != 1 {
		t.Errorf("again: %+v", p)
	}
	if p := PlanBackfill(r, engine.Backfill{From: begin, To: begin.Add(day)}, now); p.Windows != 0 || p.Requests != 0 {
		t.Errorf("all is settled: %+v", p)
	}
	// Days that are missing between those that are there, and a gap before all that is asked for.
	holes := r
	holes.Spans = nil
	for _, s := range []struct {
		from, to time.Duration
		state    engine.SpanState
	}{{-3 * day, -2 * day, engine.SpanGap}, {0, 2 * day, engine.SpanSettled}, {4 * day, 6 * day, engine.SpanSettled}, {8 * day, 14 * day, engine.SpanSettled}} {
		span := settled
		span.From, span.To, span.State = begin.Add(s.from), begin.Add(s.to), s.state
		holes.Spans = append(holes.Spans, span)
	}
	if p := PlanBackfill(holes, engine.Backfill{From: begin, To: begin.Add(8 * day)}, now); p.Ranges != 2 || p.Length != 4*day || p.Rows != 48_000 || p.Windows != 4*24 {
		t.Errorf("two holes: %+v", p)
	}
	// With less in a page, windows shrink until they have no more than five.
	r.Sweeps = []byte(`{"v":1,"page_rows":10,"base":3600,"least":60,"most":86400,"settles":90000}`)
	p = PlanBackfill(r, engine.Backfill{From: begin.Add(-day), To: begin}, now)
	if p.Rows < 11_999 || p.Rows > 12_001 || p.Requests < 1200 || p.Requests > 1800 {
		t.Errorf("small pages: %+v", p)
	}
	if p := PlanBackfill(engine.CoverageReport{}, week, now); !p.Guessed || p.Windows != 48 || p.Requests != 48 {
		t.Errorf("an empty ledger: %+v", p)
	}
	// The API keeps 21 days, a day before the ledger begins.
	r.Sweeps = []byte(`{"v":1,"page_rows":500,"base":3600,"least":60,"most":3600,"settles":90000,"keeps":1814400}`)
	if p := PlanBackfill(r, engine.Backfill{From: begin.Add(-7 * day), To: begin}, now); p.TooOld != 6*day || p.Length != day || p.Rows != 12_000 {
		t.Errorf("most of it is too old: %+v", p)
	}
	if p := PlanBackfill(r, engine.Backfill{From: begin.Add(-7 * day), To: begin.Add(-5 * day)}, now); p.TooOld != 2*day || p.Requests != 0 {
		t.Errorf("all of it is too old: %+v", p)
	}
}
