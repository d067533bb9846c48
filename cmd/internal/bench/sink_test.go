package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"starling/cmd/internal/sim"
)

// TestTheReceiverFindsWhatIsWrong gives it frames that a reference made of a page, whole and spoiled.
func TestTheReceiverFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	certs, err := sim.NewCerts(domain)
	if err != nil {
		t.Fatal(err)
	}
	to := time.Now().UTC().Truncate(time.Second)
	h := history{From: to.Add(-time.Hour), To: to, Rows: 1000, Collectors: 1}
	api := newAPI()
	page := api.page(nil, &h, query{filter: "x", start: h.From, end: h.To}, "http://127.0.0.1")
	for name, convert := range map[string]convert{structs: decodeStructs(), scan: scanBytes()} {
		frames, next, err := convert(nil, page)
		if err != nil || next != "" {
			t.Fatalf("%s: next is %q, %v", name, next, err)
		}
		lines := strings.SplitAfter(string(frames), "\n")
		whole := lines[:len(lines)-1]
		status := `"Status":"Delivered"`
		if !strings.Contains(whole[sampled], status) {
			status = `"Status":""`
		}
		for what, spoiled := range map[string]struct {
			lines   []string
			problem string
			events  int
		}{
			"whole":    {whole, "", 1000},
			"missing":  {whole[1:], "", 999},
			"repeated": {append(whole[:1000:1000], whole[7]), "row 7 came twice", 1000},
			"unknown":  {append(whole[:1:1], strings.Replace(whole[1], idKey, `,"Other":"`, 1)), "an event of no row", 1},
			"changed":  {append(whole[:sampled:sampled], strings.Replace(whole[sampled], status, `"Status":"Lost"`, 1)), fmt.Sprintf("row %d: got", sampled), sampled + 1},
			"late":     {append(whole[:sampled:sampled], strings.Replace(whole[sampled], "<14>2", "<14>3", 1)), fmt.Sprintf("row %d: got", sampled), sampled + 1},
		} {
			s := newSink(api.stock, certs)
			s.begin(h, false)
			s.take([]byte(strings.Join(spoiled.lines, "")))
			if s.Events != spoiled.events || !strings.HasPrefix(s.Problem, spoiled.problem) || (s.Problem == "") != (spoiled.problem == "") {
				t.Errorf("%s, %s: got %d events, %q; want %d, %q", name, what, s.Events, s.Problem, spoiled.events, spoiled.problem)
			}
		}
	}
}

func TestRowsAreInTheirWindows(t *testing.T) {
	t.Parallel()
	to := time.Now().UTC().Truncate(time.Second)
	h := history{From: to.Add(-time.Hour), To: to, Rows: 7_200_000, Collectors: 2}
	for i := range 1000 {
		at := h.moment(i)
		if at.Before(h.From) || i > 0 && !at.After(h.moment(i-1)) || at.Nanosecond()%1000 == 0 || at.Nanosecond()%100 != 0 {
			t.Fatalf("row %d is of %v", i, at)
		}
	}
	if n := h.before(h.From.Add(time.Second)); n != 2000 {
		t.Errorf("a second has %d rows, want 2000", n)
	}
	if n := h.before(to); n != h.Rows {
		t.Errorf("%d rows in all, want %d", n, h.Rows)
	}
	number := h.number(1, 4711)
	if got := numberOf(appendNumber(nil, number)); got != number || number != 9423 {
		t.Errorf("got %d, want %d", got, number)
	}
}
