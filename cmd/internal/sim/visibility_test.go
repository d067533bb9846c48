package sim

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
	"time"
)

// all collects rows of which every one is visible by the end of time.
func all(o Options) (rows []Row) {
	m := NewMicrosoft(o)
	for row := range m.RowsBy(time.Time{}.AddDate(1900, 0, 0), now.AddDate(1, 0, 0), now.AddDate(1, 0, 0)) {
		rows = append(rows, *row)
	}
	return rows
}

func TestDelaysAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	const settle = 25 * time.Hour
	rows := all(Options{Rows: Rows{From: now.Add(-3 * time.Hour), To: now, Count: 20_000,
		Delays: append(UsualDelays()[1:], Delay{0.02, settle - time.Second, settle - time.Second}, Delay{0.03, settle + time.Second, settle + time.Second})}})
	counts := map[string]int{}
	for _, row := range rows {
		switch delay := row.Visible.Sub(row.Received); {
		case delay == 0:
			counts["at once"]++
		case delay >= 10*time.Minute && delay < 4*time.Hour:
			counts["4 h"]++
		case delay >= 4*time.Hour && delay < 24*time.Hour:
			counts["24 h"]++
		case delay == settle-time.Second:
			counts["just in time"]++
		case delay == settle+time.Second:
			counts["just too late"]++
		default:
			t.Errorf("a row comes after %s", delay)
		}
	}
	for what, share := range map[string]float64{"at once": 0.85, "4 h": 0.09, "24 h": 0.01, "just in time": 0.02, "just too late": 0.03} {
		if got := float64(counts[what]) / float64(len(rows)); got < share*0.7 || got > share*1.3 {
			t.Errorf("%s: got a share of %.3f, want about %.3f", what, got, share)
		}
	}
}

func TestIncidentDelaysWhatFallsIntoIt(t *testing.T) {
	t.Parallel()
	from, to := now.Add(-2*time.Hour), now.Add(-time.Hour)
	in := 0
	for _, row := range all(Options{Rows: Rows{From: now.Add(-3 * time.Hour), To: now, Count: 3000, Delays: UsualDelays(), Incidents: []Incident{{from, to, 36 * time.Hour}}}}) {
		within := !row.Received.Before(from) && row.Received.Before(to)
		if delay := row.Visible.Sub(row.Received); within != (delay >= 36*time.Hour) {
			t.Errorf("received %s, visible after %s", row.Received, delay)
		}
		if within {
			in++
		}
	}
	if in < 900 || in > 1100 {
		t.Errorf("%d rows fall into the incident, want about 1000", in)
	}
}

func TestStatusesChangeInTimeAndStay(t *testing.T) {
	t.Parallel()
	o := Options{Rows: Rows{From: now.Add(-3 * time.Hour), To: now, Count: 5000, Delays: UsualDelays(), Evolve: 0.5, EvolveBy: time.Hour}}
	changing, paths := 0, map[string]int{}
	for _, row := range all(o) {
		seen := row.Seen(now.AddDate(1, 0, 0))
		if len(seen) > 1 {
			changing++
		}
		if !seen[0].At.Equal(row.Visible) || row.Seen(row.Visible.Add(-tick)) != nil {
			t.Fatalf("%+v: it is seen at another moment than it is visible", row)
		}
		path, statuses := "", map[string]bool{}
		for i, c := range seen {
			path += " " + c.Status
			statuses[c.Status] = true
			if i > 0 && (!c.At.After(seen[i-1].At) || c.At.After(row.Visible.Add(time.Hour))) {
				t.Errorf("%+v: a change is out of time", row.Changes)
			}
			if row.StatusAt(c.At) != c.Status || i > 0 && row.StatusAt(c.At.Add(-1)) != seen[i-1].Status || len(row.Seen(c.At)) != i+1 {
				t.Errorf("%+v: at %s it is %s", row.Changes, c.At, row.StatusAt(c.At))
			}
		}
		if len(statuses) != len(seen) {
			t.Errorf("%v: a status comes twice", seen)
		}
		if row.Status != seen[len(seen)-1].Status {
			t.Errorf("%v: the last one is %s", seen, row.Status)
		}
		paths[path]++
	}
	if changing < 2300 || changing > 2700 {
		t.Errorf("%d of 5000 rows change, want about half", changing)
	}
	for _, path := range []string{" GettingStatus Pending Delivered", " GettingStatus Failed", " Quarantined Delivered", " Delivered Recalled"} {
		if paths[path] == 0 {
			t.Errorf("no row goes%s", path)
		}
	}
}

