package builtins

import (
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// setWindow reads the argument window of devo.send.
func (s *sender) setWindow(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil
	case *sweep:
		if v.closed {
			return fmt.Errorf("window: %v is over already", v)
		}
		s.run.window = v
		return nil
	}
	return fmt.Errorf("window: got %s, want a window of checkpoint.sweeps", v.Type())
}

// atBound is how far behind its end an API may include rows in a range that it was asked for.
const atBound = time.Second

// outside reports whether a record is of the end of the window, or right behind it, which belongs to the
// window that begins there. What an API sends of any other time is sent: it may never come again.
func (w *drafter) outside(at time.Time) bool {
	window := w.run.window
	return window != nil && !w.undated(at) && !at.Before(window.end) && at.Before(window.end.Add(atBound))
}

// undated reports whether at stands in for a time that is missing.
func (w *drafter) undated(at time.Time) bool { return at.Equal(w.pull.Started()) || at.IsZero() }

// counted adds a row of the window to the counts of its hour: events and aside are how many came of it.
func (s *sender) counted(at time.Time, again bool, events, aside int64) {
	w := s.run.window
	if w == nil {
		return
	}
	if s.undated(at) {
		at = w.start
	}
	if hour := at.Truncate(time.Hour); !hour.Equal(s.counts.Hour) {
		s.flushCounts()
		s.counts.Hour = hour
	}
	s.counts.Events += events
	s.counts.Aside += aside
	if !w.final() {
		return
	}
	if !again {
		s.counts.Rows++
	}
	if w.swept {
		s.counts.Late += events
	}
}

func (s *sender) flushCounts() {
	c := s.counts
	if c.Hour.IsZero() {
		return
	}
	s.counts = engine.HourCount{}
	at := c.Hour
	c.Hour = time.Time{}
	s.pull.Count(at, c)
}

// windowBound gives a bound of the window that devo.send was given.
func (r *run) windowBound(name string, of func(*sweep) time.Time) cell {
	if r.window == nil {
		r.err = fmt.Errorf("devo.%s: devo.send was given no window", name)
		return cell{}
	}
	return textCell(of(r.window).Format(timeLayout))
}
