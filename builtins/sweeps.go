package builtins

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// The lanes of checkpoint.sweeps: the reasons why a range is asked for.
const (
	laneFresh    = "fresh"    // the newest rows, soon
	laneCatchup  = "catchup"  // what was passed over, after a pause, and is not settled yet
	laneRescan   = "rescan"   // what was swept and may have got more rows since
	laneSettle   = "settle"   // for the last time, when nothing more is to come
	laneBackfill = "backfill" // what a person asked for
)

// others are the lanes that take turns when nothing fresh is due.
var others = [...]string{laneSettle, laneCatchup, laneRescan, laneBackfill}

// freshCursor is where the lane fresh goes on. The other cursors of checkpoint.sweeps are the engine's, which
// tells commands about them: engine.WindowCursor, before which everything is settled, engine.SweepsCursor,
// a sweepState, and those of the backfill.
const freshCursor = "fresh"

// sweeps iterates over the windows of all lanes.
type sweeps struct {
	pull   *engine.Pull
	thread *starlark.Thread
	name   string

	size, least, most time.Duration // of a window: at first, the bounds
	settles           time.Duration // the age from which a range is complete
	first             time.Duration // how far back it begins
	keeps             time.Duration // how far back the API can be asked; 0 means without end
	fresh             time.Duration // the age of the youngest rows that are asked for; 0: only settled ones are
	overlap           time.Duration // how much of the time before is asked for again with each fresh sweep
	every             time.Duration // between fresh sweeps
	rescan            time.Duration // up to which age ranges are asked for again
	rescanEvery       time.Duration
	pageRows          int // rows of a full page; 0: unknown
}

func (s *sweeps) String() string        { return "checkpoint.sweeps" }
func (s *sweeps) Type() string          { return "sweeps" }
func (s *sweeps) Freeze()               {}
func (s *sweeps) Truth() starlark.Bool  { return true }
func (s *sweeps) Hash() (uint32, error) { return 0, errors.New("unhashable: sweeps") }

func checkpointSweeps(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	s := &sweeps{thread: thread, name: b.Name(), overlap: time.Hour, every: 5 * time.Minute, rescan: 6 * time.Hour, rescanEvery: 45 * time.Minute, least: time.Minute, most: 24 * time.Hour}
	var size, settles, first, keeps, fresh, overlap, every, rescan, rescanEvery, least, most starlark.Value
	if err := unpack(b, args, kwargs, 1, "size", &size, "settles", &settles, "first", &first, "keeps?", &keeps, "fresh?", &fresh, "overlap?", &overlap,
		"every?", &every, "rescan?", &rescan, "rescan_every?", &rescanEvery, "least?", &least, "most?", &most, "page_rows?", &s.pageRows); err != nil {
		return nil, err
	}
	for _, a := range []struct {
		name  string
		value starlark.Value
		into  *time.Duration
	}{{"size", size, &s.size}, {"settles", settles, &s.settles}, {"first", first, &s.first}, {"keeps", keeps, &s.keeps}, {"fresh", fresh, &s.fresh},
		{"overlap", overlap, &s.overlap}, {"every", every, &s.every}, {"rescan", rescan, &s.rescan}, {"rescan_every", rescanEvery, &s.rescanEvery},
		{"least", least, &s.least}, {"most", most, &s.most}} {
		if a.value == nil || a.value == starlark.None {
			continue
		}
		var err error
		if *a.into, err = durationArg(a.value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", b.Name(), a.name, err)
		}
		if *a.into < 0 {
			return nil, fmt.Errorf("%s: %s: got %v, want a duration that is not negative", b.Name(), a.name, a.value)
		}
		*a.into = a.into.Truncate(time.Second)
	}
	s.most = max(s.most, s.least)
	switch {
	case s.least < time.Second || s.size < s.least || s.size > s.most:
		return nil, fmt.Errorf("%s: size: got %v, want a duration from least = %v to most = %v", b.Name(), Duration(s.size), Duration(s.least), Duration(s.most))
	case s.fresh > s.settles:
		return nil, fmt.Errorf("%s: fresh: got %v, want less than settles = %v", b.Name(), Duration(s.fresh), Duration(s.settles))
	case s.pageRows < 0:
		return nil, fmt.Errorf("%s: page_rows: got %d, want 0 or more", b.Name(), s.pageRows)
	}
	p, err := pullFor(thread, b)
	s.pull = p
	return s, err
}

// now is the time, in whole seconds; that of the API where its answers say that this machine's is wrong.
func (s *sweeps) now() time.Time {
	return s.pull.APINow().UTC().Truncate(time.Second)
}

// floor is the oldest moment that the API can be asked for, a second after now.
func (s *sweeps) floor(now time.Time) time.Time {
	if s.keeps == 0 {
		return time.Time{}
	}
	return now.Add(time.Second - s.keeps)
}

// timeCursor reads a cursor that is a time; the zero time if there is none.
func timeCursor(p *engine.Pull, name string) (time.Time, error) {
	text, ok, err := p.Cursor(name)
	if err != nil || !ok {
		return time.Time{}, err
	}
	var at time.Time
	if err := json.Unmarshal(text, &at); err != nil {
		return time.Time{}, fmt.Errorf("the cursor %q is no time: %w (repair it with starling state set, or start over with starling state reset)", name, err)
	}
	return at.UTC(), nil
}

// advance moves a cursor that is a time. It never moves back.
func advance(p *engine.Pull, name string, to time.Time) error {
	was, err := timeCursor(p, name)
	if err != nil {
		return err
	}
	if to.Before(was) {
		return fmt.Errorf("the cursor %q would move back from %s to %s; nothing of this is kept", name, was.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return setJSON(p, name, to)
}

func setJSON(p *engine.Pull, name string, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		p.SetCursor(name, text)
	}
	return err
}

// readJSON reads a cursor into v and reports whether there is one. One that cannot be read counts as
// none: it holds nothing that is not found again.
func readJSON(p *engine.Pull, name string, v any) (bool, error) {
	text, ok, err := p.Cursor(name)
	if err != nil || !ok {
		return false, err
	}
	return json.Unmarshal(text, v) == nil, nil
}
