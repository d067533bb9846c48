package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

var ledgerEpoch = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return ledgerEpoch.Add(time.Duration(seconds) * time.Second) }

// A plainMoment is what a ledger must say about a second, worked out without any spans.
type plainMoment struct {
	state       SpanState
	swept       time.Time
	reason      string
	first, next uint64
	lost        bool
}

func (p *plainMoment) mark(m Mark) {
	rank := map[SpanState]int{"": 0, SpanAsked: 1, SpanGap: 2, SpanSwept: 2, SpanSettled: 3}
	if rank[m.State] >= rank[p.state] {
		p.state, p.reason = m.State, m.Reason
		if m.State == SpanSwept || m.State == SpanSettled {
			p.swept = m.Swept
		}
	}
	if m.Again {
		p.lost = false
	}
	if m.next > m.first {
		if p.next == 0 {
			p.first = m.first
		}
		p.first, p.next = min(p.first, m.first), max(p.next, m.next)
	}
}

// TestLedgerSaysWhatWasMarked compares a day's spans, second by second, with a model without spans. What
// was merged may say that less is known: swept earlier, or still on its way.
func TestLedgerSaysWhatWasMarked(t *testing.T) {
	states := []SpanState{SpanAsked, SpanSwept, SpanSettled, SpanGap}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		const length = 3 * 3600 / 60
		model := make([]plainMoment, length) // by the minute
		var day ledgerDay
		chunk, acked := uint64(0), uint64(0)
		for step := range 40 {
			from := r.IntN(length)
			to := from + 1 + r.IntN(length-from)
			m := Mark{From: at(60 * from), To: at(60 * to), State: states[r.IntN(4)], Swept: at(100_000 + 200*step), first: chunk, Again: r.IntN(8) == 0}
			if m.State == SpanGap {
				m.Reason = "retention"
			}
			chunk += uint64(r.IntN(3))
			m.next = chunk
			if r.IntN(3) == 0 {
				acked += uint64(r.IntN(int(chunk-acked) + 1))
			}
			for i := from; i < to; i++ {
				model[i].mark(m)
			}
			day.overlay(m, outboxEdge{acked: acked})
			if r.IntN(5) == 0 { // through the store and back
				text, err := day.encode()
				if err != nil {
					t.Fatal(err)
				}
				if day, err = decodeDay(text); err != nil {
					t.Fatal(err)
				}
			}
			compareDay(t, fmt.Sprintf("seed %d step %d", seed, step), day.spans, model, acked)
		}
	}
}

func compareDay(t *testing.T, where string, spans []Span, model []plainMoment, acked uint64) {
	t.Helper()
	for i := range spans {
		if s := spans[i]; !s.From.Before(s.To) || i > 0 && s.From.Before(spans[i-1].To) {
			t.Fatalf("%s: spans are out of order: %v", where, spans)
		}
	}
	for i, want := range model {
		var got Span
		for _, s := range spans {
			if !at(60*i).Before(s.From) && at(60*i).Before(s.To) {
				got = s
			}
		}
		switch {
		case got.State != want.state || got.Reason != want.reason || got.Lost != want.lost:
			t.Fatalf("%s: minute %d: got %+v, want %+v", where, i, got, want)
		case got.Swept.After(want.swept) || want.state != SpanSettled && want.swept.Sub(got.Swept) > time.Hour:
			t.Fatalf("%s: minute %d: swept %v, want %v or a little before", where, i, got.Swept, want.swept)
		case want.next > acked && (got.next < want.next || got.first > want.first && want.first >= acked):
			t.Fatalf("%s: minute %d: chunks %d to %d, want at least %d to %d (acknowledged %d)", where, i, got.first, got.next, want.first, want.next, acked)
		}
	}
}

func TestLedgerOfARestingDayIsSmall(t *testing.T) {
	var day ledgerDay
	for i := range 288 { // as the fresh lane does it
		from := max(0, 300*i-3600)
		day.overlay(Mark{From: at(from), To: at(300 * (i + 1)), State: SpanSwept, Swept: at(300*(i+1) + 300), first: uint64(i), next: uint64(i + 1)}, outboxEdge{acked: uint64(i)})
	}
	if n := len(day.spans); n > 60 {
		t.Errorf("%d spans while a day is swept", n)
	}
	for i := range 24 {
		day.overlay(Mark{From: at(3600 * i), To: at(3600 * (i + 1)), State: SpanSettled, Swept: at(90000 + 3600*(i+1))}, outboxEdge{acked: 1000})
		day.hours[i] = HourCount{Events: 1_000_000, Rows: 1_000_000, Late: 1000}
	}
	if len(day.spans) != 1 {
		t.Errorf("a day at rest: %+v", day.spans)
	}
	text, err := day.encode()
	if err != nil || len(text) > 1000 {
		t.Errorf("%d bytes (%v): %s", len(text), err, text)
	}
}

