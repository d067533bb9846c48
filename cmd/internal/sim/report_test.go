package sim

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestErrorsAreTheCapturedBytes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, fixture string
		status        int
		change        func(*client)
		query         string
	}{
		{"no token", "sekoia/legacy_401_body.html", 401, func(c *client) { c.token = "" }, ""},
		{"invented token", "sekoia/legacy_401_body.html", 401, func(c *client) { c.token = "invented" }, ""},
		{"no role", "sekoia/legacy_403_body.json", 403, func(c *client) { c.sim.Change(func(o *Options) { o.NoRole = true }) }, ""},
		{"bad $top", "elastic-issue/odata_error_400_top.json", 400, nil, "&$top=1000%5D"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, Options{Rows: hour()})
			if test.change != nil {
				test.change(c)
			}
			response, body := c.get(c.report(window(now.Add(-3*time.Hour), now.Add(-2*time.Hour)) + test.query))
			want := bytes.TrimSpace(fixture(t, test.fixture))
			if response.StatusCode != test.status || !bytes.Equal(body, want) {
				t.Errorf("got %d %s, want %d %s", response.StatusCode, body, test.status, want)
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	old := window(now.AddDate(0, 0, -10).Add(-time.Second), now)
	for _, test := range []struct{ query, light string }{
		{"$filter=StartDate eq datetime'2026-11-20T00:00:00Z'", "EndDate is required when a StartDate is entered."},
		{"$filter=EndDate eq datetime'2026-11-20T00:00:00Z'", "StartDate is required when an EndDate is entered."},
		{old, "Invalid StartDate value. The StartDate can't be older than 10 days from today."},
		{"$filter=Foo eq 'x'", "Type 'TenantReporting.MessageTrace' does not have a property named 'Foo'"},
		{"$filter=", "Syntax error at position 0."},
		{"$filter=StartDate ge datetime'2026-11-20T00:00:00Z'", "Syntax error at position 12."},
		{"$skiptoken=x", "Bad Request: The URL representing the $skiptoken 'x' is invalid."},
		{"$skip=5", "The query parameter '$skip' begins with a system-reserved '$' character but is not recognized."},
	} {
		c.accept = "application/json"
		response, body := c.get(c.report(test.query))
		want := fmt.Sprintf(`{"odata.error":{"code":"","message":{"lang":"en-US","value":"%s"}}}`, test.light)
		if response.StatusCode != 400 || string(body) != want {
			t.Errorf("%s, light: got %d %s, want %s", test.query, response.StatusCode, body, want)
		}
		_, body = c.get(c.report(test.query + "&$format=json"))
		want = fmt.Sprintf(`{"error":{"code":"","message":{"lang":"en-US","value":"%s"}}}`, test.light)
		if string(body) != want {
			t.Errorf("%s, verbose: got %s, want %s", test.query, body, want)
		}
		c.accept = ""
		if _, body = c.get(c.report(test.query)); !strings.Contains(string(body), "<ServiceFault>") {
			t.Errorf("%s, Atom: got %s", test.query, body)
		}
	}
}

func TestWindowOfExactlyTenDaysIsAnswered(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	if response, body := c.get(c.report(window(now.AddDate(0, 0, -10), now))); response.StatusCode != 200 {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
}

func TestLiteralsThatCollectorsSend(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	for _, filter := range []string{
		"StartDate eq datetime'2026-11-20T09:00:00Z' and EndDate eq datetime'2026-11-20T10:00:00Z'",
		"EndDate eq datetime'2026-11-20T10:00:00Z' and StartDate eq datetime'2026-11-20T09:00:00Z'",
		"StartDate eq datetime'2026-11-20T09:00:00' and EndDate eq datetime'2026-11-20T10:00:00'",
		"StartDate eq datetime'2026-11-20T09:00:00.000000+00:00' and EndDate eq datetime'2026-11-20T10:00:00.0000000Z'",
		"StartDate eq datetime'2026-11-20T04:00:00-05:00' and EndDate eq datetime'2026-11-20T15:30:00+05:30'",
		" StartDate  eq  datetime'2026-11-20T09:00:00Z'  and  EndDate eq datetime'2026-11-20T10:00:00Z' ",
	} {
		rows := c.pages("$filter="+filter, nil)
		if len(rows) != 1 || len(rows[0]) != 1000 || rows[0][0].StartDate != "2026-11-20T09:00:00Z" || rows[0][0].EndDate != "2026-11-20T10:00:00Z" {
			t.Errorf("%s: got %d pages, the first %.1v", filter, len(rows), rows[0])
		}
	}
	// A plus that is not encoded arrives as a space.
	bare := strings.ReplaceAll(c.report("$filter=StartDate eq datetime'2026-11-20T09:00:00+00:00' and EndDate eq datetime'2026-11-20T10:00:00Z'"), "%2B", "+")
	if response, body := c.get(bare); response.StatusCode != 400 {
		t.Errorf("a bare plus: got %d %.100s", response.StatusCode, body)
	}
}

func TestWithoutFilterTheLast48Hours(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: Rows{From: now.AddDate(0, 0, -4), To: now, Count: 4000}, PageSize: 5000})
	page := c.pages("", nil)[0]
	if want := len(truth(c.sim, now.Add(-48*time.Hour), now)); want < 1990 || len(page) != want || page[0].StartDate != "2026-11-18T12:00:00Z" || page[0].EndDate != "2026-11-20T12:00:00Z" {
		t.Errorf("got %d rows of %s to %s", len(page), page[0].StartDate, page[0].EndDate)
	}
}