// Both services show the status of the moment, and the truth has every status that they showed.
func TestBothServicesShowTheStatusOfTheMoment(t *testing.T) {
	t.Parallel()
	clock := now
	rows := Rows{From: now.Add(-time.Hour), To: now, Count: 300, Delays: []Delay{{1, time.Minute, 10 * time.Minute}}, Evolve: 1, EvolveBy: time.Hour}
	c := newClient(t, Options{Rows: rows, Now: func() time.Time { return clock }, TokenLifetime: 24 * time.Hour})
	report := c.token
	for range 8 {
		want, got, gotGraph := map[string]string{}, map[string]string{}, map[string]string{}
		for row := range c.sim.RowsBy(now.Add(-2*time.Hour), now, clock) {
			want[row.Identity()] = row.StatusAt(clock)
		}
		c.token = report
		_, body := c.get(c.report(window(now.Add(-2*time.Hour), now)))
		var page struct {
			Value []struct{ MessageTraceId, RecipientAddress, Status string }
		}
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Value {
			got[identity(row.MessageTraceId, row.RecipientAddress)] = row.Status
		}
		if !maps.Equal(got, want) {
			t.Errorf("at %s: the report shows other statuses than the truth", clock)
		}
		c.signInFor(graphResource)
		for _, page := range c.listing(between(now.Add(-2*time.Hour), now), nil) {
			for _, row := range page {
				gotGraph[identity(row.ID, row.Recipient)] = row.Status
			}
		}
		for key, status := range want {
			want[key] = graphStatus(status, false, false)
		}
		if !maps.Equal(gotGraph, want) {
			t.Errorf("at %s: Graph shows other statuses than the truth", clock)
		}
		clock = clock.Add(11 * time.Minute)
	}
}

func TestBurstsAndQuietTimes(t *testing.T) {
	t.Parallel()
	quiet, burst := now.Add(-2*time.Hour), now.Add(-90*time.Minute)
	m := NewMicrosoft(Options{Now: virtual, Rows: Rows{From: now.Add(-3 * time.Hour), PerSecond: 1, Bursts: []Burst{
		{quiet, burst, 0}, {burst, burst.Add(30 * time.Minute), 248.4}}}})
	for _, test := range []struct {
		from, to time.Time
		want     int
	}{
		{now.Add(-3 * time.Hour), quiet, 3600}, {quiet, burst, 0}, {burst, burst.Add(30 * time.Minute), 447_120}, {now.Add(-time.Hour), now, 3600},
	} {
		if got := m.rows.search(ticks(test.to)) - m.rows.search(ticks(test.from)); got < test.want-blockRows || got > test.want+blockRows {
			t.Errorf("from %s to %s: got %d rows, want about %d", test.from, test.to, got, test.want)
		}
	}
	last := time.Time{}
	for row := range m.Rows(burst.Add(-time.Hour), burst.Add(time.Minute)) {
		if row.Received.Before(last) {
			t.Fatal("rows go back in time")
		}
		last = row.Received
	}
}

func TestListsAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	list := []Row{
		{Received: now.Add(-3 * time.Hour), Visible: now.Add(time.Hour), Status: "Delivered"},
		{Received: now.Add(-2 * time.Hour), TraceID: "3b4fc661-180d-4c2f-60c9-08da6e38dd10", Recipient: "A@b", Changes: []Change{{now.Add(-2 * time.Hour), "Pending"}, {now.Add(-time.Hour), "Failed"}}},
	}
	rows := all(Options{Rows: Rows{List: list}})
	if len(rows) != 2 || rows[0].TraceID == "" || rows[0].Recipient == "" || rows[1].Identity() != "3b4fc661-180d-4c2f-60c9-08da6e38dd10|a@b" || rows[1].Status != "Failed" {
		t.Errorf("got %+v", rows)
	}
	m := NewMicrosoft(Options{Now: virtual, Rows: Rows{List: list}})
	if got := truth(m, now.AddDate(0, 0, -1), now); len(got) != 1 {
		t.Errorf("got %d rows now, want the one that is visible", len(got))
	}
}

func TestTruthAsLines(t *testing.T) {
	t.Parallel()
	m := NewMicrosoft(Options{Rows: Rows{From: now.Add(-time.Hour), To: now, Count: 100, Delays: UsualDelays(), Evolve: 1, EvolveBy: time.Minute}, Now: virtual})
	var b bytes.Buffer
	if err := m.WriteTruth(&b, now.Add(-time.Hour), now, now); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for d := json.NewDecoder(&b); d.More(); {
		var line truthLine
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.Visible.After(now) || len(line.Statuses) == 0 {
			t.Errorf("got %+v", line)
		}
		got[line.Identity]++
	}
	if want := truth(m, now.Add(-time.Hour), now); !maps.Equal(got, want) {
		t.Errorf("got %d rows, want %d", len(got), len(want))
	}
}
