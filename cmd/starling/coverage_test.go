package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"starling/engine"
)

var coverageDay = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func hours(n float64) time.Time { return coverageDay.Add(time.Duration(n * float64(time.Hour))) }

func span(from, to float64, state engine.SpanState, delivered bool) engine.CoveredSpan {
	return engine.CoveredSpan{Span: engine.Span{From: hours(from), To: hours(to), State: state}, Delivered: delivered}
}

// sample has one of everything, over ten days.
func sample() engine.CoverageReport {
	settled, dropped, refused := engine.SpanSettled, span(170, 171, engine.SpanSettled, true), span(175, 175.5, engine.SpanGap, true)
	dropped.Lost, refused.Reason = true, "retention"
	asked := span(233, 234, engine.SpanAsked, true)
	asked.Reason = "upstream: 503 Service Unavailable"
	r := engine.CoverageReport{Settled: hours(215), Sweeps: []byte(`{"settles":90000}`)}
	r.Collector = "in/1/trace"
	r.Spans = []engine.CoveredSpan{span(0, 170, settled, true), dropped, span(171, 175, settled, true), refused,
		span(176, 214, settled, true), span(214, 215, settled, false), span(215, 233, engine.SpanSwept, true), asked, span(234, 239, engine.SpanSwept, false)}
	for h := range 240 {
		r.Hours = append(r.Hours, engine.HourCount{Hour: hours(float64(h)), Rows: 10, Events: 9, Late: 1})
	}
	return r
}

func TestCoverageSaysWhyAndWhatToDo(t *testing.T) {
	c := judge(sample(), timeRange{}, hours(240), "starling backfill trace")
	want := []struct {
		from, to float64
		name     string
		rows     int64
		do       string
	}{
		{0, 170, "complete", 1700, ""},
		{170, 171, "lost", 10, "starling backfill trace --from 2026-11-27T02:00:00Z --to 2026-11-27T03:00:00Z"},
		{171, 175, "complete", 40, ""},
		{175, 175.5, "gap", 10, "no pull can bring it back"},
		{175.5, 176, "unasked", 0, "starling backfill trace --from 2026-11-27T07:30:00Z"},
		{176, 214, "complete", 380, ""},
		{214, 215, "undelivered", 10, "nothing, if the outputs work"},
		{215, 233, "swept", 180, "for the last time at an age of 25h"},
		{233, 234, "failing", 10, "pulls try again"},
		{234, 239, "swept", 50, "for the last time at an age of 25h"},
		{239, 240, "unasked", 10, "pulls come to it"},
	}
	if len(c.Intervals) != len(want) {
		t.Fatalf("got %d intervals: %+v", len(c.Intervals), c.Intervals)
	}
	for i, w := range want {
		x := c.Intervals[i]
		if !x.From.Equal(hours(w.from)) || !x.To.Equal(hours(w.to)) || standings[x.State].name != w.name || x.Rows != w.rows {
			t.Errorf("got %+v, want %+v", x, w)
		}
		if x.Complete != (w.name == "complete") || (x.Why == "") != x.Complete || !strings.Contains(x.Do, w.do) || (x.Do == "") != x.Complete {
			t.Errorf("%s: complete %v, why %q, do %q", w.name, x.Complete, x.Why, x.Do)
		}
	}
	if c.Complete || c.Share*240 < 211.9 || c.Share*240 > 212.1 {
		t.Errorf("complete %v, %v of it", c.Complete, c.Share)
	}
	r := sample()
	r.Backfill = &engine.Backfill{From: hours(100), To: hours(200), Next: hours(150)}
	if c := judge(r, timeRange{}, hours(240), "starling backfill trace"); !strings.Contains(c.Intervals[1].Do, "comes to it") {
		t.Errorf("while a backfill is on its way: %q", c.Intervals[1].Do)
	}
}

// TestCoverageIsNeverTooGood draws ledgers and ranges, and asks of each moment what the ledger says.
func TestCoverageIsNeverTooGood(t *testing.T) {
	states := []engine.SpanState{engine.SpanAsked, engine.SpanSwept, engine.SpanSettled, engine.SpanSettled, engine.SpanGap}
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 7))
		var r engine.CoverageReport
		good := map[int]bool{}
		for h := 0; h < 100; {
			h += random.IntN(3) / 2
			length := 1 + random.IntN(9)
			s := span(float64(h), float64(h+length), states[random.IntN(len(states))], random.IntN(4) > 0)
			s.Lost = random.IntN(6) == 0
			r.Spans = append(r.Spans, s)
			for i := h; i < h+length; i++ {
				good[i] = s.State == engine.SpanSettled && s.Delivered && !s.Lost
			}
			h += length
		}
		r.Settled = hours(float64(random.IntN(120)))
		from := random.IntN(100)
		to := from + 1 + random.IntN(40)
		c := judge(r, timeRange{hours(float64(from)), hours(float64(to))}, hours(200), "starling backfill trace")
		at, all := hours(float64(from)), true
		for _, x := range c.Intervals {
			if !x.From.Equal(at) || !x.From.Before(x.To) {
				t.Fatalf("seed %d: an interval of %+v begins at %v, want %v", seed, c.Intervals, x.From, at)
			}
			for ; at.Before(x.To); at = at.Add(time.Hour) {
				want := good[int(at.Sub(coverageDay)/time.Hour)]
				all = all && want
				if x.Complete != want {
					t.Fatalf("seed %d: %v is complete: %v, want %v", seed, at, x.Complete, want)
				}
			}
		}
		if !at.Equal(hours(float64(to))) || c.Complete != all {
			t.Fatalf("seed %d: it ends at %v, want %v; complete %v, want %v", seed, at, hours(float64(to)), c.Complete, all)
		}
		for _, width := range []int{30, 80, 200} {
			drawn := chart(c, width)
			if all != !strings.ContainsAny(drawn, "+-.?x!") {
				t.Fatalf("seed %d, width %d: complete is %v, drawn is\n%s", seed, width, all, drawn)
			}
		}
	}
}