func TestOtherTermsSelect(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), PageSize: 7})
	want := map[string]int{}
	for row := range c.sim.Rows(now.Add(-4*time.Hour), now) {
		want[row.Recipient]++
	}
	tested := 0
	for recipient, n := range want {
		if !strings.Contains(recipient, "'") {
			continue
		}
		tested++
		filter := " and RecipientAddress eq '" + strings.ReplaceAll(recipient, "'", "''") + "'"
		got := 0
		for _, page := range c.pages(window(now.Add(-4*time.Hour), now)+filter, nil) {
			got += len(page)
		}
		if got != n {
			t.Errorf("%s: got %d rows, want %d", recipient, got, n)
		}
	}
	if tested == 0 {
		t.Error("no recipient with a quote in the rows")
	}
}

func TestTopLimitsAndEndsWithoutLink(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	for _, top := range []int{0, 1, 999, 1000, 5000} {
		pages := c.pages(window(now.Add(-3*time.Hour), now)+fmt.Sprintf("&$top=%d", top), nil)
		if want := min(top, 1000); len(pages) != 1 || len(pages[0]) != want {
			t.Errorf("$top=%d: got %d pages, %d rows in the first", top, len(pages), len(pages[0]))
		}
	}
}

func TestRetiredServiceAnswersNothing(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	for _, status := range []int{401, 403, 404, 410} {
		c.sim.Change(func(o *Options) { o.Retired = status })
		if response, _ := c.get(c.report("")); response.StatusCode != status {
			t.Errorf("got %d, want %d", response.StatusCode, status)
		}
	}
	c.sim.Change(func(o *Options) { o.Retired = 0 })
	if response, _ := c.get(c.report("")); response.StatusCode != 200 {
		t.Errorf("back in service: got %d", response.StatusCode)
	}
}

