package main

import (
	"fmt"
	"time"

	"starling/engine"
)

// A standing is what can be said of a stretch of event time. Its order is that of how bad it is.
type standing int

const (
	complete    standing = iota // all that the API had is at every output
	undelivered                 // settled; an output lacks some of it
	swept                       // more may appear
	unasked                     // nothing is known
	failing                     // asked for without success
	damaged                     // the ledger of it cannot be read
	gap                         // the API does not give it
	lost                        // dropped from a full outbox
)

// standings is how they are called and drawn.
var standings = [...]struct {
	name   string
	glyph  byte
	colour string // of a terminal
	legend string
}{
	complete:    {"complete", '#', "32", "complete: all that the API had is at every output"},
	undelivered: {"undelivered", '+', "36", "settled, but not every output has it"},
	swept:       {"swept", '-', "33", "swept, more may still appear"},
	unasked:     {"unasked", '.', "2", "not asked for"},
	failing:     {"failing", '?', "35", "asked for, without success"},
	damaged:     {"damaged", '%', "35", "the ledger of it is damaged: what was covered is not known"},
	gap:         {"gap", 'x', "31", "gap: the API does not give it"},
	lost:        {"lost", '!', "1;31", "lost: dropped from a full outbox"},
}

func (v standing) MarshalText() ([]byte, error) { return []byte(standings[v].name), nil }

// An interval is a stretch of event time of which one thing can be said.
type interval struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	State    standing  `json:"state"`
	Complete bool      `json:"complete"`
	Why      string    `json:"why,omitempty"`
	Do       string    `json:"do,omitempty"`
	// The counts are of whole hours: those of an hour in which several intervals are belong to one of them.
	Rows   int64 `json:"rows"`
	Events int64 `json:"events"`
	Late   int64 `json:"late"`
	Aside  int64 `json:"aside"`
}

// covered is what is said of one collector.
type covered struct {
	Collector string             `json:"collector"`
	From      time.Time          `json:"from"`
	To        time.Time          `json:"to"`
	Complete  bool               `json:"complete"`
	Share     float64            `json:"share"`            // of the time from From to To that is complete, 0 to 1
	Settled   time.Time          `json:"settled,omitzero"` // where settling goes on
	Backfill  *engine.Backfill   `json:"backfill,omitempty"`
	Intervals []interval         `json:"intervals"`
	Hours     []engine.HourCount `json:"hours"`

	backfill string // the command that begins one
	now      time.Time
	kept     time.Time // the API keeps nothing before it, as far as is known
	damaged  []engine.DamagedDay
}

// judge says of each stretch of a range what is known about it. Where the range has no bounds, those of
// the ledger and now are taken. The command backfill begins one of the collector.
func judge(r engine.CoverageReport, between timeRange, now time.Time, backfill string) *covered {
	known := sweepsOf(r)
	c := &covered{Collector: r.Collector, From: between.from, To: between.to, Settled: r.Settled, Backfill: r.Backfill,
		Intervals: []interval{}, Hours: append([]engine.HourCount{}, r.Hours...),
		backfill: backfill, now: now, damaged: r.Damaged}
	if known.Keeps > 0 {
		c.kept = now.Add(-time.Duration(known.Keeps) * time.Second).Truncate(time.Second)
	}
	if c.To.IsZero() {
		c.To = now
	}
	if c.From.IsZero() {
		c.From = c.To
		if len(r.Spans) > 0 {
			c.From = earlierOf(c.From, r.Spans[0].From)
		}
		if len(r.Damaged) > 0 {
			c.From = earlierOf(c.From, r.Damaged[0].From)
		}
	}
	at := c.From
	for _, s := range r.Spans {
		s.From, s.To = laterOf(s.From, c.From), earlierOf(s.To, c.To)
		if !s.From.Before(s.To) {
			continue
		}
		c.hole(at, s.From)
		v, why := judgeSpan(s)
		c.add(interval{From: s.From, To: s.To, State: v, Why: why})
		at = s.To
	}
	c.hole(at, c.To)
	done := time.Duration(0)
	for i := range c.Intervals {
		x := &c.Intervals[i]
		x.Complete = x.State == complete
		x.Do = c.advice(*x, time.Duration(known.Settles)*time.Second)
		if x.Complete {
			done += x.To.Sub(x.From)
		}
	}
	if whole := c.To.Sub(c.From); whole > 0 {
		c.Share, c.Complete = done.Seconds()/whole.Seconds(), done == whole
	}
	c.count()
	return c
}

// hole adds what no span is about.
func (c *covered) hole(from, to time.Time) {
	for _, d := range c.damaged {
		begin, end := laterOf(from, d.From), earlierOf(to, d.To)
		if begin.Before(end) {
			c.unknown(from, begin, unasked, "")
			c.unknown(begin, end, damaged, printable(d.Reason))
			from = end
		}
	}
	c.unknown(from, to, unasked, "")
}

