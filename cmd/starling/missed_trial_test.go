package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"starling/builtins"
	"starling/cmd/internal/sim"
	"starling/engine"
	"starling/scripts"
)

// A trial is one schedule: a Microsoft, a collector, and a clock that both go by.
type trial struct {
	seed   int64
	r      *rand.Rand
	graph  bool
	fresh  bool
	policy string // status_changes
	settle time.Duration
	keeps  time.Duration // how long the service keeps rows

	begin, end time.Time // of what is drawn
	m          *sim.Microsoft
	env        *engine.Env
	store      *engine.Store
	sources    *engine.Sources
	library    *engine.Library
	script     *engine.Script
	key        string
	tenant     string

	mu   sync.Mutex
	now  time.Time
	kill func() // ends the pull at once
	left int    // requests until it is called; 0: never

	pageRows int
	chunk    uint64
	sent     map[string][]string // statuses by identity
	cursors  map[string]time.Time
	counts   trialCounts
}

func (tr *trial) clock() time.Time {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.now
}

func (tr *trial) sleep(d time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.now = tr.now.Add(d)
}

// RoundTrip asks for small pages, lets time pass, and kills the collector when it is time to.
type trialTransport struct {
	tr   *trial
	next http.RoundTripper
}

var errTrialKilled = errors.New("killed")

func (t trialTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	tr := t.tr
	tr.mu.Lock()
	tr.now = tr.now.Add(200 * time.Millisecond)
	if tr.left > 0 {
		if tr.left--; tr.left == 0 {
			tr.kill()
			tr.mu.Unlock()
			return nil, errTrialKilled
		}
	}
	tr.mu.Unlock()
	if strings.Contains(r.URL.RawQuery, "$top=5000") {
		r = r.Clone(r.Context())
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "$top=5000", fmt.Sprintf("$top=%d", tr.pageRows), 1)
	}
	return t.next.RoundTrip(r)
}

// runTrial runs one schedule in store and says what is wrong.
func runTrial(ctx context.Context, store *engine.Store, seed int64) (counts trialCounts, err error) {
	tr := &trial{seed: seed, r: rand.New(rand.NewPCG(uint64(seed), 7)), store: store, sent: map[string][]string{}, cursors: map[string]time.Time{}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n(%s)", err, tr)
		}
	}()
	tr.draw()
	if _, tr.chunk, err = store.Kept(1 << 62); err != nil {
		return tr.counts, err
	}
	transport, stop := tr.m.Transport()
	defer stop()
	limits := engine.Limits{}.WithDefaults()
	tr.env = &engine.Env{Logger: slog.New(slog.DiscardHandler), Telemetry: engine.NewTelemetry(nil, nil), Transport: trialTransport{tr, transport},
		Shared: &engine.Shared{}, Redactor: &engine.Redactor{}, Limits: limits, Store: store, Clock: &engine.Clock{Now: tr.clock, Wait: tr.sleep}}
	tr.library = &engine.Library{Builtin: scripts.FS(), Predeclared: builtins.All()}
	if tr.sources, err = tr.library.Read(); err != nil {
		return tr.counts, err
	}
	if err = tr.load(); err != nil {
		return tr.counts, err
	}
	if err = tr.live(ctx); err == nil {
		err = tr.settleAll(ctx)
	}
	if err == nil {
		err = tr.judge()
	}
	return tr.counts, err
}

