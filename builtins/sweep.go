package builtins

import (
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A sweep is one window of checkpoint.sweeps: start inclusive, end exclusive.
type sweep struct {
	it         *sweepIterator
	lane       string
	sized      string // under which name its size is kept: the lane, mostly
	start, end time.Time
	asked      time.Time        // when it was handed out
	clock      time.Time        // that moment, for measuring
	heard      bool             // the API had told its time before
	before     engine.PullStats // at that moment
	swept      bool             // all of it was swept before
	closed     bool
}

var _ starlark.HasAttrs = (*sweep)(nil)

func (w *sweep) String() string {
	return fmt.Sprintf("window %s to %s (%s)", w.start.Format(time.RFC3339), w.end.Format(time.RFC3339), w.lane)
}
func (w *sweep) Type() string          { return "window" }
func (w *sweep) Freeze()               {}
func (w *sweep) Truth() starlark.Bool  { return true }
func (w *sweep) Hash() (uint32, error) { return 0, errors.New("unhashable: window") }
func (w *sweep) AttrNames() []string   { return []string{"end", "fail", "final", "gap", "lane", "start"} }

func (w *sweep) Attr(name string) (starlark.Value, error) {
	switch name {
	case "start":
		return Time{w.start}, nil
	case "end":
		return Time{w.end}, nil
	case "lane":
		return starlark.String(w.lane), nil
	case "final":
		return starlark.Bool(w.final()), nil
	case "fail":
		return starlark.NewBuiltin("window.fail", sweepFail).BindReceiver(w), nil
	case "gap":
		return starlark.NewBuiltin("window.gap", sweepGap).BindReceiver(w), nil
	}
	return nil, nil
}

// final reports whether it is the last sweep of its range.
func (w *sweep) final() bool { return w.lane == laneSettle || w.lane == laneBackfill }

// open hands w out.
func (it *sweepIterator) open(w *sweep) error {
	w.asked, w.clock, w.heard, w.before = it.now(), it.pull.Clock(), it.pull.APIClock().Heard(), it.pull.Stats
	if w.lane == laneSettle && it.fresh > 0 {
		c, err := it.pull.Coverage(w.start, w.end)
		if err != nil {
			return err
		}
		w.swept = true
		for s := range filled(c.Spans, w.start, w.end) {
			w.swept = w.swept && !s.Swept.IsZero()
		}
	}
	it.pull.OpenSweep(w.start, w.end, w.lane == laneBackfill)
	return nil
}

// commit notes that w was swept from end to end and commits.
func (w *sweep) commit(p *engine.Pull) error {
	if w.closed {
		return fmt.Errorf("%v is over already", w)
	}
	m := engine.Mark{From: w.start, To: w.end, State: engine.SpanSwept, Swept: w.asked}
	var err error
	switch w.lane {
	case laneFresh:
		m.To = earliest(m.To, w.it.now()) // rows of what is still to come by the clock of the API do not exist yet
		var was time.Time
		if was, err = timeCursor(p, freshCursor); err == nil && m.To.After(was) {
			err = advance(p, freshCursor, m.To)
		}
		if err == nil {
			err = w.it.freshDone(w, w.end)
		}
	case laneRescan:
		w.it.sizes.rescanned(w.end)
	case laneSettle:
		if err = w.settle(p, &m); err != nil {
			break
		}
	case laneBackfill:
		m.State, m.Again = engine.SpanSettled, true
		err = w.it.backfilled(w.end)
	}
	if err != nil {
		return err
	}
	p.Mark(m)
	state := w.it.sizes.good(w.sized, w.end.Sub(w.start), p.Stats.Pages-w.before.Pages, p.Stats.Rows-w.before.Rows)
	if err := setJSON(p, engine.SweepsCursor, state); err != nil {
		return err
	}
	w.closed, w.it.kept = true, true
	p.CloseSweep()
	return p.Commit()
}

// settle moves the moment before which everything is settled to the end of w, and forgets the keys of
// rows that no later window can meet. It does not if the clock turned out to be wrong meanwhile.
func (w *sweep) settle(p *engine.Pull, m *engine.Mark) error {
	settled, err := timeCursor(p, engine.WindowCursor)
	if err != nil {
		return err
	}
	if !settled.Equal(w.start) {
		return fmt.Errorf("%v does not begin where the last one ended, %s; nothing of it is kept", w, settled.Format(time.RFC3339))
	}
	age := w.it.now().Sub(w.end)
	// The machine's clock may have been set just now, and no answer says yet whether it is right.
	unsure := !p.APIClock().Heard() && p.Stats.Requests > w.before.Requests
	if age < w.it.settles || unsure {
		p.Logger().Warn("a range was swept too early by the clock of the API and is swept once more", "from", w.start, "to", w.end, "age", age.String())
		return nil
	}
	if floor := w.it.floor(w.it.now().Add(w.clock.Sub(p.Clock()))); !w.heard && w.start.Before(floor) {
		// It was asked for without knowing that it is too old; what came may be a part of it. The ledger has whole seconds.
		gap := earliest(floor.Add(time.Second-1).Truncate(time.Second), w.end)
		tooOld(p, w.start, gap)
		m.From = gap
	}
	m.State = engine.SpanSettled
	p.ForgetBefore(w.start.Add(-time.Hour))
	return advance(p, engine.WindowCursor, w.end)
}

// sweepFail gives a window up: nothing of it is kept, and other lanes go on.
func sweepFail(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var reason string
	if err := unpack(b, args, kwargs, 1, "reason", &reason); err != nil {
		return nil, err
	}
	w, p, err := abandoned(thread, b)
	if err != nil {
		return nil, err
	}
	failure := &engine.Error{Code: engine.CodeUpstream, Op: w.String(), Err: errors.New(reason)}
	w.failed(reason, failure)
	w.it.failure = failure
	p.Logger().Error("sweep failed; it is tried again with a smaller window or later, other lanes go on", "from", w.start, "to", w.end, "lane", w.lane, "error", reason)
	return starlark.None, nil
}

// abandoned returns the window whose method is called. It is over, and nothing of it is kept.
func abandoned(thread *starlark.Thread, b *starlark.Builtin) (*sweep, *engine.Pull, error) {
	w := b.Receiver().(*sweep)
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, nil, err
	}
	if w.closed {
		return nil, nil, fmt.Errorf("%s: %v is over already", b.Name(), w)
	}
	w.closed = true
	p.AbandonSweep()
	return w, p, nil
}

