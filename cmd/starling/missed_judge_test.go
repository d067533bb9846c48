package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"starling/cmd/internal/sim"
	"starling/engine"
)

// listRows counts out all rows that can matter, so that nobody has to make them again.
func (tr *trial) listRows(o sim.Options) {
	for row := range sim.NewMicrosoft(o).RowsBy(tr.begin.Add(-48*time.Hour), tr.last, tr.last.Add(365*24*time.Hour)) {
		r := *row
		r.Changes = slices.Clone(row.Changes)
		tr.rows = append(tr.rows, r)
	}
	tr.told = make([]bool, len(tr.rows))
}

// between returns the rows received from one time to before another, and the number of the first.
func (tr *trial) rowsOf(from, to time.Time) (rows []sim.Row, first int) {
	at := func(t time.Time) int {
		return sort.Search(len(tr.rows), func(i int) bool { return !tr.rows[i].Received.Before(t) })
	}
	first = at(from)
	return tr.rows[first:max(first, at(to))], first
}

// slack is by how much the time of the service can be missed: a difference of up to half a minute does not
// count, and it is seen through requests that take their time.
func (tr *trial) slack() time.Duration {
	if !tr.skewed {
		return 0
	}
	return 32*time.Second + 2*tr.latency
}

// due reports whether a row had to be found: it was to be seen within the time to settle.
func (tr *trial) due(row *sim.Row) bool {
	return !row.Visible.After(row.Received.Add(tr.settle - tr.slack()))
}

// take reads what was committed since the last time.
func (tr *trial) take() error {
	events, next, err := tr.store.Kept(tr.chunk)
	if err != nil {
		return err
	}
	b := batch{next: next}
	for _, e := range events {
		var body struct{ Status string }
		id := sim.TraceIdentity(e.Body)
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return fmt.Errorf("event %s: %w", e.Body, err)
		}
		tr.sent[id] = append(tr.sent[id], body.Status)
		b.ids = append(b.ids, id)
		fmt.Fprintf(tr.digest, "%s %s\n", e.Time.UTC().Format(time.RFC3339Nano), e.Body)
	}
	tr.counts["event"] += len(events)
	if next != tr.chunk {
		tr.batches = append(tr.batches, b)
	}
	tr.chunk = next
	return nil
}

// deliver lets the output have all, nothing or a part of what waits.
func (tr *trial) deliver() error {
	n := len(tr.batches)
	if tr.clock().Before(tr.end) && tr.r.IntN(2) == 0 {
		n = tr.r.IntN(n + 1)
	}
	for _, b := range tr.batches[:n] {
		for _, id := range b.ids {
			tr.delivered[id] = true
		}
	}
	if n == 0 {
		return nil
	}
	next := tr.batches[n-1].next
	if tr.batches = tr.batches[n:]; len(tr.batches) > 0 {
		tr.counts["output behind"]++
	}
	return tr.store.Acknowledge(trialOutput, next)
}