func (tr *trial) String() string {
	api, mode := "report", "delayed"
	if tr.graph {
		api = "graph"
	}
	if tr.fresh {
		mode = "fresh"
	}
	return fmt.Sprintf("%s, %s, status_changes %s, settles after %v, %s to %s, now %s, window %s", api, mode, tr.policy, tr.settle,
		tr.begin.Format(time.RFC3339), tr.end.Format(time.RFC3339), tr.clock().Format(time.RFC3339), tr.cursors["window"].Format(time.RFC3339))
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// draw decides about everything that does not happen on the way.
func (tr *trial) draw() {
	r := tr.r
	tr.graph, tr.fresh = r.IntN(2) == 0, r.IntN(2) == 0
	tr.policy = pick(r, "all", "all", "first", "terminal_only")
	tr.settle = pick(r, time.Hour, 2*time.Hour, 4*time.Hour, 25*time.Hour)
	tr.keeps = 10 * 24 * time.Hour
	if tr.graph {
		tr.keeps = 90 * 24 * time.Hour
	}
	tr.pageRows = pick(r, 3, 10, 50, 200)
	tr.tenant = fmt.Sprintf("tenant-%d.example.com", tr.seed)
	tr.key = fmt.Sprintf("in/%d/trace", tr.seed)
	tr.begin = time.Date(2026, 11, 3, r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
	tr.end = tr.begin.Add(time.Duration(2+r.IntN(6)) * time.Hour)
	tr.now = tr.begin
	short := tr.settle - time.Second
	delays := []sim.Delay{{Share: 0.7, Min: time.Minute, Max: 10 * time.Minute}, {Share: 0.2, Min: 10 * time.Minute, Max: short}, {Share: 0.05, Min: short, Max: short},
		{Share: 0.02, Min: tr.settle + time.Second, Max: tr.settle + time.Second}}
	rows := float64(pick(r, 10, 100, 400))
	m := sim.Options{Seed: uint64(tr.seed), TenantID: tr.tenant, Now: tr.clock, KeepLog: true, PageSize: tr.pageRows,
		Rows: sim.Rows{From: tr.begin.Add(-6 * time.Hour), PerSecond: rows / (12 * 3600), Delays: delays, Recipients: pick(r, 1, 3, 8), Quantum: pick(r, 0, 0, time.Second, 10*time.Minute),
			Evolve: pick(r, 0, 0.3, 0.8), EvolveBy: pick(r, time.Minute, time.Hour)},
		Order: pick(r, sim.NewestFirst, sim.OldestFirst, sim.Shuffled), SkipToken: pick(r, "key", "offset"), Links: pick(r, "", "relative", "absolute"),
		TrailingEmpty: r.IntN(3) == 0, Zone: r.IntN(2) == 0, RawUnicode: r.IntN(2) == 0, Gzip: r.IntN(2) == 0, TokenLifetime: pick(r, 10*time.Minute, time.Hour)}
	m.Graph = sim.Graph{Paging: pick(r, "cursor", "offset", "snapshot"), EmptyPage: pick(r, 0, 2, 5), LinkFirst: r.IntN(2) == 0, Plain: r.IntN(2) == 0}
	m.Graph.Quota.Form = pick(r, sim.Seconds, sim.Date, sim.Absent, sim.Zero)
	m.Graph.Quota.Others = pick(r, 0, 0, 30)
	tr.m = sim.NewMicrosoft(m)
}

// load makes the script, as a start of the program does.
func (tr *trial) load() (err error) {
	o := tr.m.Options()
	settings := map[string]any{"tenant_id": tr.tenant, "client_id": o.ClientID, "client_secret": o.ClientSecret, "status_changes": tr.policy,
		"override_delay_in_seconds": int(tr.settle / time.Second), "max_historic_date_cutoff_days_back": 1, "mode": "delayed"}
	if tr.fresh {
		settings["mode"] = "fresh"
	}
	name := "office365_exchange_message_service.star"
	if tr.graph {
		name = "office365_exchange_message_graph_service.star"
	}
	tr.env.Shared = &engine.Shared{}
	tr.script, err = tr.library.Load(tr.sources, name, &engine.Load{Settings: engine.NewSettings(settings), Env: tr.env, Collector: tr.key})
	return err
}

// faultKinds are those that take no time of the machine's clock.
var faultKinds = []sim.Fault{sim.ServerError, sim.BadGateway, sim.Unavailable, sim.GatewayTimeout, sim.Reset, sim.ResetEarly, sim.CloseEarly, sim.Truncated,
	sim.CutChunks, sim.Cut, sim.WebPage, sim.Redirect, sim.BadGzip, sim.TwiceKeys, sim.BOM, sim.BadUTF8}

// live runs pulls while things happen.
func (tr *trial) live(ctx context.Context) error {
	r := tr.r
	period := pick(r, 5*time.Minute, 10*time.Minute, 20*time.Minute)
	trouble := pick(r, 0, 0.02, 0.1)
	kills := pick(r, 0, 0.02, 0.1)
	pauses := r.IntN(3)
	tr.m.Change(func(o *sim.Options) {
		o.Faults = sim.Faults{Share: trouble, Kinds: faultKinds}
		o.TokenFaults = sim.Faults{Share: trouble, Kinds: faultKinds}
		o.RevokeEvery = pick(r, 0, 0, 7)
		o.Throttle = sim.Throttle{Every: pick(r, 0, 0, 9), Pause: 30 * time.Second, Form: pick(r, sim.Seconds, sim.Date, sim.Absent)}
	})
	for tr.clock().Before(tr.end) {
		if r.Float64() < kills {
			tr.left = 1 + r.IntN(12)
		}
		killed, err := tr.pull(ctx)
		if err != nil {
			return err
		}
		if killed {
			tr.counts.kills++
			if err := tr.load(); err != nil {
				return err
			}
		}
		switch {
		case pauses > 0 && r.IntN(25) == 0:
			pauses--
			pause := time.Duration(r.Int64N(int64(pick(r, 2*time.Hour, 30*time.Hour, 12*24*time.Hour))))
			tr.end = tr.end.Add(pause)
			tr.sleep(pause)
		case r.IntN(30) == 0:
			tr.m.RevokeTokens()
		}
		tr.sleep(period + time.Duration(r.IntN(20))*time.Second)
	}
	return nil
}

// settleAll goes on in peace until everything up to the end is settled.
func (tr *trial) settleAll(ctx context.Context) error {
	tr.m.Change(func(o *sim.Options) {
		o.Faults, o.TokenFaults, o.Throttle, o.RevokeEvery, o.Graph.Quota.Others = sim.Faults{}, sim.Faults{}, sim.Throttle{}, 0, 0
	})
	tr.sleep(max(0, tr.end.Add(tr.settle+20*time.Minute).Sub(tr.clock())))
	for range 60 {
		if _, err := tr.pull(ctx); err != nil {
			return err
		}
		if !tr.cursors["window"].Before(tr.end) {
			return nil
		}
		tr.sleep(15 * time.Minute)
	}
	return fmt.Errorf("in peace, it comes only to %v", tr.cursors["window"])
}

// pull runs one pull and takes in what it committed.
func (tr *trial) pull(ctx context.Context) (killed bool, err error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tr.mu.Lock()
	tr.kill = func() { cancel(errTrialKilled) }
	tr.mu.Unlock()
	p := engine.NewPull(ctx, tr.env, tr.key)
	_, perr := tr.script.Run(p)
	killed = ctx.Err() != nil
	tr.left = 0
	if perr != nil {
		tr.counts.failedPulls++
		if code := engine.CodeOf(perr, engine.CodeScript); code == engine.CodeScript || code == engine.CodeStore {
			return killed, perr
		}
	}
	return killed, errors.Join(tr.take(), tr.checkCursors())
}

// take reads what was committed since the last time.
func (tr *trial) take() error {
	events, next, err := tr.store.Kept(tr.chunk)
	if err != nil {
		return err
	}
	tr.chunk = next
	for _, e := range events {
		var body struct{ Status string }
		id := sim.TraceIdentity(e.Body)
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return fmt.Errorf("event %s: %w", e.Body, err)
		}
		tr.sent[id] = append(tr.sent[id], body.Status)
		tr.counts.events++
	}
	return nil
}

// checkCursors looks at the cursors after a pull: they never move back, and what is settled is complete.
func (tr *trial) checkCursors() error {
	all, err := tr.store.Cursors()
	if err != nil {
		return err
	}
	for _, name := range []string{"window", "fresh"} {
		text, ok := all[tr.key][name]
		if !ok {
			continue
		}
		var at time.Time
		if err := json.Unmarshal(text, &at); err != nil {
			return err
		}
		was := tr.cursors[name]
		if at.Before(was) {
			return fmt.Errorf("the cursor %s moved back from %v to %v", name, was, at)
		}
		tr.cursors[name] = at
		if name == "window" && at.After(was) && !was.IsZero() {
			if err := tr.checkSettled(was, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSettled holds a range before the cursor window against the truth: what is not in a gap is complete.
func (tr *trial) checkSettled(from, to time.Time) error {
	if to.After(tr.clock().Add(-tr.settle)) {
		return fmt.Errorf("settled up to %v at %v", to, tr.clock())
	}
	c, err := tr.store.Coverage(tr.key, from, to)
	if err != nil {
		return err
	}
	at := from
	for _, s := range c.Spans {
		if !s.From.Equal(at) {
			return fmt.Errorf("the ledger says nothing about %v to %v, which is before the cursor", at, s.From)
		}
		at = s.To
		switch s.State {
		case engine.SpanSettled:
			if err := tr.complete(s.From, s.To); err != nil {
				return err
			}
		case engine.SpanGap:
			tr.counts.gaps++
			// It is a gap only if it was too old, except for the minute that is kept as a margin.
			if oldest := tr.clock().Add(-tr.keeps + 2*time.Minute); s.To.After(oldest) {
				return fmt.Errorf("a gap up to %v, although the service keeps what is after %v", s.To, oldest)
			}
		default:
			return fmt.Errorf("%v to %v is before the cursor and only %s", s.From, s.To, s.State)
		}
	}
	if !at.Equal(to) {
		return fmt.Errorf("the ledger says nothing about %v to %v, which is before the cursor", at, to)
	}
	return nil
}

// complete reports a row of a range that was to be seen before it settled and was not sent.
func (tr *trial) complete(from, to time.Time) error {
	for row := range tr.m.RowsBy(from, to, tr.clock()) {
		tr.counts.rows++
		if row.Visible.Sub(row.Received) > 15*time.Minute {
			tr.counts.late++
		}
		if row.Visible.After(row.Received.Add(tr.settle)) {
			continue
		}
		if len(tr.sent[row.Identity()]) == 0 {
			return fmt.Errorf("%v to %v is settled without the row of %v, visible %v: %s\n%s", from, to, row.Received, row.Visible, row.Identity(), tr.asked(row.Received))
		}
	}
	return nil
}

// asked lists the requests for a moment.
func (tr *trial) asked(at time.Time) string {
	var b strings.Builder
	for _, r := range tr.m.Log() {
		if !r.From.After(at) && !r.To.Before(at) {
			fmt.Fprintf(&b, "%+v\n", r)
		}
	}
	return b.String()
}

// judge looks at all events at the end: each belongs to a row, and comes as often as the policy says.
func (tr *trial) judge() error {
	rows := map[string]sim.Row{}
	for row := range tr.m.RowsBy(tr.begin.Add(-48*time.Hour), tr.clock(), tr.clock()) {
		r := *row
		r.Changes = append([]sim.Change{}, row.Changes...)
		rows[row.Identity()] = r
	}
	for id, statuses := range tr.sent {
		row, ok := rows[id]
		if !ok {
			return fmt.Errorf("an event of no row: %s", id)
		}
		if err := tr.judgeRow(&row, statuses); err != nil {
			return fmt.Errorf("the row of %v, visible %v, was sent with %q: %w", row.Received, row.Visible, statuses, err)
		}
	}
	o := tr.m.Options()
	c := tr.m.Counters()
	tr.counts.requests, tr.counts.throttled, tr.counts.faults = c.Requests, c.Throttled, c.Faults
	if n := sim.Busiest(tr.m.Log(), "graph", 5*time.Minute); n > 90 && o.Graph.Quota.Others == 0 {
		return fmt.Errorf("%d requests in 5 minutes", n)
	}
	return nil
}

func (tr *trial) judgeRow(row *sim.Row, statuses []string) error {
	had := map[string]bool{}
	for _, c := range row.Seen(tr.clock()) {
		had[c.Status] = true
		if tr.graph && (c.Status == "" || c.Status == "None") { // Graph has no word for it
			had["unknownFutureValue"], had["UnknownFutureValue"] = true, true
		}
	}
	pending := func(status string) bool { return status == "GettingStatus" || status == "Pending" }
	seen := map[string]bool{}
	for i, status := range statuses {
		switch {
		case !had[status]:
			return fmt.Errorf("it never had the status %s", status)
		case seen[status]:
			return fmt.Errorf("it came twice with %s", status)
		case tr.policy == "first" && i > 0:
			return errors.New("once was enough")
		case tr.policy == "terminal_only" && pending(status) && i > 0:
			return errors.New("it was pending after it was not")
		}
		seen[status] = true
	}
	if len(statuses) > 1 {
		tr.counts.changed++
	}
	return nil
}
