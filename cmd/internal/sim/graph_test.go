package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// graphRow is a row of Graph as the tests read it.
type graphRow struct {
	ID        string    `json:"id"`
	Recipient string    `json:"recipientAddress"`
	Received  time.Time `json:"receivedDateTime"`
	Status    string    `json:"status"`
	Subject   *string   `json:"subject"`
	ToIP      *string   `json:"toIP"`
}

// graphAnswer is a page, or an error.
type graphAnswer struct {
	Context string     `json:"@odata.context"`
	Value   []graphRow `json:"value"`
	Next    string     `json:"@odata.nextLink"`
	Error   struct{ Code, Message string }
}

// newGraphClient signs in for Graph.
func newGraphClient(t *testing.T, o Options) *client {
	t.Helper()
	c := newClient(t, o)
	c.signInFor(graphResource)
	return c
}

// signInFor gets a token for another resource.
func (c *client) signInFor(resource string) {
	c.t.Helper()
	_, body := c.post("/oauth2/v2.0/token", map[string]string{"scope": resource + "/.default"})
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		c.t.Fatalf("token request: got %s", body)
	}
	c.token = answer.Token
}

// traces is the address of the listing with a query given as in a manual.
func (c *client) traces(query string) string {
	return c.base + "/v1.0/admin/exchange/tracing/messageTraces?" + strings.NewReplacer(" ", "%20", "+", "%2B").Replace(query)
}

func between(from, to time.Time) string {
	return "$filter=receivedDateTime ge " + from.Format(time.RFC3339Nano) + " and receivedDateTime le " + to.Format(time.RFC3339Nano)
}

func (c *client) graph(address string) (*http.Response, graphAnswer) {
	c.t.Helper()
	response, body := c.get(address)
	var a graphAnswer
	if len(body) > 0 {
		if err := json.Unmarshal(body, &a); err != nil {
			c.t.Fatalf("%s: %v in %.300s", address, err, body)
		}
	}
	return response, a
}

// listing follows links to the end; then is run before each page but the first.
func (c *client) listing(query string, then func()) (pages [][]graphRow) {
	c.t.Helper()
	for address := c.traces(query); ; {
		response, a := c.graph(address)
		if response.StatusCode != http.StatusOK || len(pages) > 1000 {
			c.t.Fatalf("page %d: got %d %+v", len(pages), response.StatusCode, a.Error)
		}
		pages = append(pages, a.Value)
		if address = a.Next; address == "" {
			return pages
		}
		if then != nil {
			then()
		}
	}
}

func graphKeys(pages [][]graphRow) map[string]int {
	seen := map[string]int{}
	for _, page := range pages {
		for _, row := range page {
			seen[identity(row.ID, row.Recipient)]++
		}
	}
	return seen
}

func TestGraphListsEveryRowOnceNewestFirst(t *testing.T) {
	t.Parallel()
	for _, paging := range []string{"cursor", "offset", "snapshot"} {
		for _, empty := range []int{0, 3} {
			c := newGraphClient(t, Options{Rows: hour(), Graph: Graph{Paging: paging, EmptyPage: empty, Digits: 7}})
			pages := c.listing(between(now.Add(-3*time.Hour), now.Add(-2*time.Hour))+"&$top=90", nil)
			if want := truth(c.sim, now.Add(-3*time.Hour), now.Add(-2*time.Hour)); !maps.Equal(graphKeys(pages), want) {
				t.Errorf("%s: got %d rows, the truth has %d", paging, len(graphKeys(pages)), len(want))
			}
			rows := slices.Concat(pages...)
			if !slices.IsSortedFunc(rows, func(a, b graphRow) int { return b.Received.Compare(a.Received) }) {
				t.Errorf("%s: the rows are not newest first", paging)
			}
			if n := slices.IndexFunc(pages, func(p []graphRow) bool { return len(p) == 0 }); (n >= 0) != (empty > 0) {
				t.Errorf("%s, every %d-th page empty: got the first one at %d", paging, empty, n)
			}
		}
	}
}