// checkCursors looks at the cursors after a pull: they never move back, and what is settled is complete.
func (tr *trial) checkCursors() error {
	for _, name := range []string{"window", "fresh"} {
		text, ok, err := tr.store.Cursor(tr.key, name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		var at time.Time
		if err := json.Unmarshal(text, &at); err != nil {
			return err
		}
		was := tr.cursors[name]
		if at.Before(was) {
			return fmt.Errorf("the cursor %s moved back from %v to %v", name, was, at)
		}
		tr.cursors[name] = at
		if name == "window" && at.After(was) && !was.IsZero() {
			if err := tr.checkSettled(was, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSettled holds a range before the cursor window against the truth: what is not in a gap is complete.
func (tr *trial) checkSettled(from, to time.Time) error {
	now := tr.clock()
	c, err := tr.store.Coverage(tr.key, from, to)
	if err != nil {
		return err
	}
	at := from
	for _, s := range c.Spans {
		if !s.From.Equal(at) {
			return fmt.Errorf("the ledger says nothing about %v to %v, which is before the cursor", at, s.From)
		}
		at = s.To
		switch s.State {
		case engine.SpanSettled:
			if s.To.After(now.Add(tr.slack() - tr.settle)) {
				return fmt.Errorf("settled up to %v at %v", s.To, now)
			}
			if err := tr.complete(s.From, s.To); err != nil {
				return err
			}
		case engine.SpanGap:
			tr.counts["gap"]++
			// It is a gap only if it was too old, except for the minute that is kept as a margin and a second.
			if oldest := now.Add(time.Minute + time.Second + tr.slack() - tr.keeps); s.To.After(oldest) {
				return fmt.Errorf("a gap up to %v, although the service keeps what is after %v", s.To, oldest)
			}
		default:
			return fmt.Errorf("%v to %v is before the cursor and only %s", s.From, s.To, s.State)
		}
	}
	if !at.Equal(to) {
		return fmt.Errorf("the ledger says nothing about %v to %v, which is before the cursor", at, to)
	}
	return nil
}

// complete reports a row of a range that was to be seen before it settled and was not sent.
func (tr *trial) complete(from, to time.Time) error {
	rows, _ := tr.rowsOf(from, to)
	for i := range rows {
		row := &rows[i]
		tr.counts["row"]++
		switch late := row.Visible.Sub(row.Received); {
		case late > tr.settle:
			tr.counts["row too late"]++
		case late == tr.settle-time.Second:
			tr.counts["row just in time"]++
		case late > 15*time.Minute:
			tr.counts["row late"]++
		}
		if tr.due(row) && len(tr.sent[row.Identity()]) == 0 {
			return fmt.Errorf("%v to %v is settled without the row of %v, visible %v: %s\n%s", from, to, row.Received, row.Visible, row.Identity(), tr.asked(row.Received))
		}
	}
	return nil
}

// asked lists the requests for a moment.
func (tr *trial) asked(at time.Time) string {
	var b strings.Builder
	for _, r := range tr.m.Log() {
		if !r.From.After(at) && !r.To.Before(at) {
			fmt.Fprintf(&b, "%+v\n", r)
		}
	}
	return b.String()
}

// checkTold holds what starling coverage says against the truth: of what it calls complete, the output has
// every row.
func (tr *trial) checkTold() error {
	now := fmt.Sprint(tr.chunk, len(tr.batches), tr.cursors["window"])
	if now == tr.looked {
		return nil // nothing can be complete that was not
	}
	tr.looked = now
	report, err := tr.store.Report(tr.key, time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	told := judge(report, timeRange{}, tr.clock(), "starling backfill")
	for _, x := range told.Intervals {
		if !x.Complete {
			if x.State == undelivered {
				tr.counts["told undelivered"]++
			}
			continue
		}
		tr.counts["told complete"]++
		rows, first := tr.rowsOf(x.From, x.To)
		for i := range rows {
			if tr.told[first+i] {
				continue
			}
			if row := &rows[i]; tr.due(row) && !tr.delivered[row.Identity()] {
				return fmt.Errorf("coverage calls %v to %v complete, but the output lacks the row of %v, visible %v, sent %q", x.From, x.To, row.Received, row.Visible, tr.sent[row.Identity()])
			}
			tr.told[first+i] = true
		}
	}
	return nil
}

// judge looks at everything at the end: each event belongs to a row and comes as often as the policy says,
// and no quota was exceeded.
func (tr *trial) judge(context.Context) error {
	rows := map[string]*sim.Row{}
	for i := range tr.rows {
		rows[tr.rows[i].Identity()] = &tr.rows[i]
	}
	for _, id := range slices.Sorted(maps.Keys(tr.sent)) {
		row, ok := rows[id]
		if !ok || row.Visible.After(tr.clock()) {
			return fmt.Errorf("an event of no row: %s", id)
		}
		if err := tr.judgeRow(row, tr.sent[id]); err != nil {
			return fmt.Errorf("the row %s of %v, visible %v, was sent with %q: %w", id, row.Received, row.Visible, tr.sent[id], err)
		}
	}
	log := tr.m.Log()
	tr.countLog(log)
	length := time.Second
	if tr.graph {
		length = 5 * time.Minute
	}
	n := sim.Busiest(log, tr.api(), length)
	if n > tr.quota {
		return fmt.Errorf("%d requests in %v, the quota is %d", n, length, tr.quota)
	}
	if n == tr.quota {
		tr.counts["quota used up"]++
	}
	return tr.digestState()
}

// digestState adds what the store knows at the end.
func (tr *trial) digestState() error {
	report, err := tr.store.Report(tr.key, time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	all, err := tr.store.Cursors()
	if err != nil {
		return err
	}
	return json.NewEncoder(tr.digest).Encode(map[string]any{"coverage": report, "cursors": all[tr.key]})
}

// countLog counts what the service met.
func (tr *trial) countLog(log []sim.Request) {
	c := tr.m.Counters()
	tr.counts["request"] += c.Requests
	tr.counts["throttled"] += c.Throttled
	tr.counts["overload"] += c.Overloads
	tr.counts["row repeated"] += c.Repeated
	tr.counts["token"] += c.Tokens
	tr.counts["token refused by the API"] += c.Unauthorized
	tr.counts["fault"] += c.Faults
	var before sim.Request
	for _, r := range log {
		if r.Fault != "" {
			tr.counts["fault "+string(r.Fault)]++
		}
		if r.Link && r.From.Equal(before.From) && r.To.Equal(before.To) {
			rows, _ := tr.rowsOf(r.From, r.To)
			if slices.ContainsFunc(rows, func(row sim.Row) bool { return row.Visible.After(before.At) && !row.Visible.After(r.At) }) {
				tr.counts["page shift"]++
			}
		}
		before = r
	}
}

func (tr *trial) judgeRow(row *sim.Row, statuses []string) error {
	had := map[string]bool{}
	for _, c := range row.Seen(tr.clock()) {
		had[c.Status] = true
		if tr.graph && (c.Status == "" || c.Status == "None") { // Graph has no word for it
			had["unknownFutureValue"], had["UnknownFutureValue"] = true, true
		}
	}
	pending := func(status string) bool { return status == "GettingStatus" || status == "Pending" }
	seen := map[string]bool{}
	for i, status := range statuses {
		switch {
		case !had[status]:
			return fmt.Errorf("it never had the status %s", status)
		case seen[status]:
			return fmt.Errorf("it came twice with %s", status)
		case tr.policy == "first" && i > 0:
			return errors.New("once was enough")
		case tr.policy == "terminal_only" && pending(status) && i > 0:
			return errors.New("it was pending after it was not")
		}
		seen[status] = true
	}
	if len(statuses) > 1 {
		tr.counts["status change"]++
	}
	return nil
}