func TestPathsAreNotCaseSensitive(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	for path, want := range map[string]int{
		"/ecp/reportingwebservice/reporting.svc/MessageTrace": 200, "/ECP/ReportingWebService/Reporting.svc/messagetrace": 200,
		"/ecp/reportingwebservice/reporting.svc/MessageTraces": 404, "/": 404, "/messagetrace": 404,
	} {
		if response, _ := c.get(c.base + path); response.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, response.StatusCode, want)
		}
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	clock := now
	c := newClient(t, Options{Rows: hour(), Now: func() time.Time { return clock }, Throttle: Throttle{Every: 3, Pause: 1500 * time.Millisecond}})
	ask := func() (int, string) {
		response, _ := c.get(c.report(""))
		return response.StatusCode, response.Header.Get("Retry-After")
	}
	want := func(status int, after string) {
		t.Helper()
		if s, a := ask(); s != status || a != after {
			t.Errorf("got %d, Retry-After %q; want %d, %q", s, a, status, after)
		}
	}
	want(200, "")
	want(200, "")
	want(429, "2")
	want(429, "2") // too early
	clock = clock.Add(2 * time.Second)
	want(200, "")
	c.sim.Change(func(o *Options) { o.Throttle.Form, o.Throttle.Pause = Date, 2*time.Second })
	clock = clock.Add(500 * time.Millisecond)
	want(200, "")
	want(429, "Fri, 20 Nov 2026 12:00:05 GMT") // half past the second before it, and a date has no fraction
	clock = clock.Add(3 * time.Second)
	c.sim.Change(func(o *Options) { o.Throttle.Form = Absent })
	want(200, "")
	want(200, "")
	want(429, "")
	want(200, "")
	if got := c.sim.Counters(); got.Throttled != 4 || got.Early != 1 || got.Pages != 7 || got.Requests != 11 {
		t.Errorf("got %+v", got)
	}
}

func TestWindowWithTooManyRows(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), Overload: Overload{Rows: 600, Status: 504}})
	from := now.Add(-3 * time.Hour)
	if response, body := c.get(c.report(window(from, from.Add(time.Hour)))); response.StatusCode != 504 || !strings.Contains(string(body), "We cannot currently process your request") {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
	if response, _ := c.get(c.report(window(from, from.Add(30*time.Minute)))); response.StatusCode != 200 {
		t.Errorf("half of the window: got %d", response.StatusCode)
	}
}

func TestLinksDatesAndBoundsOfOtherKinds(t *testing.T) {
	t.Parallel()
	at := now.Add(-2 * time.Hour)
	c := newClient(t, Options{Rows: Rows{List: []Row{{Received: at.Add(-time.Minute)}, {Received: at}}}, PageSize: 1, Links: "absolute", Zone: true, OpenEnd: true})
	_, body := c.get(c.report(window(at.Add(-time.Hour), at)))
	if strings.Contains(string(body), "nextLink") || !strings.Contains(string(body), `"Received":"2026-11-20T09:59:00Z"`) {
		t.Errorf("got %s, want one row, received 09:59:00Z", body)
	}
	c.sim.Change(func(o *Options) { o.OpenEnd = false })
	if _, body = c.get(c.report(window(at.Add(-time.Hour), at))); !strings.Contains(string(body), `"odata.nextLink":"`+c.base+"/ecp/") {
		t.Errorf("got %s, want an absolute link", body)
	}
	c.sim.Change(func(o *Options) { o.Links = "relative" })
	if _, body = c.get(c.report(window(at.Add(-time.Hour), at) + "&$format=json")); !strings.Contains(string(body), `"__next":"../../reportingwebservice/`) {
		t.Errorf("got %s, want a relative link", body)
	}
	if response, body := c.get(c.report(window(now.AddDate(0, 0, -29), now))); response.StatusCode != 400 {
		t.Errorf("29 days: got %d %s", response.StatusCode, body)
	}
	c.sim.Change(func(o *Options) { o.RetentionDays = 30 })
	if response, body := c.get(c.report(window(now.AddDate(0, 0, -29), now))); response.StatusCode != 200 {
		t.Errorf("29 of 30 days: got %d %s", response.StatusCode, body)
	}
}

func TestRetiredService(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	for _, status := range []int{401, 403, 404, 410, 200} {
		c.sim.Change(func(o *Options) { o.Retired = status })
		if response, body := c.get(c.report("")); response.StatusCode != status || strings.Contains(string(body), "odata") {
			t.Errorf("got %d %s, want %d", response.StatusCode, body, status)
		}
	}
	c.sim.Change(func(o *Options) { o.Retired, o.NoPermission = 0, true })
	if response, _ := c.get(c.report("")); response.StatusCode != 401 {
		t.Errorf("without the permission: got %d", response.StatusCode)
	}
}