// unknown adds a stretch about which the ledger says nothing. What can be done about it is another thing
// before the moment up to which everything is settled, and before what the API keeps.
func (c *covered) unknown(from, to time.Time, v standing, why string) {
	for _, border := range []time.Time{c.kept, c.Settled, c.now} {
		if from.Before(border) && border.Before(to) {
			c.unknown(from, border, v, why)
			from = border
		}
	}
	switch {
	case !from.Before(to):
		return
	case why != "":
	case !from.Before(c.now):
		why = "it is in the future"
	case !to.After(c.kept):
		why = "it was never asked for, and " + whyRetention
	case !to.After(c.Settled):
		why = "it was never asked for"
	default:
		why = "not asked for yet"
	}
	c.add(interval{From: from, To: to, State: v, Why: why})
}

// add joins neighbours of which the same can be said, and for which the same can be done.
func (c *covered) add(x interval) {
	if n := len(c.Intervals); n > 0 {
		if last := &c.Intervals[n-1]; last.State == x.State && last.Why == x.Why && (x.State == complete || !x.From.Equal(c.Settled)) {
			last.To = x.To
			return
		}
	}
	c.Intervals = append(c.Intervals, x)
}

// judgeSpan says complete only of what the ledger says it of.
func judgeSpan(s engine.CoveredSpan) (standing, string) {
	switch {
	case s.Complete():
		return complete, ""
	case s.Lost:
		return lost, "events of it were dropped from a full outbox before every output had them"
	case s.State == engine.SpanGap && s.Reason == "retention":
		return gap, whyRetention
	case s.State == engine.SpanGap:
		return gap, "the API does not give it: " + printable(s.Reason)
	case s.State == engine.SpanSettled:
		return undelivered, "not every output has acknowledged all of it"
	case s.State == engine.SpanSwept && s.Delivered:
		return swept, "swept, but so young that more may appear"
	case s.State == engine.SpanSwept:
		return swept, "swept, but so young that more may appear; not every output has acknowledged what there was"
	}
	why := "no sweep of it came to its end"
	if s.Reason != "" {
		why += "; the last one: " + printable(s.Reason)
	}
	return failing, why
}

const whyRetention = "the API keeps it no longer"

// advice is what a person can do about x, empty if it is complete.
func (c *covered) advice(x interval, settles time.Duration) string {
	past := !x.To.After(c.Settled)
	switch {
	case x.State == complete:
		return ""
	case x.State == undelivered:
		return "nothing, if the outputs work: /status and the log say what they wait for"
	case past && c.Backfill != nil && !c.Backfill.Over() && c.Backfill.Next.Before(x.To) && x.From.Before(c.Backfill.To):
		return fmt.Sprintf("nothing: the backfill of %s to %s comes to it", moment(c.Backfill.From), moment(c.Backfill.To))
	case !x.From.Before(c.now):
		return "nothing"
	case x.State == gap && x.Why == whyRetention || x.State != gap && x.State != lost && !x.To.After(c.kept):
		return "no pull can bring it back: export it from where the API has it from, if anywhere"
	case past && x.State == damaged:
		return c.command(x) + " (its rows are sent once more)"
	case past:
		return c.command(x)
	case x.State == lost:
		return "when it is settled, " + c.command(x)
	case x.State == failing:
		return "nothing, if the error passes: pulls try again by themselves; last_error in /status is the latest"
	case x.State == swept && settles > 0:
		return fmt.Sprintf("nothing: it is asked for again, for the last time at an age of %s", ageText(settles))
	case x.State == swept:
		return "nothing: it is asked for again"
	}
	return "nothing, while starling runs: pulls come to it"
}

func (c *covered) command(x interval) string {
	return fmt.Sprintf("%s --from %s --to %s", c.backfill, x.From.Format(time.RFC3339), x.To.Format(time.RFC3339))
}

// count adds up the counts of hours. An hour in which several intervals are counts for the first of them
// of which the ledger knows something.
func (c *covered) count() {
	i := 0
	for _, h := range c.Hours {
		for i < len(c.Intervals) && !h.Hour.Before(c.Intervals[i].To) {
			i++
		}
		at := i
		for at+1 < len(c.Intervals) && c.Intervals[at].State == unasked && c.Intervals[at+1].From.Before(h.Hour.Add(time.Hour)) {
			at++
		}
		if at < len(c.Intervals) {
			x := &c.Intervals[at]
			x.Rows, x.Events, x.Late, x.Aside = x.Rows+h.Rows, x.Events+h.Events, x.Late+h.Late, x.Aside+h.Aside
		}
	}
}

// ageText shows 25h0m0s as 25h.
func ageText(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if len(text) > 3 && text[len(text)-3:] == zero {
			text = text[:len(text)-2]
		}
	}
	return text
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlierOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
