package engine

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Cursors that tell, together with WindowCursor, how far a collector with a ledger is.
const (
	SweepsCursor       = "sweeps"        // how its windows have adapted, for the planning of sweeps
	BackfillCursor     = "backfill"      // a Backfill; only commands set it
	BackfillDoneCursor = "backfill_done" // how far the backfill is; only pulls set it
)

// A Backfill is a range of event time that a person asked for: pulls ask for it beside everything else,
// From inclusive and To exclusive, UTC and in whole seconds.
type Backfill struct {
	ID   string    `json:"id"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Again says that also what is settled already is pulled, and sent once more.
	Again bool `json:"again,omitempty"`
	// Next is how far it is: what is before it is done.
	Next time.Time `json:"next,omitzero"`
}

// Over reports whether all of it is done.
func (b *Backfill) Over() bool { return !b.Next.Before(b.To) }

// A CoverageReport is the ledger of a collector, and what else says how far the collector is.
type CoverageReport struct {
	Coverage
	Settled  time.Time       `json:"settled,omitzero"` // where settling goes on; zero: nothing was ever committed
	Sweeps   json.RawMessage `json:"sweeps,omitempty"` // the cursor
	Backfill *Backfill       `json:"backfill,omitempty"`
}

// Report returns the ledger of a collector between two times, as Coverage does, and its cursors.
func (s *Store) Report(collector string, from, to time.Time) (CoverageReport, error) {
	r, err := s.progress(collector)
	if err == nil {
		r.Coverage, err = s.Coverage(collector, from, to)
	}
	return r, err
}

// progress is Report without the ledger.
func (s *Store) progress(collector string) (r CoverageReport, err error) {
	all, err := s.Cursors()
	if err != nil {
		return r, err
	}
	cursors := all[collector]
	r.Collector, r.Sweeps, r.Backfill = collector, cursors[SweepsCursor], backfillOf(cursors)
	if text := cursors[WindowCursor]; text != nil {
		if err := json.Unmarshal(text, &r.Settled); err != nil {
			return r, storeError("read the cursor "+WindowCursor+" of "+collector, err, "set it to a time with starling state set")
		}
	}
	r.Settled = r.Settled.UTC()
	return r, nil
}

// backfillOf is the backfill that the cursors tell of; nil if there is none.
func backfillOf(cursors map[string]json.RawMessage) *Backfill {
	var b, done Backfill
	if json.Unmarshal(cursors[BackfillCursor], &b) != nil || b.ID == "" {
		return nil
	}
	b.From, b.To, b.Next = b.From.UTC(), b.To.UTC(), b.From.UTC()
	if json.Unmarshal(cursors[BackfillDoneCursor], &done) == nil && done.ID == b.ID && done.Next.After(b.Next) {
		b.Next = earlier(done.Next.UTC(), b.To)
	}
	return &b
}

// CheckBackfill returns why b cannot be asked for, or nil.
func (r *CoverageReport) CheckBackfill(b Backfill) error {
	refuse := func(hint, format string, args ...any) error {
		return &Error{Code: CodeConfig, Op: "backfill of " + r.Collector, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	const layout = time.RFC3339
	switch {
	case !b.From.Before(b.To):
		return refuse("", "the range is empty: it goes from %s to %s", b.From.Format(layout), b.To.Format(layout))
	case r.Settled.IsZero() || r.Sweeps == nil:
		return refuse("it needs a script that pulls with checkpoint.sweeps, and one pull of it", "the collector keeps no ledger yet")
	case b.To.After(r.Settled):
		return refuse("ask for what is before; the rest is pulled and settled anyway", "only what is before %s can be pulled again, up to where everything is settled; the range ends at %s", r.Settled.Format(layout), b.To.Format(layout))
	case r.Backfill != nil && !r.Backfill.Over():
		return refuse("wait until it is done, or end it with --cancel", "another one is going on, from %s to %s, and is at %s",
			r.Backfill.From.Format(layout), r.Backfill.To.Format(layout), r.Backfill.Next.Format(layout))
	}
	return nil
}

// SetBackfill has the pulls of a collector carry out b, of which ID and Next do not matter; nil ends the
// one that is going on. What was pulled stays. It may be called at any time, by any goroutine.
func (s *Store) SetBackfill(collector string, b *Backfill) error {
	if b == nil {
		return s.SetCursor(collector, BackfillCursor, nil)
	}
	r, err := s.progress(collector)
	if err != nil {
		return err
	}
	job := Backfill{ID: strings.ToLower(rand.Text()[:10]), From: b.From.UTC().Truncate(time.Second), To: b.To.UTC().Truncate(time.Second), Again: b.Again}
	if err := r.CheckBackfill(job); err != nil {
		return err
	}
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	return s.SetCursor(collector, BackfillCursor, text)
}
