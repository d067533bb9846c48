package builtins

import (
	"time"

	"starling/engine"
)

// sizedOlder is the name under which the sizes of windows are kept in which a fresh sweep asks for
// something again.
const sizedOlder = "overlap"

// planFresh returns the next window of the fresh sweep that is going on, or begins one if it is due: what
// was never asked for before what is asked for again, so that it waits for nothing, and tells how dense
// rows are now.
func (it *sweepIterator) planFresh(now time.Time) (*sweep, error) {
	begin, err := timeCursor(it.pull, engine.WindowCursor)
	if err == nil && !it.newer.left() {
		err = it.beginFresh(now)
	}
	if err != nil {
		return nil, err
	}
	// What was settled meanwhile is not asked for any more: which of its rows were sent may be forgotten.
	it.newer.from, it.older.from = latest(it.newer.from, begin), latest(it.older.from, begin)
	switch {
	case it.newer.left() && it.ready(laneFresh):
		return it.window(laneFresh, laneFresh, it.newer), nil
	case it.older.left() && it.ready(sizedOlder):
		// Backwards: what appears late mostly is young.
		from := latest(it.older.from, it.older.to.Add(-it.sizes.of(sizedOlder)))
		return it.window(laneFresh, sizedOlder, stretch{from, it.older.to}), nil
	}
	return nil, nil
}

// beginFresh begins a fresh sweep if one is due.
func (it *sweepIterator) beginFresh(now time.Time) error {
	// A pull that begins a moment early must not leave it to the next one.
	clock := it.pull.Clock()
	if clock.Sub(it.sizes.freshAt()) < it.every-it.every/20 {
		return nil
	}
	cursor, err := timeCursor(it.pull, freshCursor)
	if err != nil {
		return err
	}
	to := now.Add(-it.fresh)
	it.round, it.border = clock, cursor
	// After a pause the newest rows come first, and the lane catchup sees to what is between.
	if to.Sub(cursor) > max(it.overlap, 2*it.every) {
		cursor, it.border = to.Add(-it.sizes.overlap(it.overlap)), time.Time{}
	}
	it.newer = stretch{latest(cursor, it.floor(now)), to}
	return nil
}

// freshDone notes that a fresh sweep is done up to a moment, in the window w. What the one before did not ask
// for again in time is left to the lane rescan.
func (it *sweepIterator) freshDone(w *sweep, to time.Time) error {
	if w.sized == sizedOlder {
		it.older.to = w.start
		return nil
	}
	it.newer.from = to
	if it.newer.left() {
		return nil
	}
	it.sizes.setFreshAt(it.round)
	if it.border.IsZero() {
		return nil
	}
	it.older = stretch{latest(it.border.Add(-it.sizes.overlap(it.overlap)), it.floor(it.now())), it.border}
	return nil
}