// With a cursor, rows that appear above it are not repeated and shift nothing; counted from the top, they do.
func TestGraphPagesShiftOnlyWhenCounted(t *testing.T) {
	t.Parallel()
	for paging, shifts := range map[string]bool{"cursor": false, "offset": true, "snapshot": false} {
		clock := now
		c := newGraphClient(t, Options{Rows: Rows{From: now.Add(-20 * time.Minute), PerSecond: 1}, Graph: Graph{Paging: paging},
			Now: func() time.Time { return clock }})
		first := truth(c.sim, now.Add(-time.Hour), now)
		seen := graphKeys(c.listing(between(now.Add(-time.Hour), now.Add(time.Hour))+"&$top=200", func() { clock = clock.Add(10 * time.Second) }))
		repeated := 0
		for key, n := range seen {
			repeated += n - 1
			delete(first, key)
		}
		if (repeated > 0) != shifts || len(first) > 0 {
			t.Errorf("%s: %d rows repeated, %d missing", paging, repeated, len(first))
		}
	}
}

// What a lab tenant answered, item by item.
func TestGraphBehavesAsObserved(t *testing.T) {
	t.Parallel()
	var observed struct {
		Top   struct{ Min, Max, Default int }
		Cases []struct {
			When   string
			Status int
			Body   *struct {
				Error struct{ Code, Message string }
			}
		}
	}
	for _, name := range []string{"behaviours.json", "observed_errors.json"} {
		if err := json.Unmarshal(fixture(t, "lab-fakegraph/"+name), &observed); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("x", 3000)
	day := now.Truncate(24 * time.Hour)
	setups := map[string]struct {
		query  string
		change func(*client)
	}{
		"receivedDateTime ge without le":                       {"$filter=receivedDateTime ge 2026-11-20T00:00:00Z", nil},
		"end - start > 10 d (+1 s tolerance)":                  {between(day.Add(-10*24*time.Hour-2*time.Second), day), nil},
		"start date (UTC midnight) older than today-90d":       {between(day.AddDate(0, 0, -90).Add(-time.Nanosecond), day.AddDate(0, 0, -85)), nil},
		"$top < 1 or > 5000 ($top=0 acts as the default 1000)": {"$top=5001", nil},
		"quota exceeded": {"", func(c *client) { c.sim.Change(func(o *Options) { o.Graph.Quota.Requests = 1 }); c.graph(c.traces("")) }},
		"first-party service principal missing / not yet provisioned": {"", func(c *client) { c.sim.Change(func(o *Options) { o.Graph.PrincipalFrom = now.Add(time.Hour) }) }},
		"expired token":      {"", func(c *client) { c.sim.Change(func(o *Options) { o.Skew = 2 * time.Hour }) }},
		"permission missing": {"", func(c *client) { c.sim.Change(func(o *Options) { o.Graph.NoPermission = true }) }},
		"over-long URL":      {"$filter=subject eq '" + long + "'", nil},
	}
	if len(setups) != len(observed.Cases) {
		t.Errorf("%d cases are set up, %d were observed", len(setups), len(observed.Cases))
	}
	for _, want := range observed.Cases {
		setup, known := setups[want.When]
		if !known {
			t.Errorf("%s: no test", want.When)
			continue
		}
		c := newGraphClient(t, Options{Rows: hour()})
		if setup.change != nil {
			setup.change(c)
		}
		response, a := c.graph(c.traces(setup.query))
		if response.StatusCode != want.Status {
			t.Errorf("%s: got %d %+v, want %d", want.When, response.StatusCode, a.Error, want.Status)
		}
		switch {
		case want.Body == nil:
			if a.Error.Code != "" {
				t.Errorf("%s: got %+v, want no body", want.When, a.Error)
			}
		case want.When == "expired token" || want.When == "permission missing": // their texts were not observed
			if a.Error.Code != want.Body.Error.Code || a.Error.Message == "" {
				t.Errorf("%s: got %+v, want the code %s", want.When, a.Error, want.Body.Error.Code)
			}
		case a.Error != want.Body.Error:
			t.Errorf("%s: got %+v, want %+v", want.When, a.Error, want.Body.Error)
		}
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); response.StatusCode == 429 && (err != nil || seconds < 1 || seconds > 300) {
			t.Errorf("%s: got Retry-After %q", want.When, response.Header.Get("Retry-After"))
		}
	}
	c := newGraphClient(t, Options{Rows: Rows{From: now.Add(-time.Hour), To: now, Count: 6000}})
	for query, rows := range map[string]int{"": observed.Top.Default, "$top=0": observed.Top.Default, "$top=" + strconv.Itoa(observed.Top.Min): 1,
		"$top=" + strconv.Itoa(observed.Top.Max): 5000} {
		if _, a := c.graph(c.traces(query)); len(a.Value) != rows || a.Next == "" {
			t.Errorf("%q: got %d rows and the link %q, want %d", query, len(a.Value), a.Next, rows)
		}
	}
	// Just inside of the limits.
	for _, query := range []string{between(day.Add(-10*24*time.Hour-time.Second), day), between(day.AddDate(0, 0, -90), day.AddDate(0, 0, -85)),
		between(now.Add(-time.Hour), now.Add(48*time.Hour)), "$filter=receivedDateTime ge 2026-11-20T11:00:00.123456Z and receivedDateTime le 2026-11-20T11:30:00.123456789Z"} {
		if response, a := c.graph(c.traces(query)); response.StatusCode != 200 {
			t.Errorf("%s: got %d %+v", query, response.StatusCode, a.Error)
		}
	}
}

