package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func keys(pages [][]wireRow) map[string]int {
	seen := map[string]int{}
	for _, page := range pages {
		for _, row := range page {
			seen[identity(row.MessageTraceID, row.RecipientAddress)]++
		}
	}
	return seen
}

func truth(m *Microsoft, from, to time.Time) map[string]int {
	seen := map[string]int{}
	for key := range m.Truth(from, to) {
		seen[key]++
	}
	return seen
}

func TestPagesHaveEveryRowOnce(t *testing.T) {
	t.Parallel()
	for _, order := range []Order{NewestFirst, OldestFirst, Shuffled} {
		for _, token := range []string{"key", "offset"} {
			for _, format := range []string{"", "&$format=json"} {
				for _, trailing := range []bool{false, true} {
					t.Run(fmt.Sprint(order, token, format, trailing), func(t *testing.T) {
						t.Parallel()
						c := newClient(t, Options{Rows: hour(), PageSize: 100, Order: order, SkipToken: token, TrailingEmpty: trailing})
						pages := c.pages(window(now.Add(-3*time.Hour), now.Add(-2*time.Hour))+format, nil)
						want := truth(c.sim, now.Add(-3*time.Hour), now.Add(-2*time.Hour))
						if got := keys(pages); len(got) != 1000 || !maps.Equal(got, want) {
							t.Errorf("got %d rows, want the %d of the truth, once each", len(got), len(want))
						}
						if n := map[bool]int{false: 10, true: 11}[trailing]; len(pages) != n {
							t.Errorf("got %d pages, want %d", len(pages), n)
						}
						index := 0
						for _, page := range pages {
							for _, row := range page {
								if row.Index != index {
									t.Fatalf("got Index %d at position %d", row.Index, index)
								}
								index++
							}
						}
					})
				}
			}
		}
	}
}

func TestOrderIsWhatWasChosen(t *testing.T) {
	t.Parallel()
	for _, order := range []Order{NewestFirst, OldestFirst, Shuffled} {
		c := newClient(t, Options{Rows: hour(), Order: order})
		var moments []time.Time
		for _, row := range c.pages(window(now.Add(-3*time.Hour), now), nil)[0] {
			at, err := parseDateTime(row.Received)
			if err != nil {
				t.Fatal(err)
			}
			moments = append(moments, at)
		}
		up := slices.IsSortedFunc(moments, time.Time.Compare)
		slices.Reverse(moments)
		down := slices.IsSortedFunc(moments, time.Time.Compare)
		if up != (order == OldestFirst) || down != (order == NewestFirst) {
			t.Errorf("order %d: ascending %v, descending %v", order, up, down)
		}
	}
}

func TestLinksAreAsTheServiceWritesThem(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: Rows{From: now.Add(-3 * time.Hour), To: now.Add(-2 * time.Hour), Count: 4500}})
	query := window(now.Add(-3*time.Hour), now.Add(-2*time.Hour)) + " and Status eq 'Delivered'"
	_, light := c.get(c.report(query))
	_, verbose := c.get(c.report(query + "&$format=json"))
	c.sim.Change(func(o *Options) { o.SkipToken = "offset" })
	_, offset := c.get(c.report(window(now.Add(-3*time.Hour), now)))
	for _, test := range []struct {
		name, link string
		body       []byte
	}{
		{"light", `,"odata.nextLink":"../../reportingwebservice/reporting.svc/MessageTrace?$filter=StartDate%20eq%20datetime'2026-11-20T09:00:00Z'%20and%20EndDate%20eq%20datetime'2026-11-20T10:00:00Z'%20and%20Status%20eq%20'Delivered'&$skiptoken=1999"}`, light},
		{"verbose", `,"__next":"` + c.base + `/ecp/ReportingWebService/Reporting.svc/MessageTrace?$filter=StartDate%20eq%20datetime'2026-11-20T09%3A00%3A00Z'%20and%20EndDate%20eq%20datetime'2026-11-20T10%3A00%3A00Z'%20and%20Status%20eq%20'Delivered'&$skiptoken=1999"}}`, verbose},
		{"offset", `&$skiptoken=2000"}`, offset},
	} {
		body := strings.Replace(string(test.body), `],"`, `,"`, 1)
		if !strings.HasSuffix(body, test.link) {
			t.Errorf("%s: got the end %q, want %q", test.name, body[len(body)-300:], test.link)
		}
	}
}

