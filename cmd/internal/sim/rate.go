package sim

import (
	"math"
	"sort"
	"time"
)

// segment is a time in which rows come at one rate. It ends where the next one begins.
type segment struct {
	tick   int64   // where it begins
	row    int     // its first row
	perRow float64 // ticks; +Inf when it is quiet
}

// plan lays out when the rows of a specification come, and counts them.
func plan(spec *Rows) (segments []segment, limit int) {
	from, to := ticks(spec.From), int64(math.MaxInt64)
	if !spec.To.IsZero() {
		to = ticks(spec.To)
	}
	if spec.Count > 0 {
		return []segment{{from, 0, float64(to-from) / float64(spec.Count)}}, spec.Count
	}
	add := func(until int64, perSecond float64) {
		if until <= from {
			return
		}
		segments = append(segments, segment{from, limit, float64(time.Second/tick) / perSecond})
		limit += segments[len(segments)-1].rows(until)
		from = until
	}
	for _, b := range spec.Bursts {
		add(min(to, ticks(b.From)), spec.PerSecond)
		add(min(to, ticks(b.To)), b.PerSecond)
	}
	add(to, spec.PerSecond)
	return segments, limit
}

// rows counts the rows of the segment before a tick.
func (s *segment) rows(until int64) int {
	switch {
	case math.IsInf(s.perRow, 1):
		return 0
	case until == math.MaxInt64:
		return math.MaxInt/2 - s.row
	}
	return int(math.Ceil(float64(until-s.tick) / s.perRow))
}

// slot returns the ticks [start, end) that row i may come from.
func (g *generator) slot(i int) (start, end int64) {
	n := sort.Search(len(g.segments), func(n int) bool { return g.segments[n].row > i }) - 1
	s := &g.segments[n]
	start = s.tick + int64(float64(i-s.row)*s.perRow)
	end = s.tick + int64(float64(i+1-s.row)*s.perRow)
	if n+1 < len(g.segments) {
		end = min(end, g.segments[n+1].tick)
	}
	return start, end
}

// reach returns a row that is not before the last one that came before a tick.
func (g *generator) reach(t int64) int {
	n := max(0, sort.Search(len(g.segments), func(n int) bool { return g.segments[n].tick > t })-1)
	s := &g.segments[n]
	return s.row + s.rows(t)
}