// 100 requests in a rolling five minutes, and the details take from them.
func TestGraphQuotaAsObserved(t *testing.T) {
	t.Parallel()
	clock := now
	c := newGraphClient(t, Options{Rows: hour(), Now: func() time.Time { return clock }})
	for i := range 100 {
		address := c.traces("$top=1")
		if i%10 == 0 {
			address = c.base + "/v1.0/admin/exchange/tracing/messageTraces/3b4fc661-180d-4c2f-60c9-08da6e38dd10/getDetailsByRecipient(recipientAddress='a@b')"
		}
		if response, _ := c.get(address); response.StatusCode != 200 {
			t.Fatalf("request %d: got %d", i+1, response.StatusCode)
		}
		clock = clock.Add(2 * time.Second)
	}
	response, _ := c.graph(c.traces("$top=1"))
	if got := response.Header.Get("Retry-After"); response.StatusCode != 429 || got != "102" { // 200 s after the first one; the refused one counts too
		t.Errorf("request 101: got %d and Retry-After %s", response.StatusCode, got)
	}
	clock = clock.Add(102 * time.Second)
	if response, _ = c.graph(c.traces("$top=1")); response.StatusCode != 200 {
		t.Errorf("after the pause: got %d", response.StatusCode)
	}
}

// Errors have the members that the documentation shows, and name the request.
func TestGraphErrorsHaveTheShapeOfTheDocumentation(t *testing.T) {
	t.Parallel()
	c := newGraphClient(t, Options{Faults: Faults{Every: 2, Kinds: []Fault{Unavailable}}})
	for _, status := range []int{400, 503} {
		response, body := c.get(c.traces("$top=9999"))
		_, got := outline(t, body)
		_, want := outline(t, fixture(t, "msgraph-docs/generic_error_body.json"))
		for path, kinds := range want {
			if !slices.Equal(got[path], kinds) {
				t.Errorf("%s: got %v, want %v in %s", path, got[path], kinds, body)
			}
		}
		if response.StatusCode != status || response.Header.Get("Request-Id") == "" {
			t.Errorf("got %d %v, want %d", response.StatusCode, response.Header, status)
		}
	}
}