// A filter may hold what a query must encode; the link has to survive it.
func TestLinkKeepsTheFilter(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), PageSize: 1})
	recipient := ""
	for row := range c.sim.Rows(now.Add(-3*time.Hour), now) {
		if strings.ContainsAny(row.Recipient, "&") {
			recipient = row.Recipient
		}
	}
	filter := " and RecipientAddress eq '" + strings.ReplaceAll(recipient, "&", "%26") + ",100%25 sure+#@example.com'"
	filter = strings.ReplaceAll(filter, "#", "%23")
	got := keys(c.pages(window(now.Add(-3*time.Hour), now)+filter, nil))
	want := map[string]int{}
	for row := range c.sim.Rows(now.Add(-3*time.Hour), now) {
		if row.Recipient == recipient {
			want[row.Identity()]++
		}
	}
	if len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", recipient, got, want)
	}
}

func TestBoundsAreInclusiveAndToTheTick(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: Rows{From: now.Add(-3 * time.Hour), To: now.Add(-2 * time.Hour), Count: 6000, Quantum: time.Minute}})
	from, to := now.Add(-3*time.Hour).Add(10*time.Minute), now.Add(-3*time.Hour).Add(11*time.Minute)
	for _, test := range []struct {
		from, to time.Time
		want     int
	}{
		{from, to, len(truth(c.sim, from, to.Add(time.Minute)))},
		{from.Add(tick), to, len(truth(c.sim, to, to.Add(time.Minute)))},
		{from, to.Add(-tick), len(truth(c.sim, from, to))},
		{from.Add(tick), to.Add(-tick), 0},
	} {
		if got := len(keys(c.pages(window(test.from, test.to), nil))); got != test.want {
			t.Errorf("%s to %s: got %d rows, want %d", test.from, test.to, got, test.want)
		}
	}
	if n := len(truth(c.sim, from, to)); n < 90 || n > 110 {
		t.Errorf("%d rows share a minute, want about 100", n)
	}
}

// Rows that appear while a client follows links shift the pages, so that newest first repeats rows; a snapshot does not.
func TestLatePagesShiftUnlessSnapshot(t *testing.T) {
	t.Parallel()
	for _, snapshot := range []bool{false, true} {
		clock := now
		c := newClient(t, Options{Rows: Rows{From: now.Add(-20 * time.Minute), PerSecond: 1}, PageSize: 200, Snapshot: snapshot,
			Now: func() time.Time { return clock }})
		query := window(now.Add(-time.Hour), now.Add(time.Hour))
		first := truth(c.sim, now.Add(-time.Hour), now)
		pages := c.pages(query, func() { clock = clock.Add(10 * time.Second) })
		seen := keys(pages)
		repeated := 0
		for _, n := range seen {
			repeated += n - 1
		}
		if snapshot && (repeated > 0 || len(seen) < len(first)) {
			t.Errorf("snapshot: %d rows repeated, %d seen, want 0 and at least %d", repeated, len(seen), len(first))
		}
		if !snapshot && repeated < 10*(len(pages)-2) {
			t.Errorf("%d rows repeated on %d pages, want about 10 a page", repeated, len(pages))
		}
	}
}

