package builtins

import (
	"errors"
	"testing"
	"time"

	"starling/engine"
)

func testSizes() *sweepSizes {
	return &sweepSizes{base: time.Hour, least: time.Minute, most: 6 * time.Hour, lanes: map[string]*laneState{},
		state: sweepState{Size: map[string]int{}, PageRows: 2000}}
}

// Windows become smaller when they have many pages and larger when they are nearly empty, within their bounds.
func TestWindowsAdaptToWhatIsInThem(t *testing.T) {
	t.Parallel()
	const lane = "settle"
	for _, test := range []struct {
		name        string
		size        time.Duration // before
		length      time.Duration
		pages, rows int64
		want        time.Duration
	}{
		{"one page, nearly empty", time.Hour, time.Hour, 1, 399, 2 * time.Hour},
		{"one page, a fifth full", time.Hour, time.Hour, 1, 400, time.Hour},
		{"two pages", time.Hour, time.Hour, 2, 300, time.Hour},
		{"five pages", time.Hour, time.Hour, 5, 9_999, time.Hour},
		{"six pages", time.Hour, time.Hour, 6, 10_001, 30 * time.Minute},
		{"nothing", time.Hour, time.Hour, 1, 0, 2 * time.Hour},
		{"nothing, but short", time.Hour, 20 * time.Minute, 1, 0, time.Hour},
		{"nothing, as long as can be", 6 * time.Hour, 6 * time.Hour, 1, 0, 6 * time.Hour},
		{"many, as short as can be", time.Minute, time.Minute, 60, 120_000, time.Minute},
		{"many, nearly as short as can be", 90 * time.Second, 90 * time.Second, 60, 120_000, time.Minute},
	} {
		z := testSizes()
		z.set(lane, test.size)
		kept := z.good(lane, test.length, test.pages, test.rows)
		// How dense the rows were bounds it as well: that is another test.
		if got := time.Duration(kept.Size[lane]) * time.Second; got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
	z := testSizes()
	z.set(lane, 6*time.Hour)
	z.good("fresh", time.Minute, 10, 20_000) // 333 rows in a second
	if got := z.of(lane); got != time.Minute {
		t.Errorf("at 333 rows in a second a window of 10 pages is a minute: got %v", got)
	}
}

// What fails is asked for in smaller parts, then ever later, and returns to its size after five good sweeps.
func TestWindowsThatFailBecomeSmallAndRecover(t *testing.T) {
	t.Parallel()
	const lane = "settle"
	z := testSizes()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	failure := &engine.Error{Code: engine.CodeUpstream, Err: errors.New("busy")}
	for _, want := range []time.Duration{30 * time.Minute, 15 * time.Minute, 450 * time.Second, 225 * time.Second, 112 * time.Second, time.Minute} {
		z.bad(lane, z.of(lane), now, failure)
		if until, why := z.held(lane); z.of(lane) != want || !until.Equal(now.Add(firstHold)) || why == nil || why.Err != failure.Err {
			t.Fatalf("got %v until %v because of %v, want %v", z.of(lane), until, why, want)
		}
	}
	last := time.Duration(0)
	for range 12 {
		z.bad(lane, time.Minute, now, failure)
		until, _ := z.held(lane)
		hold := until.Sub(now)
		if hold < last || hold > 15*time.Minute || z.of(lane) != time.Minute {
			t.Fatalf("a smallest window of %v is held for %v after %v", z.of(lane), hold, last)
		}
		last = hold
	}
	if last != 15*time.Minute {
		t.Errorf("at the end it is held for %v", last)
	}
	if until, _ := z.held("fresh"); !until.IsZero() {
		t.Errorf("another lane is held until %v", until)
	}
	sweeps := 0
	for ; z.of(lane) < time.Hour; sweeps++ {
		if sweeps > 100 {
			t.Fatalf("it stays at %v", z.of(lane))
		}
		before := z.of(lane)
		z.good(lane, before, 2, 600) // neither many pages nor nearly empty
		if until, why := z.held(lane); !until.IsZero() || why != nil {
			t.Fatalf("after a good sweep it is held until %v: %v", until, why)
		}
		if after := z.of(lane); after != before && after != min(2*before, time.Hour) {
			t.Fatalf("it grew from %v to %v", before, after)
		}
	}
	if sweeps != 30 { // six times doubled, the last time to what it was
		t.Errorf("it took %d good sweeps, want five for each step", sweeps)
	}
}