// The service accepts much of a filter that it then does not heed.
func TestGraphFilters(t *testing.T) {
	t.Parallel()
	c := newGraphClient(t, Options{Rows: hour(), RawUnicode: true})
	var all []Row
	for row := range c.sim.Rows(now.Add(-4*time.Hour), now) {
		all = append(all, *row)
	}
	quoted := ""
	for _, row := range all {
		if strings.Contains(row.Recipient, "'") {
			quoted = row.Recipient
		}
	}
	every := func(*Row) bool { return true }
	status := func(s string) func(*Row) bool { return func(r *Row) bool { return r.Status == s } }
	for _, test := range []struct {
		filter string
		want   func(*Row) bool
	}{
		{"status eq 'failed'", status("Failed")},
		{"status eq 'delivered' or status eq 'Failed'", status("Failed")},
		{"(status eq 'delivered' or status eq 'failed') and not (size eq 0) and size eq 0", func(r *Row) bool { return r.Status == "Failed" && r.Size == 0 }},
		{"status in ('delivered', 'pending')", status("Pending")},
		{"status ne 'expanded'", status("Expanded")},
		{"senderAddress eq '*@mail3.example.com'", func(r *Row) bool { return strings.HasSuffix(r.Sender, "@mail3.example.com") }},
		{"recipientAddress eq '" + strings.ReplaceAll(quoted, "'", "''") + "'", func(r *Row) bool { return r.Recipient == quoted }},
		{"startswith(recipientAddress,'nobody')", every},
		{"contains(subject,'WEEKLY') and endswith(senderAddress,'x')", func(r *Row) bool { return strings.Contains(r.Subject, "Weekly") }},
		{"startswith(subject, 'Ticket')", func(r *Row) bool { return strings.HasPrefix(r.Subject, "Ticket") }},
		{"endswith(subject,'answer')", func(r *Row) bool { return strings.HasSuffix(r.Subject, "answer") }},
		{"receivedDateTime gt 2030-01-01T00:00:00Z", every},
	} {
		want := map[string]int{}
		for _, row := range all {
			if test.want(&row) {
				want[row.Identity()]++
			}
		}
		bounds := between(now.Add(-4*time.Hour), now)
		query := strings.ReplaceAll(strings.ReplaceAll(bounds+" and "+test.filter, "%", "%25"), "&", "%26") + "&$top=5000&$orderby=size&$select=id&$count=true"
		got := graphKeys(c.listing(query, nil))
		if len(want) == 0 || !maps.Equal(got, want) {
			t.Errorf("%s: got %d rows, want %d", test.filter, len(got), len(want))
		}
	}
	for _, filter := range []string{"status eq", "status like 'x'", "foo eq 'x'", "(status eq 'x'", "status eq 'x' status eq 'y'", "receivedDateTime ge yesterday", "'", "contains(subject)",
		"receivedDateTime ge 2026-11-20T00:00:00"} {
		if response, a := c.graph(c.traces("$filter=" + filter)); response.StatusCode != 400 || a.Error.Message == "" {
			t.Errorf("%s: got %d %+v", filter, response.StatusCode, a.Error)
		}
	}
}

// plainGraphSubject finds subjects, some of which look like keys on purpose.
var plainGraphSubject = regexp.MustCompile(`"subject":"(?:[^"\\]|\\.)*",`)

func TestGraphRowsHaveTheShapeOfTheDocumentation(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]string{"msgraph-docs/list_default.json": "v1.0", "msgraph-docs/list_timerange.json": "v1.0",
		"synthetic/graph_page1.json": "v1.0", "msgraph-docs/list_beta_pascalcase_status.json": "beta"} {
		c := newGraphClient(t, Options{Rows: hour()})
		_, body := c.get(strings.Replace(c.traces("$top=200"), "v1.0", version, 1))
		gotKeys, gotTypes := outline(t, plainGraphSubject.ReplaceAll(body, []byte(`"subject":"s",`)))
		wantKeys, wantTypes := outline(t, fixture(t, name))
		if gotKeys = slices.DeleteFunc(gotKeys, func(key string) bool { return key == "odata.nextLink" && !slices.Contains(wantKeys, key) }); len(gotTypes) == 0 {
			t.Error("the page has nothing")
		}
		if !slices.Equal(gotKeys, wantKeys) {
			t.Errorf("%s: got the keys %q, want %q", version, gotKeys, wantKeys)
		}
		for path, kinds := range gotTypes {
			for _, kind := range kinds {
				nullable := slices.Contains([]string{"messageId", "subject", "fromIP"}, path[strings.LastIndex(path, ".")+1:])
				if !slices.Contains(wantTypes[path], kind) && !nullable && path != ".@odata.nextLink" {
					t.Errorf("%s: %s is %s, want %v", version, path, kind, wantTypes[path])
				}
			}
		}
		var page, doc graphAnswer
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(fixture(t, name), &doc); err != nil {
			t.Fatal(err)
		}
		if want := strings.Replace(doc.Context, "https://graph.microsoft.com", c.base, 1); page.Context != want {
			t.Errorf("%s: got the context %s, want %s", version, page.Context, want)
		}
		if !slices.ContainsFunc(page.Value, func(r graphRow) bool { return r.Status == doc.Value[0].Status }) {
			t.Errorf("%s: no status is spelled %s", version, doc.Value[0].Status)
		}
	}
}