// chart is the lines of the chart, without their labels.
func chart(c *covered, width int) string {
	var b strings.Builder
	c.printStrip(&b, screen{width: width})
	drawn, _, _ := strings.Cut(b.String(), "a character is")
	var cells strings.Builder
	for line := range strings.Lines(drawn) {
		if strings.HasPrefix(line, "20") {
			cells.WriteString(line[len("2006-01-02 "):])
		}
	}
	return strings.ReplaceAll(cells.String(), "h ", "")
}

// TestTableThatFits looks at the narrowest terminal that has room for the table, with numbers wider than their heads too.
func TestTableThatFits(t *testing.T) {
	for _, events := range []int64{1, 123_456_789} {
		c := judge(sample(), timeRange{}, hours(240), "starling backfill trace")
		c.Intervals[0].Events = events
		table := func(fill int) string {
			var b strings.Builder
			c.printTable(&b, screen{fill: fill})
			return b.String()
		}
		width := 0
		for line := range strings.Lines(table(0)) {
			if strings.HasPrefix(line, "FROM") || strings.HasPrefix(line, "20") {
				width = max(width, len(line)-1)
			}
		}
		if !strings.Contains(table(width), "\nFROM") || strings.Contains(table(width-1), "\nFROM") {
			t.Errorf("%d events: %d columns are just enough for\n%s", events, width, table(0))
		}
	}
}

func TestChartOfTenDays(t *testing.T) {
	c := judge(sample(), timeRange{}, hours(240), "starling backfill trace")
	var b strings.Builder
	c.printStrip(&b, screen{width: 40})
	want := `
           0     6     12    18
2026-11-20 ########################
           6 more like it, to 2026-11-26
2026-11-27 ##!####x################
2026-11-28 ######################+-
2026-11-29 -----------------?-----.

           a character is 1h, and shows the worst of it; times are UTC
           #  complete: all that the API had is at every output
           +  settled, but not every output has it
           -  swept, more may still appear
           .  not asked for
           ?  asked for, without success
           x  gap: the API does not give it
           !  lost: dropped from a full outbox
`
	if got, _, _ := strings.Cut(b.String(), "\n2026-11-27 02:00:00 to"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	c.printStrip(&b, screen{width: 40, colour: true})
	if !strings.Contains(b.String(), "\x1b[0m\x1b[32m##\x1b[0m\x1b[1;31m!\x1b[0m\x1b[32m####") {
		t.Errorf("colours: %q", b.String())
	}
}

func TestMoments(t *testing.T) {
	now := hours(12)
	for text, want := range map[string]time.Time{
		"2026-11-20": hours(0), "2026-11-20T13:30": hours(13.5), "2026-11-20 13:30:00": hours(13.5), "2026-11-20T13:00Z": hours(13),
		"2026-11-20T08:00:00-05:00": hours(13), "36h": hours(-24), "7d": hours(12 - 7*24), "": {},
	} {
		if got, err := readMoment("--from", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "d", "1000000d", "2026-13-01"} {
		if got, err := readMoment("--from", text, now); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

// TestCoverageOfADamagedLedger damages the ledger of the hours 48 to 72, up to the middle of which everything
// is settled.
func TestCoverageOfADamagedLedger(t *testing.T) {
	r := engine.CoverageReport{Settled: hours(60), Coverage: engine.Coverage{Collector: "in/1/trace",
		Spans:   []engine.CoveredSpan{span(0, 48, engine.SpanSettled, true), span(72, 80, engine.SpanSwept, true)},
		Damaged: []engine.DamagedDay{{From: hours(48), To: hours(72), Reason: "the ledger is damaged: \x1b[2J"}}}}
	c := judge(r, timeRange{}, hours(80), "starling backfill trace")
	if len(c.Intervals) != 4 || c.Complete {
		t.Fatalf("got %+v", c.Intervals)
	}
	for i, do := range []string{"starling backfill trace --from 2026-11-22T00:00:00Z --to 2026-11-22T12:00:00Z (its rows are sent once more)", "pulls come to it"} {
		x := c.Intervals[i+1]
		if standings[x.State].name != "damaged" || x.Complete || !strings.HasPrefix(x.Why, "the ledger is damaged: ") || strings.Contains(x.Why, "\x1b") || !strings.Contains(x.Do, do) {
			t.Errorf("got %+v, want damaged and %q", x, do)
		}
	}
	if drawn := chart(c, 80); strings.Count(drawn, "%") != 48 {
		t.Errorf("drawn is\n%s", drawn)
	}
}

// TestWhatTheAPIDoesNotKeepIsNotBackfilled asks about 20 days of which the API keeps 10.
func TestWhatTheAPIDoesNotKeepIsNotBackfilled(t *testing.T) {
	r := engine.CoverageReport{Settled: hours(460), Sweeps: []byte(`{"settles":90000,"keeps":864000}`)}
	r.Spans = []engine.CoveredSpan{span(400, 460, engine.SpanSettled, true)}
	c := judge(r, timeRange{from: hours(0)}, hours(480), "starling backfill trace")
	if x := c.Intervals[0]; !x.To.Equal(hours(240)) || x.Why != "it was never asked for, and the API keeps it no longer" || strings.Contains(x.Do, "backfill") {
		t.Errorf("got %+v", x)
	}
	if x := c.Intervals[1]; !x.To.Equal(hours(400)) || x.Why != "it was never asked for" || !strings.HasPrefix(x.Do, "starling backfill trace --from ") {
		t.Errorf("got %+v", x)
	}
}
