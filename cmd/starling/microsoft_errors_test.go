package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"starling/engine"
)

// A refusalCase is a row of testdata/microsoft_errors.yaml, which says what the fields are.
type refusalCase struct {
	Row      string
	Service  string
	At       string
	Answer   cannedAnswer
	Times    int
	Settings map[string]any

	Code         string
	Text         []string
	Tokens, Data *int
	Halved, Gap  bool
	Log          string
	Pause        time.Duration
}

func (c *refusalCase) script() string {
	if c.Service == "graph" {
		return "office365_exchange_message_graph_service"
	}
	return "office365_exchange_message_service"
}

// slow reports whether a person must act before it can work again.
func (c *refusalCase) slow() bool { return c.Code == "auth" || c.Code == "config" }

// TestEveryErrorOfMicrosoft runs the program against services that answer with every error that Microsoft's are
// known to answer with, one for each collector. It looks at what becomes of it: what is sent again, and how often,
// which quota is paused, how the pull ends and when it is tried again, what a person reads in the log and in the
// status. Then the services work again, and every collector goes on where it was.
func TestEveryErrorOfMicrosoft(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/microsoft_errors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var cases []*refusalCase
	if err := decoder.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	microsoft := newCannedMicrosoft(t, cases)
	server := httptest.NewTLSServer(microsoft)
	defer server.Close()
	dir := t.TempDir()
	writeRefusalConfig(t, dir, server, cases)
	w := &refusalWorld{t: t, cases: cases, microsoft: microsoft}
	w.output, w.status, w.process = startIn(t, dir)

	w.until("every error has had its effect", w.happened)
	page := w.page
	for i, c := range cases {
		t.Run(c.Row, func(t *testing.T) { w.judge(t, i) })
	}

	microsoft.mend()
	if err := w.process.Process.Signal(syscall.SIGHUP); err != nil { // ends the pauses of those that wait for a person
		t.Fatal(err)
	}
	w.until("every collector goes on", w.recovered)
	for i, c := range cases {
		t.Run("then "+c.Row, func(t *testing.T) { w.judgeRecovery(t, i) })
	}
	var delivered string
	w.until("every row is delivered", func(i int) bool {
		if i == 0 {
			delivered = filesBelow(t, filepath.Join(dir, "events.log"))
		}
		return cases[i].Pause > 0 || strings.Contains(delivered, cannedID(i))
	})
	for i := range cases {
		if n := strings.Count(delivered, cannedID(i)); n > 1 {
			t.Errorf("%s: the row is delivered %d times", cases[i].Row, n)
		}
	}
	seen := w.output.String() + page + fetch(t, w.status+"/status") + fetch(t, w.status+"/metrics")
	for _, secret := range microsoft.secrets() {
		if strings.Contains(seen, secret) {
			t.Errorf("%q is readable", secret)
		}
	}
}

// Ids of fewer than six bytes are left readable in logs, by which the test finds what is whose.
func refusalTenant(i int) string { return fmt.Sprintf("t-%03d", i) }
func refusalApp(i int) string    { return fmt.Sprintf("a-%03d", i) }
func refusalSecret(i int) string { return fmt.Sprintf("secret-of-%03d-Vx7Qz", i) }

// writeRefusalConfig gives each case an input of its own.
func writeRefusalConfig(t *testing.T, dir string, server *httptest.Server, cases []*refusalCase) {
	t.Helper()
	writeText(t, filepath.Join(dir, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	inputs := map[string]any{}
	for i, c := range cases {
		settings := map[string]any{"mode": "delayed", "max_historic_date_cutoff_days_back": 2, "window_in_seconds": 86400,
			"override_base_auth_url": server.URL, "override_base_url": server.URL, "override_base_resource_url": server.URL}
		for name, value := range c.Settings {
			settings[name] = value
		}
		inputs[refusalTenant(i)] = map[string]any{"id": 1, "enabled": true, "request_period_in_seconds": 3600,
			"credentials": map[string]any{"tenant_id": refusalTenant(i), "client_id": refusalApp(i), "client_secret": refusalSecret(i)},
			"services":    map[string]any{c.script(): settings}}
	}
	text, err := yaml.Marshal(map[string]any{
		"globals":  map[string]any{"name": "test", "id": 1},
		"starling": map[string]any{"listen": "127.0.0.1:0", "log": map[string]any{"format": "json"}, "network": map[string]any{"ca": "ca.pem"}},
		"outputs":  map[string]any{"file_1": map[string]any{"type": "file", "config": map[string]any{"path": "events.log", "format": "body"}}},
		"inputs":   inputs,
	})
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "config.yaml"), string(text))
}

