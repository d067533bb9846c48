package builtins

import (
	"encoding/json"
	"math"
	"time"

	"starling/engine"
)

// A BackfillPlan is what a backfill takes, as far as the ledger can tell.
type BackfillPlan struct {
	Ranges   int           // stretches that are asked for; the rest is settled already
	Length   time.Duration // of all of them
	Windows  int
	Requests int64 // without retries
	Rows     int64
	TooOld   time.Duration // at the beginning: the API keeps it no longer, so it becomes a gap
	// Guessed says that nothing is known about how many rows there are: each window counts as one request.
	Guessed bool
}

// PlanBackfill goes through the windows of b as pulls will, with the rows that the hours had before, or
// those of other weeks. The report must be of all of the ledger. What the API does not keep at now is not
// asked for.
func PlanBackfill(r engine.CoverageReport, b engine.Backfill, now time.Time) BackfillPlan {
	z := &sweepSizes{lanes: map[string]*laneState{}}
	_ = json.Unmarshal(r.Sweeps, &z.state) // without it, sizes are those of a script that says little
	if z.state.Size == nil {
		z.state.Size = map[string]int{}
	}
	seconds := func(n int, other time.Duration) time.Duration {
		if n > 0 {
			return time.Duration(n) * time.Second
		}
		return other
	}
	z.base, z.least, z.most = seconds(z.state.Base, time.Hour), seconds(z.state.Least, time.Minute), seconds(z.state.Most, 24*time.Hour)
	rows := newDensity(r, z.state.RowsS)
	p := BackfillPlan{Guessed: rows.unknown() || z.state.PageRows == 0}
	if floor := now.Add(-seconds(z.state.Keeps, 0)); z.state.Keeps > 0 && b.From.Before(floor) {
		p.TooOld = earliest(floor, b.To).Sub(b.From)
		b.From = b.From.Add(p.TooOld)
	}
	var end time.Time
	for s := range filled(r.Spans, b.From, b.To) {
		if b.Again || unsettled(s) {
			if !s.From.Equal(end) {
				p.Ranges++
			}
			end = s.To
			p.Length += s.To.Sub(s.From)
		}
	}
	sum := 0.0
	for at := b.From; at.Before(b.To); {
		from, to := at, b.To
		if !b.Again {
			from, to = firstOf(filled(r.Spans, at, b.To), unsettled)
		}
		if !from.Before(to) {
			break
		}
		at = earliest(to, from.Add(z.of(laneBackfill)))
		n := rows.between(from, at)
		pages := int64(1)
		if z.state.PageRows > 0 {
			pages = max(1, int64(math.Ceil(n/float64(z.state.PageRows))))
		}
		z.good(laneBackfill, at.Sub(from), pages, int64(n))
		p.Windows++
		p.Requests += pages
		sum += n
	}
	p.Rows = int64(math.Round(sum))
	return p
}

// unsettled reports whether a backfill asks for s although it was not told to ask for everything again.
func unsettled(s engine.Span) bool { return s.State != engine.SpanSettled || s.Lost }

// A density is how many rows an hour of event time has, from what the ledger counted.
type density struct {
	known  map[int64]float64 // by the hour
	week   [7 * 24]mean
	day    [24]mean
	all    mean
	second float64 // rows in a second, if no hour is known
}

type mean struct{ sum, n float64 }

func (m *mean) add(v float64) { m.sum, m.n = m.sum+v, m.n+1 }

// newDensity takes every hour that was swept as a whole. Hours without a count had no rows.
func newDensity(r engine.CoverageReport, second float64) *density {
	d := &density{known: map[int64]float64{}, second: second}
	counts := map[int64]float64{}
	for _, h := range r.Hours {
		counts[h.Hour.Unix()/3600] = float64(max(h.Rows, h.Events))
	}
	var from, to time.Time
	take := func() {
		if from.IsZero() {
			return
		}
		for h := from.Add(time.Hour - time.Second).Truncate(time.Hour); !h.Add(time.Hour).After(to); h = h.Add(time.Hour) {
			n := h.Unix() / 3600
			d.known[n] = counts[n]
			d.week[n%(7*24)].add(counts[n])
			d.day[n%24].add(counts[n])
			d.all.add(counts[n])
		}
	}
	for _, s := range r.Spans {
		if s.Swept.IsZero() {
			continue
		}
		if !s.From.Equal(to) {
			take()
			from = s.From
		}
		to = s.To
	}
	take()
	return d
}

func (d *density) unknown() bool { return d.all.n == 0 && d.second == 0 }

// hour is how many rows an hour has, counted since 1970: what was seen, what the same hour of other
// weeks had, or of other days, or any hour.
func (d *density) hour(n int64) float64 {
	if v, ok := d.known[n]; ok {
		return v
	}
	for _, m := range []mean{d.week[((n%168)+168)%168], d.day[((n%24)+24)%24], d.all} {
		if m.n > 0 {
			return m.sum / m.n
		}
	}
	return d.second * 3600
}

func (d *density) between(from, to time.Time) float64 {
	sum := 0.0
	for from.Before(to) {
		next := earliest(from.Truncate(time.Hour).Add(time.Hour), to)
		sum += d.hour(from.Unix()/3600) * next.Sub(from).Hours()
		from = next
	}
	return sum
}
