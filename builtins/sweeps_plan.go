package builtins

import (
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A sweepIterator plans one window after the other, each from what is committed at that moment: fresh
// ones as soon as they are due, the other lanes in turn between them.
type sweepIterator struct {
	*sweeps
	sizes   *sweepSizes
	begun   time.Time
	started time.Time // begun, for measuring
	last    *sweep
	newer   stretch   // what is left of the fresh sweep that is going on
	older   stretch   // what is left of what it asks for again
	border  time.Time // between the two; zero if it asks for nothing again
	round   time.Time // when it began, for measuring
	turn    int       // of others
	failure error     // of the last sweep that failed
	kept    bool      // something was committed
}

// A stretch of event time, of which nothing may be left.
type stretch struct{ from, to time.Time }

func (s stretch) left() bool { return s.to.Sub(s.from) >= time.Second }

// Iterate begins to plan.
func (s *sweeps) Iterate() starlark.Iterator {
	it := &sweepIterator{sweeps: s, begun: s.now(), started: s.pull.Clock()}
	it.sizes = sizesOf(s)
	s.pull.AtEnd(it.ended)
	return it
}

func (*sweepIterator) Done() {}

func (it *sweepIterator) Next(v *starlark.Value) bool {
	next, err := it.next()
	if err != nil {
		engine.FailIterator(it.thread, fmt.Errorf("%s: %w", it.name, err))
		return false
	}
	if next == nil {
		return false
	}
	it.last = next
	*v = next
	return true
}

func (it *sweepIterator) next() (*sweep, error) {
	if it.last != nil && !it.last.closed {
		return nil, fmt.Errorf("%v was not committed: call checkpoint.commit(window) when all of it is sent, or window.fail(reason)", it.last)
	}
	if it.last == nil {
		if err := it.begin(); err != nil {
			return nil, err
		}
	}
	if it.last != nil && it.late() {
		return nil, it.end()
	}
	w, err := it.plan(it.now())
	if err != nil || w == nil {
		if err == nil {
			err = it.end()
		}
		return nil, err
	}
	return w, it.open(w)
}

// late reports whether most of the pull's time is used.
func (it *sweepIterator) late() bool {
	deadline, ok := it.pull.Deadline()
	return ok && it.pull.Clock().Sub(it.started) > time.Duration(float64(deadline.Sub(it.started))*enough)
}

// end fails the pull if nothing at all worked, also when all that is left to do waits after a failure.
func (it *sweepIterator) end() error {
	if it.kept {
		return nil
	}
	return it.failure
}

// begin keeps where everything begins, and commits what the script staged before the loop: a sweep that
// fails is forgotten with all that is staged.
func (it *sweepIterator) begin() error {
	at, err := timeCursor(it.pull, engine.WindowCursor)
	if err != nil {
		return err
	}
	if at.IsZero() {
		start := latest(it.begun.Add(-it.first), it.floor(it.begun))
		if err := setJSON(it.pull, engine.WindowCursor, start); err != nil {
			return err
		}
	}
	if !it.pull.HasStaged() {
		return nil
	}
	return it.pull.Commit()
}

// plan returns the next window, nil if there is none.
func (it *sweepIterator) plan(now time.Time) (*sweep, error) {
	if it.fresh > 0 {
		if w, err := it.planFresh(now); w != nil || err != nil {
			return w, err
		}
	}
	for range others {
		lane := others[it.turn%len(others)]
		it.turn++
		if !it.ready(lane) {
			continue
		}
		from, to, err := it.due(lane, now)
		if err != nil {
			return nil, err
		}
		if to.Sub(from) >= time.Second {
			return it.window(lane, lane, stretch{from, to}), nil
		}
	}
	return nil, nil
}

func (it *sweepIterator) ready(lane string) bool {
	until, failure := it.sizes.held(lane)
	now := it.pull.Clock()
	if now.Before(until) {
		if it.failure == nil && failure != nil {
			failure.Wait = until.Sub(now)
			it.failure = failure
		}
		return false
	}
	return true
}

// window is the first part of a stretch that is small enough, by the sizes that are kept under a name.
func (it *sweepIterator) window(lane, sized string, s stretch) *sweep {
	return &sweep{it: it, lane: lane, sized: sized, start: s.from, end: earliest(s.to, s.from.Add(it.sizes.of(sized)))}
}

// due returns the first range that a lane has to ask for.
func (it *sweepIterator) due(lane string, now time.Time) (from, to time.Time, err error) {
	settled, err := timeCursor(it.pull, engine.WindowCursor)
	if err != nil {
		return
	}
	switch lane {
	case laneSettle:
		return it.dueSettle(settled, now)
	case laneBackfill:
		return it.dueBackfill(settled, now)
	}
	fresh, err := timeCursor(it.pull, freshCursor)
	if err != nil || it.fresh == 0 || fresh.IsZero() {
		return
	}
	floor := latest(settled, now.Add(-it.settles), it.floor(now).Add(it.least))
	if lane == laneCatchup {
		return it.find(floor, fresh, func(s engine.Span) bool { return s.Swept.IsZero() && s.State != engine.SpanGap })
	}
	return it.sizes.rescanRange(it.pull.Clock(), it.rescanEvery, latest(floor, now.Add(-it.rescan)), fresh.Add(-it.sizes.overlap(it.overlap)))
}

// dueSettle returns what is old enough to be swept for the last time. What is too old to be asked for is
// given up only by the clock of the API: before its first answer, it is the one to say so.
func (it *sweepIterator) dueSettle(settled, now time.Time) (from, to time.Time, err error) {
	if floor := it.floor(now); settled.Before(floor) && it.pull.APIClock().Heard() {
		tooOld(it.pull, settled, floor)
		if err := advance(it.pull, engine.WindowCursor, floor); err != nil {
			return from, to, err
		}
		if err := it.pull.Commit(); err != nil {
			return from, to, err
		}
		settled = floor
	}
	until := earliest(it.begun, now).Add(-it.settles) // the first answers may have told that it is earlier
	// Beside fresh sweeps there is no hurry, and a window of a few minutes costs as much as one of many.
	if it.fresh > 0 && until.Sub(settled) < min(it.sizes.of(laneSettle), settleAtLeast) {
		return from, to, nil
	}
	return settled, until, nil
}

// tooOld notes that the API does not keep a range any more.
func tooOld(p *engine.Pull, from, to time.Time, more ...any) {
	p.Logger().Warn("gap: the API does not keep this range any more, it cannot be pulled", append([]any{"from", from, "to", to}, more...)...)
	p.Mark(engine.Mark{From: from, To: to, State: engine.SpanGap, Reason: reasonRetention})
}

const (
	reasonRetention = "retention"
	settleAtLeast   = 15 * time.Minute
)

// find returns the first stretch between from and to of which the ledger says what want asks for.
// Where the ledger says nothing, want gets a span without a state.
func (it *sweepIterator) find(from, to time.Time, want func(engine.Span) bool) (time.Time, time.Time, error) {
	if !from.Before(to) {
		return time.Time{}, time.Time{}, nil
	}
	c, err := it.pull.Coverage(from, to)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	start, end := firstOf(filled(c.Spans, from, to), want)
	return start, end, nil
}

// firstOf returns the first stretch of spans that are wanted, zero times if there is none.
func firstOf(spans func(func(engine.Span) bool), want func(engine.Span) bool) (start, end time.Time) {
	for s := range spans {
		switch {
		case want(s) && start.IsZero():
			start, end = s.From, s.To
		case want(s):
			end = s.To
		case !start.IsZero():
			return start, end
		}
	}
	return start, end
}

// filled goes through spans from one time to another, with one that has no state for each hole.
func filled(spans []engine.CoveredSpan, from, to time.Time) func(func(engine.Span) bool) {
	return func(yield func(engine.Span) bool) {
		for _, s := range spans {
			if s.From, s.To = latest(s.From, from), earliest(s.To, to); !s.From.Before(s.To) {
				continue
			}
			if from.Before(s.From) && !yield(engine.Span{From: from, To: s.From}) {
				return
			}
			if !yield(s.Span) {
				return
			}
			from = s.To
		}
		if from.Before(to) {
			yield(engine.Span{From: from, To: to})
		}
	}
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