// ledgerStore is a store with one output and a way to commit marks.
func ledgerStore(t *testing.T) (*Store, func(events int, marks ...Mark)) {
	t.Helper()
	s, err := OpenStore(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.outputs([]string{"devo"}); err != nil {
		t.Fatal(err)
	}
	return s, func(events int, marks ...Mark) {
		t.Helper()
		p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
		p.OpenSweep(at(0), at(1), false)
		for range events {
			if err := p.Stage(&Table{Tag: "my.app.x.y"}, at(0), []byte("body")); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range marks {
			p.Mark(m)
			p.Count(m.From, HourCount{Events: int64(events)})
		}
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

func coverageOf(t *testing.T, s *Store) Coverage {
	t.Helper()
	c, err := s.Coverage("in/1/svc", time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCoverageIsCompleteOnlyWhenDelivered settles a range and acknowledges its events afterwards.
func TestCoverageIsCompleteOnlyWhenDelivered(t *testing.T) {
	s, commit := ledgerStore(t)
	commit(3, Mark{From: at(0), To: at(3600), State: SpanSettled, Swept: at(100_000)})
	c := coverageOf(t, s)
	if len(c.Spans) != 1 || c.Spans[0].Delivered || c.Spans[0].Complete() {
		t.Fatalf("before the output has it: %+v", c.Spans)
	}
	if err := s.ack("devo", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if c = coverageOf(t, s); !c.Spans[0].Complete() {
		t.Errorf("after: %+v", c.Spans)
	}
	if len(c.Hours) != 1 || c.Hours[0].Events != 3 || !c.Hours[0].Hour.Equal(at(0)) {
		t.Errorf("hours: %+v", c.Hours)
	}
	commit(0, Mark{From: at(3600), To: at(7200), State: SpanSettled, Swept: at(100_000)})
	if c = coverageOf(t, s); len(c.Spans) != 1 || !c.Spans[0].Complete() {
		t.Errorf("a range without rows has nothing to deliver: %+v", c.Spans)
	}
}

// TestRowsThatNoMarkTellsOf commits rows of a range in the middle of its sweep, and at the end of one that marks less than it was
// to. A sweep after it, which sends no row twice, is complete only when these are delivered, and not if they were dropped.
func TestRowsThatNoMarkTellsOf(t *testing.T) {
	for _, test := range []struct {
		name  string
		close bool
	}{{"in the middle", false}, {"marked less", true}} {
		t.Run(test.name, func(t *testing.T) {
			s, commit := ledgerStore(t)
			p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
			p.OpenSweep(at(1000), at(2000), false)
			if err := p.Stage(&Table{Tag: "my.app.x.y"}, at(1500), []byte("body")); err != nil {
				t.Fatal(err)
			}
			if test.close {
				p.Mark(Mark{From: at(1000), To: at(900), State: SpanSwept, Swept: at(5000)})
				p.CloseSweep()
			}
			if err := p.Commit(); err != nil {
				t.Fatal(err)
			}
			commit(0, Mark{From: at(500), To: at(3000), State: SpanSettled, Swept: at(100_000)})
			told := map[time.Time]bool{}
			for _, span := range coverageOf(t, s).Spans {
				told[span.From] = span.Complete()
			}
			if want := map[time.Time]bool{at(500): true, at(1000): false, at(2000): true}; !maps.Equal(told, want) {
				t.Fatalf("before the output has them: %v, want %v", told, want)
			}
			if err := s.ack("devo", s.nextChunk()); err != nil {
				t.Fatal(err)
			}
			if c := coverageOf(t, s); len(c.Spans) != 1 || !c.Spans[0].Complete() {
				t.Errorf("after: %+v", c.Spans)
			}
		})
	}
}

// TestASweepIsMarkedOnce: a commit has one mark of a sweep that came to its end, which is what recordings show.
func TestASweepIsMarkedOnce(t *testing.T) {
	s, _ := ledgerStore(t)
	p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
	p.OpenSweep(at(1000), at(2000), false)
	stage(t, p, "body")
	p.Mark(Mark{From: at(1000), To: at(2000), State: SpanSwept, Swept: at(5000)})
	p.CloseSweep()
	if len(p.staged.marks) != 1 {
		t.Errorf("got %+v", p.staged.marks)
	}
}

// TestCoverageOverDays marks a range across midnights and reads parts of it.
func TestCoverageOverDays(t *testing.T) {
	s, commit := ledgerStore(t)
	commit(0, Mark{From: at(-40 * daySeconds), To: at(100), State: SpanGap, Reason: "retention"}, Mark{From: at(100), To: at(200), State: SpanSwept, Swept: at(500)})
	if c := coverageOf(t, s); len(c.Spans) != 2 || !c.Spans[0].From.Equal(at(-40*daySeconds)) || c.Spans[0].Reason != "retention" || c.Spans[0].Complete() || c.Spans[1].Complete() {
		t.Errorf("got %+v", c.Spans)
	}
	c, err := s.Coverage("in/1/svc", at(-3600), at(150))
	if err != nil || len(c.Spans) != 2 || !c.Spans[0].From.Equal(at(-3600)) || !c.Spans[1].To.Equal(at(150)) {
		t.Errorf("a part: %+v, %v", c.Spans, err)
	}
	names, err := s.Covered()
	if err != nil || fmt.Sprint(names) != "[in/1/svc]" {
		t.Errorf("collectors: %v, %v", names, err)
	}
}

// TestDroppedEventsAreNeverComplete drops the outbox of an output that is behind.
func TestDroppedEventsAreNeverComplete(t *testing.T) {
	s, commit := ledgerStore(t)
	s.setPolicy(policy{bytes: 64 << 20, drop: map[string]bool{"devo": true}})
	commit(3, Mark{From: at(0), To: at(3600), State: SpanSettled, Swept: at(100_000)})
	lost := s.nextChunk()
	s.mu.Lock()
	err := s.drop(lost)
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	commit(3, Mark{From: at(7200), To: at(9000), State: SpanSettled, Swept: at(100_000)})
	if err := s.ack("devo", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	c := coverageOf(t, s)
	if len(c.Spans) != 2 || !c.Spans[0].Lost || c.Spans[0].Complete() || !c.Spans[1].Complete() {
		t.Fatalf("got %+v", c.Spans)
	}
	commit(3, Mark{From: at(0), To: at(3600), State: SpanSettled, Swept: at(200_000)})
	if c = coverageOf(t, s); !c.Spans[0].Lost {
		t.Error("a sweep that sends only what is new does not bring back what was dropped")
	}
	commit(3, Mark{From: at(0), To: at(3600), State: SpanSettled, Swept: at(200_000), Again: true})
	if err := s.ack("devo", s.nextChunk()); err != nil {
		t.Fatal(err)
	}
	if c = coverageOf(t, s); !c.Spans[0].Complete() {
		t.Errorf("after everything was sent again: %+v", c.Spans)
	}
}

// TestDroppedEventsOfManyDays drops events of more days than a transaction can note.
func TestDroppedEventsOfManyDays(t *testing.T) {
	s, _ := ledgerStore(t)
	s.setPolicy(policy{bytes: 64 << 20, drop: map[string]bool{"devo": true}})
	const days = 700
	for first := 0; first < days; first += 100 {
		p := NewPull(t.Context(), testEnv(t, s), "in/1/svc")
		p.OpenSweep(at(first*daySeconds), at((first+100)*daySeconds), false)
		stage(t, p, "body")
		for hour := range 100 * 24 {
			p.Count(at(first*daySeconds+hour*3600), HourCount{Events: 1e12, Late: 1e12, Rows: 1e12, Aside: 1e12})
		}
		p.Mark(Mark{From: at(first * daySeconds), To: at((first + 100) * daySeconds), State: SpanSettled, Swept: at(daySeconds * days)})
		p.CloseSweep()
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	err := s.drop(s.head)
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	lost := time.Duration(0)
	for _, span := range coverageOf(t, s).Spans {
		if span.Lost {
			lost += span.To.Sub(span.From)
		}
	}
	if lost != days*24*time.Hour {
		t.Errorf("%v are lost, want %d days", lost, days)
	}
}

// TestWipeForgetsTheLedger resets a collector: what it had covered is pulled again.
func TestWipeForgetsTheLedger(t *testing.T) {
	s, commit := ledgerStore(t)
	commit(1, Mark{From: at(0), To: at(3600), State: SpanSettled, Swept: at(100_000)})
	if err := s.Reset("in/1/svc"); err != nil {
		t.Fatal(err)
	}
	if c := coverageOf(t, s); len(c.Spans) != 0 || len(c.Hours) != 0 {
		t.Errorf("got %+v", c)
	}
}
