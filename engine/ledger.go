package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// The coverage ledger says for each collector, for every stretch of event time, what was asked of the
// API, swept and settled, and what was not and why. A commit writes it in the transaction of its
// events, so that it never says more than what is in the outbox or beyond.

// A SpanState says how far a stretch of event time has come.
type SpanState string

const (
	SpanAsked   SpanState = "asked"   // asked for, but no sweep of it came to its end
	SpanSwept   SpanState = "swept"   // swept from end to end, at an age at which rows may still appear
	SpanSettled SpanState = "settled" // swept from end to end when nothing more was to come
	SpanGap     SpanState = "gap"     // cannot be asked for any more
)

// A Span is what is known about a stretch of event time, From inclusive and To exclusive, UTC.
type Span struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	State SpanState `json:"state"`
	// Swept is when the last complete sweep of it began, of several the first; zero if there was none.
	Swept time.Time `json:"swept,omitzero"`
	// Reason is why it is no further: of a gap "retention", or how the last attempt to ask for it failed.
	Reason string `json:"reason,omitempty"`
	// Lost says that events of it were dropped from a full outbox before every output had them.
	Lost bool `json:"lost,omitempty"`

	first, next uint64 // chunks first, …, next-1 may hold events of it; none if next is 0
}

// A Mark is what a commit says about a stretch of event time, UTC and in whole seconds.
type Mark struct {
	From, To time.Time
	State    SpanState
	Swept    time.Time // when the sweep began
	Reason   string
	// Again says that everything of it was sent again, so that what was dropped before does not matter.
	Again bool

	first, next uint64
}

// HourCount counts the rows of an hour of event time.
type HourCount struct {
	Hour   time.Time `json:"hour"`
	Events int64     `json:"events"` // sent, in all
	Late   int64     `json:"late"`   // of these, what only the last sweep found, although it was not the first
	Rows   int64     `json:"rows"`   // that the last sweep read: what the API had
	Aside  int64     `json:"aside"`  // too large to be sent, kept in the folder aside
}

func (c *HourCount) add(more HourCount) {
	c.Events += more.Events
	c.Late += more.Late
	c.Rows += more.Rows
	c.Aside += more.Aside
}

// A ledgerDay is what the store keeps of a day of event time.
type ledgerDay struct {
	spans []Span // ascending, disjoint, within the day
	hours [24]HourCount
}

const (
	daySeconds  = 24 * 3600
	ledgerV     = 1
	sweptCloser = 30 * time.Minute // spans swept within this time of each other become one
	maxMarkDays = 2000             // a longer mark is cut at its beginning
	maxReason   = 200              // bytes
)

