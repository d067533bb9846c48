package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"starling/cmd/internal/sim"
)

// A trialPlan is all that is decided before a trial begins.
type trialPlan struct {
	graph, fresh bool
	policy       string        // status_changes
	settle       time.Duration // from which age a range is complete
	keeps        time.Duration // how long the service keeps rows
	quota        int           // requests_per_second, or requests_per_5_minutes
	pageRows     int
	latency      time.Duration // of a request
	answerBytes  int64         // limits of a pull; 0: the usual ones
	stagedBytes  int64
	pullTime     time.Duration
	period       time.Duration
	begin, end   time.Time       // while things happen
	last         time.Time       // a moment after everything
	kills        float64         // share of pulls before which a kill is decided
	clockSet     float64         // and a change of the clock
	skewed       bool            // the clock is set at all
	pauses       []time.Duration // downtimes
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// faultKinds are those that take no time of the machine's clock.
var faultKinds = []sim.Fault{sim.ServerError, sim.BadGateway, sim.Unavailable, sim.GatewayTimeout, sim.Reset, sim.ResetEarly, sim.CloseEarly, sim.Truncated,
	sim.CutChunks, sim.Cut, sim.WebPage, sim.Redirect, sim.BadGzip, sim.TwiceKeys, sim.BOM, sim.BadUTF8}

// draw decides, and returns the service that goes with it.
func (tr *trial) draw() sim.Options {
	r := tr.r
	tr.graph, tr.fresh = r.IntN(2) == 0, r.IntN(2) == 0
	tr.policy = pick(r, "all", "all", "first", "terminal_only")
	tr.settle = pick(r, time.Hour, 2*time.Hour, 4*time.Hour, 25*time.Hour)
	tr.keeps, tr.quota = 10*24*time.Hour, pick(r, 1, 3, 100000)
	if tr.graph {
		tr.keeps, tr.quota = 90*24*time.Hour, pick(r, 20, 90, 90, 100)
	}
	tr.pageRows = pick(r, 5, 10, 50, 200)
	tr.latency = pick(r, 100*time.Millisecond, time.Second, 5*time.Second, 20*time.Second)
	tr.pullTime = pick(r, 10*time.Minute, time.Hour)
	tr.period = pick(r, 5*time.Minute, 10*time.Minute, 20*time.Minute)
	tr.kills = pick(r, 0, 0.1, 0.2, 0.4)
	if tr.skewed = r.IntN(2) == 0; tr.skewed {
		tr.clockSet = pick(r, 0.05, 0.2)
		tr.setClock()
	}
	if r.IntN(4) == 0 { // of which windows that are too long have too much
		tr.answerBytes, tr.stagedBytes = 64<<10, 256<<10
	}
	// Winter time begins on the 7th in some zones.
	tr.begin = time.Date(2021, 11, 3, r.IntN(24), r.IntN(60), r.IntN(60), 37, time.UTC) // no row has such a fraction, and no pull begins at a row
	tr.end = tr.begin.Add(time.Duration(2+r.IntN(5)) * time.Hour)
	rows := float64(pick(r, 20, 100, 400)) / (12 * 3600)
	for range r.IntN(3) {
		pause := time.Duration(r.Int64N(int64(pick(r, 2*time.Hour, 30*time.Hour))))
		if r.IntN(4) == 0 {
			pause = 9*24*time.Hour + time.Duration(r.Int64N(int64(3*24*time.Hour)))
			rows = min(rows, 100./(12*3600))
		}
		tr.pauses = append(tr.pauses, pause)
		tr.end = tr.end.Add(pause)
	}
	tr.last = tr.end.Add(tr.settle + 48*time.Hour)
	return tr.service(rows)
}

// service draws how the service behaves, and what goes wrong there.
func (tr *trial) service(rows float64) sim.Options {
	r := tr.r
	short := tr.settle - time.Second
	delays := []sim.Delay{{Share: 0.7, Min: time.Minute, Max: 10 * time.Minute}, {Share: 0.2, Min: 10 * time.Minute, Max: short}, {Share: 0.05, Min: short, Max: short},
		{Share: 0.02, Min: tr.settle + time.Second, Max: tr.settle + time.Second}}
	trouble := pick(r, 0, 0.05, 0.1, 0.2)
	kinds := append([]sim.Fault{}, faultKinds...)
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	faults := sim.Faults{Share: trouble, Kinds: kinds}
	o := sim.Options{Seed: tr.seed, TenantID: tr.tenant, Now: tr.clock, KeepLog: true, PageSize: tr.pageRows,
		Rows: sim.Rows{From: tr.begin.Add(-6 * time.Hour), PerSecond: rows, Delays: delays, Recipients: pick(r, 1, 3, 8), Quantum: pick(r, 0, 0, time.Second, 10*time.Minute),
			Evolve: pick(r, 0, 0.3, 0.8), EvolveBy: pick(r, time.Minute, time.Hour)},
		Order: pick(r, sim.NewestFirst, sim.OldestFirst, sim.Shuffled), SkipToken: pick(r, "key", "offset"), Links: pick(r, "", "relative", "absolute"),
		TrailingEmpty: r.IntN(3) == 0, Zone: r.IntN(2) == 0, RawUnicode: r.IntN(2) == 0, Gzip: r.IntN(4) == 0, Repeat: pick(r, 0, 3, 20),
		TokenLifetime: pick(r, 6*time.Minute, 10*time.Minute, time.Hour), RevokeEvery: pick(r, 0, 0, 11), Faults: faults, TokenFaults: faults,
		ErrorBody: pick(r, "", "html", "empty"),
		Throttle:  sim.Throttle{Every: pick(r, 0, 9, 25), Pause: 30 * time.Second, Form: pick(r, sim.Seconds, sim.Date, sim.Absent, sim.Zero)}}
	if r.IntN(4) == 0 {
		o.Overload = sim.Overload{Rows: 60, Status: pick(r, 500, 504)}
	}
	o.Graph = sim.Graph{Paging: pick(r, "cursor", "offset", "snapshot"), EmptyPage: pick(r, 0, 2, 5), LinkFirst: r.IntN(2) == 0, Plain: r.IntN(4) > 0}
	o.Graph.Quota.Form = pick(r, sim.Seconds, sim.Date, sim.Absent, sim.Zero)
	o.Graph.Quota.Others = pick(r, 0, 0, 30)
	if r.IntN(4) == 0 {
		at := tr.begin.Add(time.Duration(r.Int64N(int64(2 * time.Hour))))
		o.Rows.Incidents = []sim.Incident{{From: at, To: at.Add(time.Hour), Delay: min(tr.settle, pick(r, 40*time.Minute, 20*time.Hour)) - time.Second}}
	}
	tr.counts["order "+[]string{"newest first", "oldest first", "shuffled"}[o.Order]]++
	tr.counts[tr.api()+", "+tr.mode()]++
	tr.counts["status_changes "+tr.policy]++
	return o
}

func (p *trialPlan) api() string {
	if p.graph {
		return "graph"
	}
	return "report"
}

func (p *trialPlan) mode() string {
	if p.fresh {
		return "fresh"
	}
	return "delayed"
}

func (tr *trial) String() string {
	return fmt.Sprintf("%s, %s, status_changes %s, settles after %v, %s to %s, now %s, clock ahead by %v, window %s", tr.api(), tr.mode(), tr.policy, tr.settle,
		tr.begin.Format(time.RFC3339), tr.end.Format(time.RFC3339), tr.clock().Format(time.RFC3339), tr.offset, tr.cursors["window"].Format(time.RFC3339))
}