// A refusalLine is a line of the log of one collector.
type refusalLine struct {
	Time      time.Time
	Msg       string
	Collector string
	Code      string
	Error     string
	Wait      string
	raw       string
}

// A refusalWorld is the program that runs, with what is known about it.
type refusalWorld struct {
	t         *testing.T
	cases     []*refusalCase
	microsoft *cannedMicrosoft
	output    *lockedBuffer
	status    string
	process   *exec.Cmd
	lines     map[string][]refusalLine // by tenant
	page      string                   // of the status
	states    map[string]engine.CollectorStatus
	quotas    map[string]engine.QuotaStatus
}

// read reads the log and the status.
func (w *refusalWorld) read() {
	w.lines, w.states, w.quotas = map[string][]refusalLine{}, map[string]engine.CollectorStatus{}, map[string]engine.QuotaStatus{}
	for raw := range strings.Lines(w.output.String()) {
		var line refusalLine
		if json.Unmarshal([]byte(raw), &line) == nil {
			line.raw = raw
			tenant, _, _ := strings.Cut(line.Collector, "/")
			w.lines[tenant] = append(w.lines[tenant], line)
		}
	}
	var status engine.Status
	w.page = fetch(w.t, w.status+"/status")
	if err := json.Unmarshal([]byte(w.page), &status); err != nil {
		w.t.Fatal(err)
	}
	for _, s := range status.Collectors {
		tenant, _, _ := strings.Cut(s.Collector, "/")
		w.states[tenant] = s
	}
	for _, q := range status.Quotas {
		w.quotas[q.Quota[strings.LastIndex(q.Quota, " ")+1:]] = q
	}
}