func dayOf(t time.Time) int64 { return floorDiv(t.Unix(), daySeconds) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func dayStart(day int64) time.Time { return time.Unix(day*daySeconds, 0).UTC() }

// overlay notes m. What all outputs have acknowledged is kept apart from what they have not.
func (d *ledgerDay) overlay(m Mark, outbox outboxEdge) {
	var out []Span
	at := m.From
	hole := func(to time.Time) {
		if at.Before(to) {
			out = append(out, m.over(Span{From: at, To: to}, outbox))
			at = to
		}
	}
	for _, s := range d.spans {
		if !s.To.After(m.From) {
			out = append(out, s)
			continue
		}
		if !s.From.Before(m.To) {
			hole(m.To)
			out = append(out, s)
			continue
		}
		if s.From.Before(m.From) {
			before := s
			before.To = m.From
			out, s.From = append(out, before), m.From
		}
		hole(s.From)
		after := s
		s.To = earlier(s.To, m.To)
		after.From = s.To
		out = append(out, m.over(s, outbox))
		at = s.To
		if after.From.Before(after.To) {
			out = append(out, after)
		}
	}
	hole(m.To)
	d.spans = joined(out, outbox.acked)
}

// over returns s, of which the state is empty if nothing was known, as it is after m.
func (m *Mark) over(s Span, outbox outboxEdge) Span {
	lower := m.State == SpanAsked && s.State != "" && (s.State != SpanAsked || m.Reason == "") ||
		s.State == SpanSettled && m.State != SpanSettled
	if !lower {
		s.State, s.Reason = m.State, m.Reason
		if m.State == SpanSwept || m.State == SpanSettled {
			s.Swept = m.Swept
		}
	}
	s.Lost = s.Lost && !m.Again
	s.settle(outbox.acked)
	switch {
	case m.next <= m.first: // nothing was committed
	case s.next == 0:
		s.first, s.next = m.first, m.next
	default:
		s.first, s.next = min(s.first, m.first), max(s.next, m.next)
	}
	// A part that was committed before the mark may be gone already.
	s.Lost = s.Lost || m.next > m.first && m.first < outbox.dropped
	return s
}

// settle forgets the chunks of s if all outputs have acknowledged them.
func (s *Span) settle(acked uint64) {
	if s.next <= acked {
		s.first, s.next = 0, 0
	}
}

// joined makes one span of neighbours of which the same is known.
func joined(spans []Span, acked uint64) []Span {
	var out []Span
	for _, s := range spans {
		s.settle(acked)
		if n := len(out); n > 0 && out[n-1].like(s) {
			out[n-1].join(s)
			continue
		}
		out = append(out, s)
	}
	return out
}

// like reports whether s and the span after it can be told as one.
func (s Span) like(t Span) bool {
	if !s.To.Equal(t.From) || s.State != t.State || s.Reason != t.Reason || s.Lost != t.Lost || (s.next == 0) != (t.next == 0) {
		return false
	}
	// What waits for outputs is told by the hour: the newest part would hold back the news about all.
	if s.next != 0 && s.From.Unix()/3600 != (t.To.Unix()-1)/3600 {
		return false
	}
	return s.State == SpanSettled || s.Swept.Sub(t.Swept).Abs() < sweptCloser
}

func (s *Span) join(t Span) {
	s.To = t.To
	if t.Swept.Before(s.Swept) {
		s.Swept = t.Swept
	}
	if s.next != 0 {
		s.first, s.next = min(s.first, t.first), max(s.next, t.next)
	}
}

// storedDay is a ledgerDay as JSON; times are seconds since 1970.
type storedDay struct {
	V     int          `json:"v"`
	Spans []storedSpan `json:"s,omitempty"`
	Hours [][5]int64   `json:"h,omitempty"` // hour of the day, events, late, rows, aside
}

type storedSpan struct {
	From   int64     `json:"f"`
	To     int64     `json:"t"`
	State  SpanState `json:"s"`
	Swept  int64     `json:"w,omitempty"`
	Reason string    `json:"r,omitempty"`
	First  uint64    `json:"a,omitempty"`
	Next   uint64    `json:"b,omitempty"`
	Lost   bool      `json:"l,omitempty"`
}

func (d *ledgerDay) encode() ([]byte, error) {
	s := storedDay{V: ledgerV}
	for _, sp := range d.spans {
		stored := storedSpan{From: sp.From.Unix(), To: sp.To.Unix(), State: sp.State, Reason: sp.Reason, First: sp.first, Next: sp.next, Lost: sp.Lost}
		if !sp.Swept.IsZero() {
			stored.Swept = sp.Swept.Unix()
		}
		s.Spans = append(s.Spans, stored)
	}
	for h, c := range d.hours {
		if c != (HourCount{}) {
			s.Hours = append(s.Hours, [5]int64{int64(h), c.Events, c.Late, c.Rows, c.Aside})
		}
	}
	return json.Marshal(s)
}

// decodeDay reads a day; none is an empty one.
func decodeDay(text []byte) (ledgerDay, error) {
	var d ledgerDay
	if text == nil {
		return d, nil
	}
	var s storedDay
	if err := json.Unmarshal(text, &s); err != nil {
		return d, fmt.Errorf("the ledger is damaged: %w", err)
	}
	if s.V != ledgerV {
		return d, fmt.Errorf("the ledger has format %d, this program knows %d", s.V, ledgerV)
	}
	end := int64(math.MinInt64)
	for _, st := range s.Spans {
		if st.From < end || st.To <= st.From {
			return ledgerDay{}, fmt.Errorf("the ledger is damaged: it has a span from %d to %d after one to %d", st.From, st.To, end)
		}
		end = st.To
		sp := Span{From: time.Unix(st.From, 0).UTC(), To: time.Unix(st.To, 0).UTC(), State: st.State, Reason: st.Reason, Lost: st.Lost, first: st.First, next: st.Next}
		if st.Swept != 0 {
			sp.Swept = time.Unix(st.Swept, 0).UTC()
		}
		d.spans = append(d.spans, sp)
	}
	for _, h := range s.Hours {
		if h[0] < 0 || h[0] > 23 {
			return ledgerDay{}, fmt.Errorf("the ledger is damaged: it has an hour %d", h[0])
		}
		d.hours[h[0]] = HourCount{Events: h[1], Late: h[2], Rows: h[3], Aside: h[4]}
	}
	return d, nil
}
