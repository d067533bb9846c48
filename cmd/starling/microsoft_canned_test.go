package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A cannedAnswer is what a service answers instead of data or a token.
type cannedAnswer struct {
	Status  int
	Headers map[string]string
	Body    string
	File    string
	Lab     string
	AADSTS  int
	Error   string
	Broken  string
}

const microsoftPayloads = "../../scripts/testdata/microsoft"

// prepare fills Status and Body from the captured payload that the answer names.
func (a *cannedAnswer) prepare(t *testing.T) {
	t.Helper()
	switch {
	case a.File != "":
		body, err := os.ReadFile(filepath.Join(microsoftPayloads, a.File))
		if err != nil {
			t.Fatal(err)
		}
		a.Body = string(body)
	case a.AADSTS != 0:
		body, err := json.Marshal(map[string]any{"error": a.Error, "error_codes": []int{a.AADSTS}, "trace_id": "255d1aef-8c98-452f-ac51-23d051240864",
			"error_description": fmt.Sprintf("AADSTS%d: Words that Microsoft changes.\r\nTrace ID: 255d1aef-8c98-452f-ac51-23d051240864\r\nTimestamp: 2026-11-20 02:02:12Z", a.AADSTS)})
		if err != nil {
			t.Fatal(err)
		}
		a.Body = string(body)
	case a.Lab != "":
		a.prepareLab(t)
	}
}

func (a *cannedAnswer) prepareLab(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(microsoftPayloads, "lab-fakegraph/observed_errors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var observed struct {
		Cases []struct {
			When   string
			Status int
			Body   json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &observed); err != nil {
		t.Fatal(err)
	}
	for _, c := range observed.Cases {
		if strings.Contains(c.When, a.Lab) {
			if a.Status = c.Status; string(c.Body) != "null" {
				a.Body = string(c.Body)
			}
			return
		}
	}
	t.Fatalf("the lab has seen no %q", a.Lab)
}

// shifted matches a time from now, such as now+2s.
var shifted = regexp.MustCompile(`^now([+-].+)$`)

func (a *cannedAnswer) send(w http.ResponseWriter, r *http.Request) {
	switch a.Broken {
	case "hang":
		<-r.Context().Done()
		return
	case "reset":
		// In the midst of the answer: before it, net/http may ask again by itself.
		fmt.Fprint(w, `{"value":[`)
		http.NewResponseController(w).Flush()
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		tcp := conn.(*tls.Conn).NetConn().(*net.TCPConn)
		tcp.SetLinger(0)
		tcp.Close()
		return
	case "short":
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"value":[`)
		return
	}
	for name, value := range a.Headers {
		if m := shifted.FindStringSubmatch(value); m != nil {
			shift, err := time.ParseDuration(m[1])
			if err != nil {
				panic(err)
			}
			value = time.Now().Add(shift).UTC().Format(http.TimeFormat)
		}
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	fmt.Fprint(w, a.Body)
}

// A cannedRequest is a request for data.
type cannedRequest struct {
	at       time.Time
	from, to time.Time
	good     bool
}

// A cannedTenant is what was asked in the name of one case.
type cannedTenant struct {
	refused int
	tokens  []time.Time
	data    []cannedRequest
}

// A cannedMicrosoft answers in a tenant as its case says, until it is mended.
type cannedMicrosoft struct {
	cases []*refusalCase

	mu      sync.Mutex
	mended  bool
	tenants []cannedTenant
	given   []string // tokens
}

func newCannedMicrosoft(t *testing.T, cases []*refusalCase) *cannedMicrosoft {
	for _, c := range cases {
		c.Answer.prepare(t)
	}
	return &cannedMicrosoft{cases: cases, tenants: make([]cannedTenant, len(cases))}
}

func (m *cannedMicrosoft) mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mended = true
}

// tenantIn finds the number of a tenant.
var tenantIn = regexp.MustCompile(`\bt-(\d{3})`)

func (m *cannedMicrosoft) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	where, at := r.Header.Get("Authorization"), "data"
	if strings.HasSuffix(r.URL.Path, "/token") {
		where, at = r.URL.Path, "token"
	}
	found := tenantIn.FindStringSubmatch(where)
	if found == nil {
		http.Error(w, "a request of nobody", http.StatusTeapot)
		return
	}
	i, _ := strconv.Atoi(found[1])
	refuse, body := m.answer(i, at, r)
	if refuse {
		m.cases[i].Answer.send(w, r)
		return
	}
	fmt.Fprint(w, body)
}

// answer notes a request and returns whether it is refused, or else the answer.
func (m *cannedMicrosoft) answer(i int, at string, r *http.Request) (refuse bool, body string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, s := m.cases[i], &m.tenants[i]
	refuse = c.At == at && !m.mended && (c.Times == 0 || s.refused < c.Times)
	if refuse {
		s.refused++
	}
	if at == "token" {
		s.tokens = append(s.tokens, time.Now())
		token := fmt.Sprintf("token-of-t-%03d-%d-Jk2Wm", i, len(s.tokens))
		m.given = append(m.given, token)
		return refuse, fmt.Sprintf(`{"token_type":"Bearer","expires_in":3599,"access_token":%q}`, token)
	}
	q := cannedRequest{at: time.Now(), good: !refuse}
	q.from, q.to = askedRange(r)
	row := q.from
	if len(s.data) > 0 {
		row = s.data[0].from
	}
	if c.Gap {
		row = row.Add(time.Hour) // behind what is given up
	}
	body = `{"value":[]}`
	if !row.Before(q.from) && row.Before(q.to) {
		body = cannedRow(c, i, row)
	}
	s.data = append(s.data, q)
	return refuse, body
}

// timeIn finds the times of a query.
var timeIn = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func askedRange(r *http.Request) (from, to time.Time) {
	times := timeIn.FindAllString(r.URL.Query().Get("$filter"), 2)
	if len(times) < 2 {
		return from, to
	}
	from, _ = time.Parse(time.RFC3339, times[0])
	to, _ = time.Parse(time.RFC3339, times[1])
	return from, to
}

func cannedID(i int) string { return fmt.Sprintf("row-of-%03d", i) }

func cannedRow(c *refusalCase, i int, at time.Time) string {
	id := cannedID(i)
	if c.Service == "graph" {
		return fmt.Sprintf(`{"value":[{"id":%q,"receivedDateTime":%q,"recipientAddress":"a@b.example","status":"delivered"}]}`, id, at.Format(time.RFC3339))
	}
	return fmt.Sprintf(`{"value":[{"MessageTraceId":%q,"Received":%q,"RecipientAddress":"a@b.example","Status":"Delivered"}]}`, id, at.Format(time.RFC3339))
}

// counts returns how many requests for tokens and for data came until a time.
func (m *cannedMicrosoft) counts(i int, until time.Time) (tokens, data int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.tenants[i].tokens {
		if !at.After(until) {
			tokens++
		}
	}
	for _, q := range m.tenants[i].data {
		if !q.at.After(until) {
			data++
		}
	}
	return tokens, data
}

// asked returns the first request for data, and the first that was answered well.
func (m *cannedMicrosoft) asked(i int) (first, good cannedRequest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.tenants[i].data {
		if first.at.IsZero() {
			first = q
		}
		if q.good && good.at.IsZero() {
			good = q
		}
	}
	return first, good
}

// secrets are all that nobody may read.
func (m *cannedMicrosoft) secrets() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.cases {
		all = append(all, refusalSecret(i))
	}
	return append(all, m.given...)
}
