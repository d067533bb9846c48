package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// A settled window can be read whole, however the service is set up: a patient client that begins again at every fault gets what
// the truth has, and nothing else.
func TestASettledWindowIsWholeHoweverItIsRead(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { readWhole(t, seed) })
	}
}

func readWhole(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	start := time.Now()
	o := Options{
		Seed: seed, PageSize: 1 + r.IntN(40), Order: Order(r.IntN(3)), SkipToken: []string{"key", "offset"}[r.IntN(2)], Links: []string{"", "relative", "absolute"}[r.IntN(3)],
		TrailingEmpty: r.IntN(2) == 0, Snapshot: r.IntN(2) == 0, Gzip: r.IntN(2) == 0, RawUnicode: r.IntN(2) == 0,
		Rows: Rows{From: start, PerSecond: 0.05, Delays: []Delay{{0.5, 0, time.Hour}}, Evolve: 0.3, EvolveBy: time.Hour, Quantum: time.Duration(r.IntN(2)) * 10 * time.Minute},
		Graph: Graph{Paging: []string{"cursor", "offset", "snapshot"}[r.IntN(3)], EmptyPage: r.IntN(4), LinkFirst: r.IntN(2) == 0, RepeatLink: 7 * r.IntN(2), ForeignLink: 5 * r.IntN(2),
			Latency: [2]time.Duration{2 * time.Second, 4 * time.Second}},
		Faults: Faults{Share: 0.1, Kinds: AllFaults()}, Throttle: Throttle{Every: 20, Pause: time.Second},
		Skew: time.Duration(r.IntN(600)-300) * time.Second,
	}
	o.Faults.Kinds = o.Faults.Kinds[:len(o.Faults.Kinds)-1] // not the huge one, 256 MiB of spaces
	m := NewMicrosoft(o)
	transport, stop := m.Transport()
	defer stop()
	p := &patient{t: t, client: &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	c := &client{t: t, sim: m, base: "https://sim", http: p.client, accept: "application/json"}
	time.Sleep(4 * time.Hour)
	from, to := start.Add(30*time.Minute), start.Add(90*time.Minute)
	want, wantGraph := map[string]string{}, map[string]string{}
	for row := range m.RowsBy(from, to, time.Now().Add(o.Skew)) {
		want[row.Identity()] = row.Status
		wantGraph[row.Identity()] = graphStatus(row.Status, false, false)
	}
	for api, address := range map[string]string{
		"report": c.report(window(from, to.Add(-tick))), "Graph": c.traces(between(from, to.Add(-tick)) + fmt.Sprintf("&$top=%d", 1+r.IntN(40))),
	} {
		resource, truth := o.withDefaults().Resource, want
		if api == "Graph" {
			resource, truth = graphResource, wantGraph
		}
		if got := p.read(c, resource, address); len(truth) < 100 || !maps.Equal(got, truth) {
			t.Errorf("seed %d, %s: got %d rows, want %d; %+v", seed, api, len(got), len(truth), o)
		}
	}
}

// patient reads a listing, and asks for a page again when anything about it is odd.
type patient struct {
	t      *testing.T
	client *http.Client
}

func (p *patient) read(c *client, resource, address string) map[string]string {
	rows := map[string]string{}
	for tries := 0; address != ""; {
		if tries++; tries > 1000 {
			p.t.Fatal("no end of faults")
		}
		c.signInFor(resource)
		page, next, err := p.page(c, address)
		if err != nil {
			time.Sleep(10 * time.Second)
			continue
		}
		maps.Copy(rows, page)
		address = next
	}
	return rows
}

// page reads one page, by identity and status, and the address of the next one.
func (p *patient) page(c *client, address string) (rows map[string]string, next string, err error) {
	response, err := c.do(address)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err == nil && response.Header.Get("Content-Encoding") == "gzip" {
		body, err = unzip(body)
	}
	if err != nil || response.StatusCode != http.StatusOK || !utf8.Valid(body) || twice(body) {
		return nil, "", fmt.Errorf("%d %v", response.StatusCode, err)
	}
	var page struct {
		Value []struct {
			MessageTraceId, RecipientAddress, Status string
			ID                                       string `json:"id"`
		}
		Light string `json:"odata.nextLink"`
		Graph string `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(body, &page); err != nil || page.Value == nil {
		return nil, "", fmt.Errorf("no page: %v", err)
	}
	rows = map[string]string{}
	for _, row := range page.Value {
		rows[identity(row.MessageTraceId+row.ID, row.RecipientAddress)] = row.Status
	}
	if page.Light+page.Graph == "" {
		return rows, "", nil
	}
	link, err := url.Parse(page.Light + page.Graph)
	if err != nil {
		return nil, "", err
	}
	here, err := url.Parse(address)
	if err != nil {
		return nil, "", err
	}
	if link = here.ResolveReference(link); link.Host != here.Host || link.String() == address {
		return nil, "", errors.New("a link that leads nowhere")
	}
	return rows, link.String(), nil
}

// twice reports whether a page has its rows under two keys.
func twice(body []byte) bool {
	n := 0
	d := json.NewDecoder(bytes.NewReader(body))
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return n > 1
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
		case string:
			if depth == 1 && v == "value" {
				n++
			}
		}
	}
}
