package sim

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRowsAreTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	list := func(seed uint64) (rows []Row) {
		for row := range NewMicrosoft(Options{Seed: seed, Rows: hour(), Now: virtual}).Rows(now.Add(-4*time.Hour), now) {
			rows = append(rows, *row)
		}
		return rows
	}
	a, b, c := list(1), list(1), list(2)
	if len(a) != 1000 || len(b) != 1000 || len(c) != 1000 {
		t.Fatalf("got %d, %d and %d rows, want 1000", len(a), len(b), len(c))
	}
	same := 0
	for i := range a {
		if !reflect.DeepEqual(a[i], b[i]) {
			t.Fatalf("row %d differs: %+v and %+v", i, a[i], b[i])
		}
		if a[i].TraceID == c[i].TraceID {
			same++
		}
	}
	if same > 0 {
		t.Errorf("another seed shares %d rows", same)
	}
}

// Whatever a real tenant has, a few thousand rows have too.
func TestRowsHaveWhatBreaksCollectors(t *testing.T) {
	t.Parallel()
	m := NewMicrosoft(Options{Rows: Rows{From: now.Add(-10 * time.Hour), To: now.Add(-time.Hour), Count: 20_000}, Now: virtual})
	seen, messages := map[string]bool{}, map[string][]Row{}
	found := map[string]int{}
	var last Row
	for row := range m.Rows(now.Add(-11*time.Hour), now) {
		if key := row.Identity(); seen[key] {
			t.Fatalf("%s comes twice", key)
		}
		seen[row.Identity()] = true
		if row.Received.Before(last.Received) {
			t.Fatalf("%s is older than the row before it", row.Received)
		}
		messages[row.TraceID] = append(messages[row.TraceID], *row)
		whole := row.Received.Truncate(time.Second)
		for what, is := range map[string]bool{
			"null MessageId": row.MessageID == "", "null Subject": row.NoSubject, "empty Subject": row.Subject == "" && !row.NoSubject,
			"null FromIP": row.FromIP == "", "null ToIP": row.ToIP == "", "ToIP": row.ToIP != "", "IPv6": strings.Contains(row.FromIP, ":"),
			"size 0": row.Size == 0, "empty sender": row.Sender == "", "' in address": strings.Contains(row.Recipient, "'"),
			`" in address`: strings.Contains(row.Recipient, `"`), "& in address": strings.Contains(row.Recipient, "&"),
			"+ in address": strings.Contains(row.Recipient, "+"), "# in address": strings.Contains(row.Recipient, "#"),
			"% in address": strings.Contains(row.Recipient, "%"), "not ASCII in address": strings.Contains(row.Recipient, "ü"),
			"newline": strings.Contains(row.Subject, "\n"), "control": strings.Contains(row.Subject, "\x1b"), "astral": strings.Contains(row.Subject, "😀"),
			"right to left": strings.Contains(row.Subject, "\u202e"), "lone surrogate": strings.Contains(row.Subject, "\xed\xa0\xbd"),
			"2000 characters": len(row.Subject) >= 2000, "status of a delivery": row.Status == "Delivered", "empty status": row.Status == "",
			"same moment, other message": row.Received.Equal(last.Received) && row.TraceID != last.TraceID,
			"whole second":               row.Received.Equal(whole), "a tick after": row.Received.Equal(whole.Add(tick)),
		} {
			if is {
				found[what]++
			} else if found[what] == 0 {
				found[what] = 0
			}
		}
		last = *row
	}
	if len(seen) != 20_000 {
		t.Errorf("got %d rows, want 20,000", len(seen))
	}
	for what, n := range found {
		if n < 10 {
			t.Errorf("%s: only %d times in 20,000 rows", what, n)
		}
	}
	several := 0
	for _, rows := range messages {
		for _, row := range rows[1:] {
			several++
			if row.MessageID != rows[0].MessageID || !row.Received.Equal(rows[0].Received) || row.Subject != rows[0].Subject {
				t.Errorf("the rows of message %s differ in what they share", row.TraceID)
			}
		}
	}
	if several < 4_000 {
		t.Errorf("got %d rows of further recipients", several)
	}
}