// failed remembers that w failed and why.
func (w *sweep) failed(reason string, failure *engine.Error) {
	w.it.sizes.bad(w.sized, w.end.Sub(w.start), w.it.pull.Clock(), failure)
	w.note(reason)
}

func (w *sweep) note(reason string) {
	p := w.it.pull
	if err := p.Note(engine.Mark{From: w.start, To: w.end, State: engine.SpanAsked, Reason: reason}); err != nil {
		p.Logger().Warn("that a sweep failed could not be written down", "error", err.Error())
	}
}

// sweepGap notes that the beginning of a window cannot be had, and goes on behind it.
func sweepGap(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	reason := reasonRetention
	if err := unpack(b, args, kwargs, 1, "reason?", &reason); err != nil {
		return nil, err
	}
	w, p, err := abandoned(thread, b)
	if err != nil {
		return nil, err
	}
	to := w.start.Add(w.it.sizes.gapStep(w.sized))
	if floor := w.it.floor(w.it.now()); w.start.Before(floor) && p.APIClock().Heard() {
		to = floor // it came too late: shorter windows are through before that
		w.it.sizes.shrink(w.sized, w.end.Sub(w.start))
	}
	to = earliest(w.end, to)
	p.Logger().Warn("gap: the API refuses this range, it cannot be pulled", "from", w.start, "to", to, "lane", w.lane, "reason", reason)
	p.Mark(engine.Mark{From: w.start, To: to, State: engine.SpanGap, Reason: reason})
	switch w.lane {
	case laneFresh:
		err = w.it.freshDone(w, to)
	case laneRescan:
		w.it.sizes.rescanned(to)
	case laneSettle:
		err = advance(p, engine.WindowCursor, to)
	case laneBackfill:
		err = w.it.backfilled(to)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	w.it.kept = true
	return starlark.None, p.Commit()
}

// ended is told how the pull ended. A window that was open then has failed.
func (it *sweepIterator) ended(err error) {
	w := it.last
	if err == nil || w == nil || w.closed {
		return
	}
	w.closed = true
	switch code := engine.CodeOf(err, engine.CodeScript); {
	case code == engine.CodeCanceled:
	case code == engine.CodeUpstream, code == engine.CodeTooLarge, it.pull.Context().Err() != nil:
		w.failed(string(code)+": "+err.Error(), &engine.Error{Code: code, Op: w.String(), Err: err})
	default:
		w.note(string(code) + ": " + err.Error())
	}
}
