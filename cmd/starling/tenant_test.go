package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"starling/builtins"
	"starling/cmd/internal/sim"
	"starling/engine"
	"starling/scripts"
)

const (
	tenantKey     = "office365/1/graph"
	tenantScript  = "office365_exchange_message_graph_service.star"
	tenantTimeout = time.Hour // of a pull
	answerTakes   = 100 * time.Millisecond
	pageTakes     = 3 * time.Second // more, for a full page
)

// A tenant is a Microsoft Graph and a collector of its message trace, in a time that goes by only while
// they wait for each other. Its pages may be smaller than those of the real one, so that fewer rows make
// as many requests.
type tenant struct {
	t        *testing.T
	m        *sim.Microsoft
	pageRows int
	period   time.Duration // of pulls
	settings map[string]any
	net      http.RoundTripper
	dir      string
	env      *engine.Env
	script   *engine.Script
	rates    []engine.Rate

	mu     sync.Mutex
	now    time.Time
	kill   func() // ends the pull at once
	killAt int    // requests until it is called; 0: never
	chunk  uint64
	sent   map[string]int       // by identity and status
	first  map[string]time.Time // by identity: when it was committed
}

func newTenant(t *testing.T, o sim.Options, pageRows int, now time.Time, settings map[string]any) *tenant {
	t.Helper()
	c := &tenant{t: t, pageRows: pageRows, period: time.Minute, settings: settings, dir: t.TempDir(), now: now, sent: map[string]int{}, first: map[string]time.Time{}}
	o.Now, o.KeepLog, o.Graph.Plain = c.clock, true, true
	c.m = sim.NewMicrosoft(o)
	transport, stop := c.m.Transport()
	t.Cleanup(stop)
	c.net = transport
	o = c.m.Options()
	settings["tenant_id"], settings["client_id"], settings["client_secret"] = o.TenantID, o.ClientID, o.ClientSecret
	c.start()
	t.Cleanup(func() { c.env.Store.Close() })
	return c
}

func (c *tenant) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// sleep lets time pass. What was committed before it is noted with the time at which it was.
func (c *tenant) sleep(d time.Duration) {
	c.take()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// RoundTrip lets time pass: more for a page with more rows.
func (c *tenant) RoundTrip(r *http.Request) (*http.Response, error) {
	c.sleep(answerTakes)
	resp, err := c.net.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	rows := bytes.Count(body, []byte(`"receivedDateTime"`))
	c.sleep(pageTakes * time.Duration(rows) / time.Duration(c.pageRows))
	if c.killAt > 0 {
		if c.killAt--; c.killAt == 0 {
			c.kill()
			return nil, errTrialKilled
		}
	}
	return resp, nil
}

// start is what a start of the program does.
func (c *tenant) start() {
	c.t.Helper()
	store, err := engine.OpenStore(c.dir, 4<<30)
	if err != nil {
		c.t.Fatal(err)
	}
	c.env = &engine.Env{Logger: slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Telemetry: engine.NewTelemetry(nil, nil), Transport: c,
		Shared: &engine.Shared{}, Redactor: &engine.Redactor{}, Limits: engine.Limits{}.WithDefaults(), Store: store, Clock: &engine.Clock{Now: c.clock, Wait: c.sleep}}
	library := &engine.Library{Builtin: c.scripts(), Predeclared: builtins.All()}
	sources, err := library.Read()
	if err == nil {
		load := &engine.Load{Settings: engine.NewSettings(c.settings), Env: c.env, Collector: tenantKey}
		c.script, err = library.Load(sources, tenantScript, load)
		c.rates = load.Rates
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// scripts are the built-in ones with pages of the tenant's size.
func (c *tenant) scripts() fs.FS {
	files := fstest.MapFS{}
	err := fs.WalkDir(scripts.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(scripts.FS(), path)
		if path == tenantScript {
			text = bytes.ReplaceAll(text, []byte("5000"), []byte(strconv.Itoa(c.pageRows)))
		}
		files[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return files
}

// A deadline is a context whose end is in the tenant's time.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

// pull runs one pull, and waits until it is time for the next one.
func (c *tenant) pull() {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	began := c.clock()
	c.kill = cancel
	_, err := c.script.Run(engine.NewPull(deadline{ctx, began.Add(tenantTimeout)}, c.env, tenantKey))
	if err != nil && ctx.Err() == nil {
		c.t.Fatalf("at %v: %v", c.clock(), err)
	}
	c.sleep(max(0, began.Add(c.period).Sub(c.clock())))
}

// pullUntil pulls until a time.
func (c *tenant) pullUntil(at time.Time) {
	c.t.Helper()
	for c.clock().Before(at) {
		c.pull()
	}
}

// take notes what was committed since the last time.
func (c *tenant) take() {
	events, next, err := c.env.Store.Kept(c.chunk)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.chunk = next
	now := c.clock()
	for _, e := range events {
		var body struct{ Status string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			c.t.Errorf("event %s: %v", e.Body, err)
		}
		id := sim.TraceIdentity(e.Body)
		c.sent[id+"|"+body.Status]++
		if _, known := c.first[id]; !known {
			c.first[id] = now
		}
	}
}

func (c *tenant) report() engine.CoverageReport {
	c.t.Helper()
	r, err := c.env.Store.Report(tenantKey, time.Time{}, time.Time{})
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// mostPages is the most pages that a window had.
func (c *tenant) mostPages() (most int) {
	pages := 0
	for _, r := range c.m.Log() {
		if r.API != "graph" {
			continue
		}
		if !r.Link {
			pages = 0
		}
		pages++
		most = max(most, pages)
	}
	return most
}

// A lag is how long rows took from when they could be seen to their commit.
type lag struct {
	rows            int
	median, longest time.Duration
}

// lag is that of the rows which could be seen first between two times, and appeared at most late after
// they were received.
func (c *tenant) lag(from, to time.Time, late time.Duration) lag {
	c.t.Helper()
	var took []time.Duration
	for row := range c.m.RowsBy(from.Add(-late), to, to) {
		if row.Visible.Before(from) || row.Visible.Sub(row.Received) > late {
			continue
		}
		at, ok := c.first[row.Identity()]
		if !ok {
			c.t.Fatalf("a row of %v, visible %v, is not there at %v", row.Received, row.Visible, c.clock())
		}
		took = append(took, at.Sub(row.Visible))
	}
	if len(took) == 0 {
		c.t.Fatalf("no row appears between %v and %v", from, to)
	}
	slices.Sort(took)
	return lag{len(took), took[len(took)/2], took[len(took)-1]}
}

func (l lag) String() string {
	return fmt.Sprintf("%v, at most %v, of %d rows", l.median.Round(time.Second), l.longest.Round(time.Second), l.rows)
}