func TestSearchAgreesWithCounting(t *testing.T) {
	t.Parallel()
	for _, rows := range []Rows{
		hour(),
		{From: now.Add(-time.Hour), To: now.Add(-30 * time.Minute), Count: 777, Quantum: 97 * time.Second},
		{From: now.Add(-time.Hour).Add(123456700), To: now, PerSecond: 0.5},
		{From: now.Add(-time.Hour), To: now.Add(-time.Hour).Add(time.Millisecond), Count: 3000},
	} {
		g := newGenerator(7, "o", rows)
		var all []int64
		for b := 0; b*blockRows < g.limit; b++ {
			for _, row := range g.block(b) {
				all = append(all, ticks(row.Received))
			}
		}
		if len(all) != g.limit || all[0] < ticks(rows.From) || all[len(all)-1] >= ticks(rows.To) {
			t.Errorf("%+v: %d rows from %s to %s", rows, len(all), fromTicks(all[0]), fromTicks(all[len(all)-1]))
		}
		for i := 0; i < len(all); i += 7 {
			at := all[i]
			for _, want := range []int64{at - 1, at, at + 1} {
				first := 0
				for first = i; first > 0 && all[first-1] >= want; first-- {
				}
				for first < len(all) && all[first] < want {
					first++
				}
				if got := g.search(want); got != first {
					t.Fatalf("%+v: search(%d): got %d, want %d", rows, want, got, first)
				}
			}
		}
	}
}

func TestLiveRowsAreWithoutEnd(t *testing.T) {
	t.Parallel()
	clock := now
	m := NewMicrosoft(Options{Rows: Rows{From: now.Add(-time.Hour), PerSecond: 200}, Now: func() time.Time { return clock }})
	count := func() int { return len(truth(m, now.Add(-time.Minute), now.AddDate(100, 0, 0))) }
	if got := count(); got < 11_900 || got > 12_100 {
		t.Errorf("a minute has %d rows, want about 12,000", got)
	}
	clock = clock.Add(time.Minute)
	if got := count(); got < 23_900 || got > 24_100 {
		t.Errorf("two minutes have %d rows, want about 24,000", got)
	}
}

func BenchmarkPage(b *testing.B) {
	for name, bytes := range map[string]int{"rendered": 0, "cached": 1 << 30} {
		b.Run(name, func(b *testing.B) {
			m := NewMicrosoft(Options{Rows: Rows{From: now.Add(-3 * time.Hour), To: now.Add(-2 * time.Hour), Count: 1_000_000}, Now: virtual, CacheBytes: bytes})
			o := m.Options()
			q := query{shape: light, start: now.Add(-3 * time.Hour), end: now.Add(-2 * time.Hour), top: -1, skip: 400_000}
			for b.Loop() {
				p := m.render(&q, &o, "", now, now)
				b.SetBytes(int64(len(p.body)))
			}
		})
	}
}

// BenchmarkGraphPage makes pages of a busy tenant while rows are still on their way.
func BenchmarkGraphPage(b *testing.B) {
	m := NewMicrosoft(Options{Now: virtual, Rows: Rows{From: now.Add(-24 * time.Hour), PerSecond: 248.4, Delays: UsualDelays(), Evolve: 0.2, EvolveBy: time.Hour}})
	q := graphQuery{from: now.Add(-40 * time.Minute), to: now.Add(-10 * time.Minute), top: 5000}
	write := graphRenderer{digits: 3, now: now}
	for b.Loop() {
		next := skipToken{From: ticks(q.from), To: ticks(q.to), At: -1}
		rows, pages := 0, 0
		for more := true; more; pages++ {
			var n int
			_, n, more = m.walk(&q, &next, true, q.top, now, &write)
			rows += n
		}
		b.ReportMetric(float64(rows), "rows")
		b.ReportMetric(float64(pages), "pages")
	}
}
