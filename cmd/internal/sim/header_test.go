package sim

import (
	"net/http"
	"regexp"
	"testing"
	"time"
)

// Headers are those of the answers that were documented or kept.
func TestHeaders(t *testing.T) {
	t.Parallel()
	const guid = `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`
	always := map[string]string{"Date": `^Fri, 20 Nov 2026 12:00:00 GMT$`, "Request-Id": guid}
	report := map[string]string{"X-RWS-Version": `^2013-V1$`, "X-FEServer": `.`, "X-BEServer": `.`, "X-DiagInfo": `.`, "Content-Length": `^\d+$`,
		"Set-Cookie": `^X-BackEndCookie=.*; path=/ecp; secure; HttpOnly$`, "Cache-Control": `.`}
	c := newGraphClient(t, Options{Rows: hour(), PageSize: 10, Graph: Graph{Quota: Quota{Requests: 2}}})
	old := newClient(t, Options{Rows: hour(), Quota: Quota{Requests: 5}})
	ask := func(c *client, accept, address string) (*http.Response, []byte) {
		c.accept = accept
		return c.get(address)
	}
	query := window(now.Add(-3*time.Hour), now.Add(-2*time.Hour))
	for _, test := range []struct {
		name, accept, address string
		client                *client
		status                int
		also                  map[string]string
	}{
		{"light", "application/json", old.report(query), old, 200, map[string]string{"Content-Type": `^application/json;odata=minimalmetadata`, "DataServiceVersion": `^3\.0;$`}},
		{"verbose", "", old.report(query + "&$format=json"), old, 200, map[string]string{"Content-Type": `^application/json;odata=verbose`, "DataServiceVersion": `^2\.0;$`}},
		{"Atom", "", old.report(query), old, 200, map[string]string{"Content-Type": `^application/atom\+xml;type=feed`, "DataServiceVersion": `^2\.0;$`}},
		{"bad request", "application/json", old.report("$top=x"), old, 400, map[string]string{"Content-Type": `^application/json`}},
		{"bad filter", "application/json", old.report("$filter=x"), old, 400, map[string]string{"Content-Type": `^application/json`}},
		{"throttled", "application/json", old.report(query), old, 429, map[string]string{"Retry-After": `^\d+$`}},
		{"Graph", "application/json", c.traces("$top=5"), c, 200, map[string]string{"Content-Type": `^application/json;odata\.metadata=minimal;odata\.streaming=true;IEEE754Compatible=false;charset=utf-8$`,
			"OData-Version": `^4\.0$`, "X-Ms-Ags-Diagnostic": `^{"ServerInfo":`}},
		{"Graph, bad request", "application/json", c.traces("$top=-1"), c, 400, map[string]string{"Content-Type": `^application/json`, "OData-Version": `^4\.0$`}},
		{"Graph, throttled", "application/json", c.traces("$top=5"), c, 429, map[string]string{"Retry-After": `^\d+$`, "Content-Type": `^application/json`}},
	} {
		response, body := ask(test.client, test.accept, test.address)
		if response.StatusCode != test.status {
			t.Errorf("%s: got %d %.200s, want %d", test.name, response.StatusCode, body, test.status)
		}
		wanted := []map[string]string{always, test.also}
		if test.client == old {
			wanted = append(wanted, report)
		}
		for _, headers := range wanted {
			for name, pattern := range headers {
				if got := response.Header.Get(name); !regexp.MustCompile(pattern).MatchString(got) {
					t.Errorf("%s: got %s: %q, want %s", test.name, name, got, pattern)
				}
			}
		}
	}
	for path, want := range map[string]string{"report": `Bearer realm=""`, "graph": `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"`} {
		address := map[string]string{"report": old.report(query), "graph": c.traces("")}[path]
		response, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("WWW-Authenticate"); response.StatusCode != 401 || got != want {
			t.Errorf("%s without a token: got %d %q, want %q", path, response.StatusCode, got, want)
		}
	}
	request, err := http.NewRequest(http.MethodGet, c.traces(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("client-request-id", "mine")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got := response.Header.Get("client-request-id"); got != "mine" {
		t.Errorf("got the client-request-id %q back", got)
	}
}

// Zeros at the end of a fraction are left out, or written.
func TestFullFractions(t *testing.T) {
	t.Parallel()
	whole, half := now.Add(-time.Hour), now.Add(-time.Hour).Add(500*time.Millisecond)
	rows := Rows{List: []Row{{Received: whole}, {Received: half}}}
	for full, want := range map[bool][4]string{
		false: {`"Received":"2026-11-20T11:00:00"`, `"Received":"2026-11-20T11:00:00.5"`, `"receivedDateTime":"2026-11-20T11:00:00Z"`, `"receivedDateTime":"2026-11-20T11:00:00.5Z"`},
		true: {`"Received":"2026-11-20T11:00:00.0000000"`, `"Received":"2026-11-20T11:00:00.5000000"`, `"receivedDateTime":"2026-11-20T11:00:00.000Z"`,
			`"receivedDateTime":"2026-11-20T11:00:00.500Z"`},
	} {
		old := newClient(t, Options{Rows: rows, FullFraction: full})
		_, light := old.get(old.report(window(now.Add(-2*time.Hour), now)))
		c := newGraphClient(t, Options{Rows: rows, FullFraction: full})
		_, graph := c.get(c.traces(""))
		for i, text := range want {
			body := light
			if i > 1 {
				body = graph
			}
			if !regexp.MustCompile(regexp.QuoteMeta(text)).Match(body) {
				t.Errorf("full %v: no %s in %s", full, text, body)
			}
		}
	}
}