func TestLateRowsAppearInTime(t *testing.T) {
	t.Parallel()
	clock := now
	rows := Rows{From: now.Add(-time.Hour), PerSecond: 2, Late: 0.25, LateBy: 10 * time.Minute}
	c := newClient(t, Options{Rows: rows, Now: func() time.Time { return clock }})
	from, to := now.Add(-5*time.Minute), now
	query := window(from, to.Add(-tick))
	early := keys(c.pages(query, nil))
	if want := truth(c.sim, from, to); !maps.Equal(early, want) {
		t.Errorf("at once: got %d rows, truth has %d", len(early), len(want))
	}
	clock = clock.Add(10*time.Minute + time.Second)
	all := keys(c.pages(query, nil))
	if want := truth(c.sim, from, to); !maps.Equal(all, want) {
		t.Errorf("in the end: got %d rows, truth has %d", len(all), len(want))
	}
	if late := len(all) - len(early); late < 60 || late > 180 {
		t.Errorf("%d of %d rows came late, want about 100", late, len(all))
	}
	for key := range early {
		if all[key] == 0 {
			t.Errorf("%s vanished", key)
		}
	}
}

func TestCachedPagesAreTheSamePages(t *testing.T) {
	t.Parallel()
	plain := newClient(t, Options{Rows: hour(), PageSize: 300})
	cached := newClient(t, Options{Rows: hour(), PageSize: 300, CacheBytes: 1 << 20})
	from, to := now.Add(-3*time.Hour), now.Add(-2*time.Hour)
	cached.sim.Prerender(from, to)
	if n := len(cached.sim.cache.pages); n != 4 || cached.sim.cache.bytes == 0 {
		t.Errorf("got %d pages prerendered, want 4", n)
	}
	for _, query := range []string{window(from, to), window(from, to) + "&$skiptoken=299", window(from, to) + "&$top=7", window(from, to)} {
		_, want := plain.get(plain.report(query))
		_, got := cached.get(cached.report(query))
		if strings.ReplaceAll(string(got), cached.base, plain.base) != string(want) {
			t.Errorf("%s: the pages differ", query)
		}
	}
	if n := len(cached.sim.cache.pages); n != 5 { // the one with $top is new
		t.Errorf("got %d pages in the cache, want 5", n)
	}
	small := newClient(t, Options{Rows: hour(), PageSize: 300, CacheBytes: 200_000})
	small.sim.Prerender(from, to)
	if got := small.sim.cache.bytes; got == 0 || got > 200_000 {
		t.Errorf("got %d bytes in a cache of 200,000", got)
	}
	if got := keys(small.pages(window(from, to), nil)); len(got) != 1000 {
		t.Errorf("got %d rows past a full cache", len(got))
	}
	// A window that can still grow is not kept.
	live := newClient(t, Options{Rows: Rows{From: from, PerSecond: 0.1}, CacheBytes: 1 << 20})
	live.pages(window(from, now), nil)
	if n := len(live.sim.cache.pages); n != 0 {
		t.Errorf("got %d live pages in the cache", n)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("StartDate eq datetime'2026-11-20T09:00:00Z' and EndDate eq datetime'2026-11-20T10:00:00.1234567+01:00'")
	f.Add("RecipientAddress eq 'o''neil@contoso.com' and MessageTraceId eq guid'3b4fc661-180d-4c2f-60c9-08da6e38dd10'")
	f.Add("StartDate eq datetime'")
	f.Add("and and")
	f.Fuzz(func(t *testing.T, text string) {
		terms, err := parseFilter(text)
		if (err == nil) == (len(terms) == 0) {
			t.Fatalf("got %d terms and %v", len(terms), err)
		}
		if err != nil {
			body, _ := light.failure(err.Error())
			if !json.Valid([]byte(body)) {
				t.Fatalf("the answer is not JSON: %s", body)
			}
			return
		}
		// What was understood, written again, is understood the same way; and so is the link to the next page.
		again := ""
		for i, term := range terms {
			again += map[bool]string{false: " and ", true: ""}[i == 0] + term.property + " eq " + properties[term.property] + "'" + strings.ReplaceAll(term.text, "'", "''") + "'"
		}
		if second, err := parseFilter(again); err != nil || !slices.Equal(second, terms) {
			t.Fatalf("%q: got %v, then %v of %q (%v)", text, terms, second, again, err)
		}
	})
}