// Every status that Graph writes is a member of the enumeration in its metadata.
func TestGraphStatusesAreThoseOfTheMetadata(t *testing.T) {
	t.Parallel()
	metadata := string(fixture(t, "msgraph-metadata/exchangeMessageTrace.v1.0-Prod.csdl.fragment.xml"))
	for _, status := range append(slices.Clone(statuses[:]), "Recalled") {
		if got := graphStatus(status, false, false); !strings.Contains(metadata, `<Member Name="`+got+`"`) {
			t.Errorf("%q is written as %s, which is no member", status, got)
		}
	}
	for _, property := range []string{"fromIP", "messageId", "receivedDateTime", "recipientAddress", "senderAddress", "size", "status", "subject", "toIP"} {
		if _, known := graphProperties[property]; !known || !strings.Contains(metadata, `<Property Name="`+property+`"`) {
			t.Errorf("%s is not known on both sides", property)
		}
	}
	c := newGraphClient(t, Options{Rows: Rows{List: []Row{{Received: now.Add(-time.Hour), Status: "Recalled"}}}})
	for prefer, want := range map[string]string{"": "unknownFutureValue", "include-unknown-enum-members": "recalled"} {
		request, _ := http.NewRequest(http.MethodGet, c.traces(""), nil)
		request.Header.Set("Authorization", "Bearer "+c.token)
		request.Header.Set("Prefer", prefer)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if body := readAll(t, response); !bytes.Contains(body, []byte(`"status":"`+want+`"`)) {
			t.Errorf("Prefer %q: got %s", prefer, body)
		}
	}
}

func TestGraphLinksOfTheKindsChosen(t *testing.T) {
	t.Parallel()
	clock := now
	c := newGraphClient(t, Options{Rows: hour(), Now: func() time.Time { return clock }})
	query := between(now.Add(-3*time.Hour), now) + "&$top=100"
	_, a := c.graph(c.traces(query))
	link, err := url.Parse(a.Next)
	if err != nil || link.Query().Get("$top") != "100" || link.Query().Get("$filter") != strings.TrimSuffix(strings.TrimPrefix(query, "$filter="), "&$top=100") || !strings.HasPrefix(a.Next, c.base) {
		t.Errorf("got the link %s, %v", a.Next, err)
	}
	if response, b := c.graph(strings.Replace(a.Next, "skiptoken=", "skiptoken=A", 1)); response.StatusCode != 400 {
		t.Errorf("a changed link: got %d %+v", response.StatusCode, b.Error)
	}
	c.sim.Change(func(o *Options) { o.Graph.LinkLife = time.Minute })
	clock = clock.Add(2 * time.Minute)
	if response, b := c.graph(a.Next); response.StatusCode != http.StatusGone {
		t.Errorf("an old link: got %d %+v", response.StatusCode, b.Error)
	}
	c.sim.Change(func(o *Options) { o.Graph.RepeatLink = 1 })
	if _, b := c.graph(c.traces(query)); b.Next != c.traces(query) {
		t.Errorf("got the link %s, want that of the page itself", b.Next)
	}
	c.sim.Change(func(o *Options) { o.Graph.RepeatLink, o.Graph.ForeignLink = 0, 1 })
	if _, b := c.graph(c.traces(query)); !strings.HasPrefix(b.Next, "https://graph.example.net/v1.0/") {
		t.Errorf("got the link %s, want one to another host", b.Next)
	}
}

