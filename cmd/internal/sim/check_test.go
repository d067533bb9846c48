package sim

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEventsAreHeldAgainstTheTruth(t *testing.T) {
	t.Parallel()
	m := NewMicrosoft(Options{Now: virtual, Rows: Rows{List: []Row{
		{Received: now.Add(-3 * time.Hour), TraceID: "a", Recipient: "O'Neil@x", Changes: []Change{{now.Add(-2 * time.Hour), "Pending"}, {now.Add(-time.Hour), "Delivered"}}},
		{Received: now.Add(-2 * time.Hour), TraceID: "b", Recipient: "b@x", Status: "Delivered"},
		{Received: now.Add(-time.Hour), TraceID: "c", Recipient: "c@x", Status: "Delivered", Visible: now.Add(time.Second)},
	}}})
	event := func(id, recipient, status string) string {
		return fmt.Sprintf(`{"MessageTraceId":%q,"RecipientAddress":%q,"Subject":"cut \ud83d","Status":%q}`+"\n", id, recipient, status)
	}
	for _, test := range []struct {
		events, missing string
		want            Check
	}{
		{"", "a|o'neil@x b|b@x", Check{Rows: 2, Missing: 2}},
		{event("A", "o'neil@x", "Pending") + event("a", "O'Neil@x", "delivered") + event("b", "b@x", "Delivered"), "", Check{Rows: 2, Events: 3}},
		{event("a", "o'neil@x", "Pending") + event("a", "o'neil@x", "Pending") + event("b", "a@x", "Delivered"), "b|b@x", Check{Rows: 2, Missing: 1, Events: 3, Twice: 1, Unknown: 1}},
		{event("c", "c@x", "Delivered") + event("b", "b@x", "Delivered") + "no event\n", "a|o'neil@x", Check{Rows: 2, Missing: 1, Events: 3, Unknown: 2}},
		{event("b", "b@x", "Delivered") + strings.TrimSuffix(event("a", "o'neil@x", "Pending"), "\n"), "a|o'neil@x", Check{Rows: 2, Missing: 1, Events: 1}},
	} {
		var missing bytes.Buffer
		got, err := m.CheckEvents(strings.NewReader(test.events), &missing, now.Add(-24*time.Hour), now, now)
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", test.events, got, err, test.want)
		}
		var ids []string
		for line := range strings.Lines(missing.String()) {
			_, rest, _ := strings.Cut(line, `{"identity":"`)
			id, _, _ := strings.Cut(rest, `"`)
			ids = append(ids, id)
		}
		if strings.Join(ids, " ") != test.missing {
			t.Errorf("%s: got the missing rows %s, want %s", test.events, &missing, test.missing)
		}
	}
}

// What OnRequest is told is what the log has, with the reason of a refusal and never a secret.
func TestRequestsAreTold(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), KeepLog: true})
	answered := make(chan Request, 3)
	c.sim.Change(func(o *Options) { o.OnRequest = func(_ *http.Request, note Request) { answered <- note } })
	c.get(c.report(window(now.Add(-3*time.Hour), now.Add(-2*time.Hour))))
	told := []Request{<-answered}
	c.get(c.report("$top=x"))
	told = append(told, <-answered)
	c.post(v1, map[string]string{"client_secret": "wrong"})
	told = append(told, <-answered)
	kept := c.sim.Log()[len(c.sim.Log())-3:]
	want := []Request{
		{At: now, API: "report", Status: 200, From: now.Add(-3 * time.Hour), To: now.Add(-2 * time.Hour), Rows: 1000},
		{At: now, API: "report", Status: 400, Reason: "Incorrect format for $top argument 'x'."},
		{At: now, API: "token", Status: 401},
	}
	want[2].Reason = told[2].Reason
	if fmt.Sprint(told) != fmt.Sprint(want) || fmt.Sprint(kept) != fmt.Sprint(want) {
		t.Errorf("got told %+v\nkept %+v\nwant %+v", told, kept, want)
	}
	if reason := told[2].Reason; !strings.HasPrefix(reason, "AADSTS7000215: ") || strings.Contains(reason, "wrong") {
		t.Errorf("got the reason %q", reason)
	}
}
