package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// now is the virtual moment of most tests.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func virtual() time.Time { return now }

// hour has 1,000 rows in an hour that is over.
func hour() Rows {
	return Rows{From: now.Add(-3 * time.Hour), To: now.Add(-2 * time.Hour), Count: 1000}
}

// client asks a served Microsoft, as little like a collector as possible.
type client struct {
	t      *testing.T
	sim    *Microsoft
	base   string
	token  string
	accept string
	http   *http.Client // default http.DefaultClient
}

func (c *client) client() *http.Client {
	if c.http != nil {
		return c.http
	}
	return http.DefaultClient
}

func newClient(t *testing.T, o Options) *client {
	t.Helper()
	if o.Now == nil {
		o.Now = virtual
	}
	m := NewMicrosoft(o)
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	c := &client{t: t, sim: m, base: server.URL, accept: "application/json"}
	c.token = c.signIn()
	return c
}

func (c *client) signIn() string {
	c.t.Helper()
	status, body := c.post("/oauth2/token", nil)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != 200 || answer.Token == "" {
		c.t.Fatalf("token request: got %d %s", status, body)
	}
	return answer.Token
}

// post sends a good token request with some values replaced.
func (c *client) post(endpoint string, change map[string]string) (int, []byte) {
	c.t.Helper()
	o := c.sim.Options()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {o.ClientID}, "client_secret": {o.ClientSecret}}
	if strings.Contains(endpoint, "v2.0") {
		form.Set("scope", o.Resource+"/.default")
	} else {
		form.Set("resource", o.Resource)
	}
	tenant := o.TenantID
	for name, value := range change {
		switch {
		case name == "tenant":
			tenant = value
		case value == "":
			form.Del(name)
		default:
			form.Set(name, value)
		}
	}
	response, err := c.client().PostForm(c.base+"/"+tenant+endpoint, form)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, readAll(c.t, response)
}

func readAll(t *testing.T, response *http.Response) []byte {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (c *client) do(address string) (*http.Response, error) {
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	if c.accept != "" {
		request.Header.Set("Accept", c.accept)
	}
	return c.client().Do(request)
}

func (c *client) get(address string) (*http.Response, []byte) {
	c.t.Helper()
	response, err := c.do(address)
	if err != nil {
		c.t.Fatal(err)
	}
	return response, readAll(c.t, response)
}

// report is the address of the report with a query given as in a manual: name=value&name=value, not encoded.
func (c *client) report(query string) string {
	return c.base + "/ecp/reportingwebservice/reporting.svc/MessageTrace?" + strings.NewReplacer(" ", "%20", "+", "%2B").Replace(query)
}

func window(from, to time.Time) string {
	const layout = "2006-01-02T15:04:05.9999999Z"
	return fmt.Sprintf("$filter=StartDate eq datetime'%s' and EndDate eq datetime'%s'", from.Format(layout), to.Format(layout))
}

// wireRow is a row as the tests read it.
type wireRow struct {
	MessageTraceID   string `json:"MessageTraceId"`
	RecipientAddress string
	Received         string
	StartDate        string
	EndDate          string
	Index            int
}

// wirePage reads the light form and the verbose form.
type wirePage struct {
	Value []wireRow
	Next  string `json:"odata.nextLink"`
	D     struct {
		Results []wireRow
		Next    string `json:"__next"`
	}
}

// pages follows links to the end and returns the rows of all pages; between runs before each page but the first.
func (c *client) pages(query string, between func()) [][]wireRow {
	c.t.Helper()
	var all [][]wireRow
	address := c.report(query)
	for {
		_, body := c.get(address)
		var page wirePage
		if err := json.Unmarshal(body, &page); err != nil {
			c.t.Fatalf("%s: %v in %.300s", address, err, body)
		}
		all = append(all, append(page.Value, page.D.Results...))
		next := page.Next
		if page.D.Next != "" {
			next = page.D.Next + "&$format=json"
		}
		if next == "" {
			return all
		}
		if len(all) > 10_000 {
			c.t.Fatal("links without an end")
		}
		link, err := url.Parse(next)
		if err != nil {
			c.t.Fatal(err)
		}
		from, err := url.Parse(address)
		if err != nil {
			c.t.Fatal(err)
		}
		address = from.ResolveReference(link).String()
		if between != nil {
			between()
		}
	}
}

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "scripts", "testdata", "microsoft", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