// until waits until ok of every case. It looks seldom, because it reads the whole log each time.
func (w *refusalWorld) until(what string, ok func(i int) bool) {
	w.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(time.Second) {
		w.read()
		var left []string
		for i, c := range w.cases {
			if !ok(i) {
				left = append(left, fmt.Sprintf("%s (%s)", c.Row, refusalTenant(i)))
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain until %s: %s", what, strings.Join(left, ", "))
		}
	}
}

// happened reports whether it has come to what a case is about.
func (w *refusalWorld) happened(i int) bool {
	switch c := w.cases[i]; {
	case c.Pause > 0:
		return w.throttled(i) != nil
	case c.slow():
		f, s := w.failure(i), w.states[refusalTenant(i)]
		return f != nil && s.NextPull != nil && s.NextPull.After(f.Time)
	case c.Code != "":
		return w.failure(i) != nil
	}
	return w.recovered(i) || w.failure(i) != nil // which it should not
}

func (w *refusalWorld) recovered(i int) bool {
	return w.cases[i].Pause > 0 || slices.ContainsFunc(w.lines[refusalTenant(i)], func(l refusalLine) bool { return l.Msg == "pull ended" })
}

// throttled is what is said of the first pause, nil if there was none.
func (w *refusalWorld) throttled(i int) *refusalLine {
	lines := w.lines[refusalTenant(i)]
	at := slices.IndexFunc(lines, func(l refusalLine) bool { return l.Msg == "throttled" })
	if at < 0 {
		return nil
	}
	return &lines[at]
}

// failure is the end of the first pull that failed, nil if none did.
func (w *refusalWorld) failure(i int) *refusalLine {
	lines := w.lines[refusalTenant(i)]
	at := slices.IndexFunc(lines, func(l refusalLine) bool { return l.Code != "" && strings.HasPrefix(l.Msg, "pull failed") })
	if at < 0 {
		return nil
	}
	return &lines[at]
}

func (w *refusalWorld) judge(t *testing.T, i int) {
	c, tenant := w.cases[i], refusalTenant(i)
	s := w.states[tenant]
	if c.Log != "" && !slices.ContainsFunc(w.lines[tenant], func(l refusalLine) bool { return strings.Contains(l.raw, c.Log) }) {
		t.Errorf("no %q in the log: %v", c.Log, w.lines[tenant])
	}
	end := time.Now()
	if f := w.failure(i); f != nil {
		end = f.Time
		w.judgeFailure(t, i, f, s)
	} else if c.Pause == 0 && s.LastError != "" {
		t.Errorf("got the error %s, want none", s.LastError)
	}
	if c.Pause > 0 {
		pause, err := time.ParseDuration(w.throttled(i).Wait)
		if err != nil || pause < c.Pause || pause > c.Pause*5/4+2*time.Second {
			t.Errorf("the pause is %v, %v; want %v", pause, err, c.Pause)
		}
		if q := w.quotas[tenant]; q.Throttled == 0 || q.PausedUntil == nil && q.Throttled == 1 && time.Since(w.throttled(i).Time) < c.Pause {
			t.Errorf("the status says of the quota %+v, want that it is paused", q)
		}
	}
	tokens, data := w.microsoft.counts(i, end)
	if c.Tokens != nil && tokens != *c.Tokens {
		t.Errorf("got %d requests for tokens, want %d", tokens, *c.Tokens)
	}
	if c.Data != nil && data != *c.Data {
		t.Errorf("got %d requests for data, want %d", data, *c.Data)
	}
}

// judgeFailure looks at how a pull failed, and at what is read about it.
func (w *refusalWorld) judgeFailure(t *testing.T, i int, f *refusalLine, s engine.CollectorStatus) {
	c := w.cases[i]
	if f.Code != c.Code {
		t.Errorf("got code %q: %s, want %q", f.Code, f.Error, c.Code)
	}
	for _, want := range c.Text {
		want = strings.ReplaceAll(want, "$app", refusalApp(i))
		if !strings.Contains(f.Error, want) {
			t.Errorf("no %q in the log: %s", want, f.Error)
		}
		if c.slow() && !strings.Contains(s.LastError, want) {
			t.Errorf("no %q in the status: %s", want, s.LastError)
		}
	}
	if !c.slow() {
		return
	}
	if s.State != "failing" || s.NextPull == nil {
		t.Fatalf("got the state %s, next pull %v, want failing", s.State, s.NextPull)
	}
	if wait := s.NextPull.Sub(f.Time); wait < 5*time.Minute-time.Second || wait > 7*time.Minute {
		t.Errorf("it is tried again after %v, want 5 minutes and up to a quarter more", wait)
	}
}

// judgeRecovery looks at where a collector went on.
func (w *refusalWorld) judgeRecovery(t *testing.T, i int) {
	c := w.cases[i]
	if c.Pause > 0 {
		return
	}
	first, good := w.microsoft.asked(i)
	switch length, was := good.to.Sub(good.from), first.to.Sub(first.from); {
	case c.Gap:
		if !good.from.After(first.from) {
			t.Errorf("it went on at %v, want later than %v", good.from, first.from)
		}
		return
	case !good.from.Equal(first.from):
		t.Errorf("it went on at %v, want %v", good.from, first.from)
	case c.Halved && (length > was/2+time.Second || length < was/2-time.Second):
		t.Errorf("it went on with %v, want half of %v", length, was)
	case !c.Halved && c.At == "data" && c.slow() && length < was:
		t.Errorf("it went on with %v, want %v: less would not have helped", length, was)
	}
}