func TestGraphDetails(t *testing.T) {
	t.Parallel()
	row := Row{Received: now.Add(-time.Hour), Recipient: "o'neil@contoso.com", MessageID: "<a@b>", Changes: []Change{
		{now.Add(-50 * time.Minute), "Pending"}, {now.Add(-40 * time.Minute), "Delivered"}, {now.Add(time.Hour), "Recalled"}}}
	row.Visible = row.Changes[0].At
	c := newGraphClient(t, Options{Rows: Rows{List: []Row{row}}, Graph: Graph{OwnDetails: true, Quota: Quota{Requests: 2}}})
	_, a := c.graph(c.traces(""))
	address := c.base + "/v1.0/admin/exchange/tracing/messageTraces/" + a.Value[0].ID + "/getDetailsByRecipient(recipientAddress='o''neil@contoso.com')"
	_, body := c.get(address)
	gotKeys, _ := outline(t, body)
	wantKeys, _ := outline(t, fixture(t, "msgraph-docs/details_by_recipient.json"))
	slices.Sort(gotKeys)
	slices.Sort(wantKeys)
	if !slices.Equal(gotKeys, wantKeys) {
		t.Errorf("got the keys %q, want %q", gotKeys, wantKeys)
	}
	var details struct{ Value []struct{ Event string } }
	if err := json.Unmarshal(body, &details); err != nil || fmt.Sprint(details.Value) != "[{Receive} {Defer} {Deliver}]" {
		t.Errorf("got %v, %v", details.Value, err)
	}
	for _, want := range []int{200, 429} { // the listing has spent nothing of this
		if response, _ := c.get(address); response.StatusCode != want {
			t.Errorf("got %d, want %d", response.StatusCode, want)
		}
	}
	c.sim.Change(func(o *Options) { o.Graph.OwnDetails = false })
	for _, want := range []int{200, 429} {
		if response, _ := c.get(address); response.StatusCode != want {
			t.Errorf("with one quota: got %d, want %d", response.StatusCode, want)
		}
	}
}

// In memory, the service has the clock of the bubble, and nothing waits.
func TestTheServiceWorksInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMicrosoft(Options{Rows: Rows{From: time.Now(), PerSecond: 1, Delays: UsualDelays()}, Graph: Graph{Latency: [2]time.Duration{2 * time.Second, 4 * time.Second}},
			Faults: Faults{Every: 2, Kinds: []Fault{Hang, Reset, ResetEarly, CloseEarly, CutChunks}}})
		transport, stop := m.Transport()
		defer stop()
		transport.DisableKeepAlives = true // else it asks again by itself when a kept connection fails
		c := &client{t: t, sim: m, base: "https://graph.microsoft.com", http: &http.Client{Transport: transport, Timeout: time.Minute}}
		c.signInFor(graphResource)
		start := time.Now()
		time.Sleep(24 * time.Hour)
		c.signInFor(graphResource)
		var failures []string
		for range 5 {
			for good := range 2 {
				response, err := c.do(c.traces(between(start, time.Now()) + "&$top=5000"))
				if err == nil {
					var buffer bytes.Buffer
					_, err = buffer.ReadFrom(response.Body)
					response.Body.Close()
				}
				if (err == nil) != (good == 0) {
					t.Errorf("request %d: got %v", good, err)
				}
				if err != nil {
					failures = append(failures, err.Error()[strings.LastIndex(err.Error(), ":")+1:])
				}
			}
		}
		want := []string{" context deadline exceeded", " connection reset by peer", " connection reset by peer", " EOF", "unexpected EOF"}
		if !slices.Equal(failures, want) {
			t.Errorf("got %q, want %q", failures, want)
		}
		if waited := time.Since(start) - 24*time.Hour; waited < time.Minute {
			t.Errorf("the pages and the hanging request took %s of the bubble's time", waited)
		}
	})
}
