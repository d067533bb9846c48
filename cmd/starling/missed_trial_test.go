package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
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

// trialOutput is the output of trials; nothing delivers to it, a trial says itself what it has.
const trialOutput = "out"

// A trial is one schedule: a Microsoft, a collector, and a time that goes by for both. Nothing in it goes by
// the clock of the machine.
type trial struct {
	trialPlan
	seed uint64
	r    *rand.Rand

	m       *sim.Microsoft
	rows    []sim.Row // all that can matter, by the time they were received
	env     *engine.Env
	store   *engine.Store
	sources *engine.Sources
	library *engine.Library
	script  *engine.Script
	key     string
	tenant  string

	mu       sync.Mutex
	now      time.Time     // the true time, which the service has
	offset   time.Duration // how far the collector's clock is ahead
	stop     func(error)   // ends the pull
	deadline time.Time     // of the pull, by the true time
	killIn   int           // requests until the collector is killed; 0: never
	setIn    int           // requests until its clock is set

	chunk     uint64
	sent      map[string][]string // statuses by identity
	batches   []batch             // what the output does not have yet
	delivered map[string]bool
	told      []bool // of rows: that their time is complete was said and is right
	looked    string // what there was when that was last looked at
	cursors   map[string]time.Time
	counts    trialCounts
	digest    hash.Hash
}

// A batch is what one pull committed.
type batch struct {
	next uint64 // the chunk after it
	ids  []string
}

func (tr *trial) clock() time.Time {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.now
}

// local is what the collector's clock shows.
func (tr *trial) local() time.Time {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.now.Add(tr.offset)
}

func (tr *trial) sleep(d time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.pass(d)
}

// pass lets time go by, with mu held, and ends a pull whose time is up.
func (tr *trial) pass(d time.Duration) {
	tr.now = tr.now.Add(d)
	if tr.stop != nil && !tr.deadline.IsZero() && tr.now.After(tr.deadline) {
		tr.stop(context.DeadlineExceeded)
	}
}

// setClock sets the collector's clock wrong, or right.
func (tr *trial) setClock() {
	before := tr.offset
	tr.offset = pick(tr.r, 0, pick(tr.r, 20*time.Second, 2*time.Minute, 10*time.Minute, time.Hour, 3*time.Hour, 26*time.Hour)*time.Duration(1-2*tr.r.IntN(2)))
	switch {
	case tr.offset == before:
		return
	case tr.offset > 0:
		tr.counts["clock ahead"]++
	case tr.offset < 0:
		tr.counts["clock behind"]++
	default:
		tr.counts["clock put right"]++
	}
}

var errTrialKilled = errors.New("killed")

// trialTransport asks for small pages, lets time pass, kills the collector and sets its clock.
type trialTransport struct {
	tr   *trial
	next http.RoundTripper
}

func (t trialTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	tr := t.tr
	if err := tr.request(); err != nil {
		return nil, err
	}
	if strings.Contains(r.URL.RawQuery, "$top=5000") {
		r = r.Clone(r.Context())
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "$top=5000", fmt.Sprintf("$top=%d", tr.pageRows), 1)
	}
	return t.next.RoundTrip(r)
}

// request is what happens while a request is on its way; an error ends the pull.
func (tr *trial) request() error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.killIn > 0 {
		if tr.killIn--; tr.killIn == 0 {
			tr.stop(errTrialKilled)
			return errTrialKilled
		}
	}
	if tr.setIn > 0 {
		if tr.setIn--; tr.setIn == 0 {
			tr.setClock()
		}
	}
	tr.pass(tr.latency)
	if tr.now.After(tr.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// newTrial prepares the schedule of a seed.
func newTrial(store *engine.Store, seed uint64) (tr *trial, done func(), err error) {
	tr = &trial{seed: seed, r: rand.New(rand.NewPCG(seed, 8)), store: store, sent: map[string][]string{}, delivered: map[string]bool{},
		cursors: map[string]time.Time{}, counts: trialCounts{}, digest: sha256.New()}
	tr.tenant, tr.key = fmt.Sprintf("tenant-%d.example.com", seed), fmt.Sprintf("in/%d/trace", seed)
	o := tr.draw()
	tr.now = tr.begin
	tr.listRows(o)
	o.Rows = sim.Rows{List: tr.rows}
	tr.m = sim.NewMicrosoft(o)
	transport, stop := tr.m.Transport()
	transport.DisableKeepAlives = true // whether one is used again would be chance
	limits := engine.Limits{ResponseBytes: tr.answerBytes, StagedBytes: tr.stagedBytes}.WithDefaults()
	tr.env = &engine.Env{Logger: slog.New(slog.DiscardHandler), Telemetry: engine.NewTelemetry(nil, nil), Transport: trialTransport{tr, transport},
		Shared: &engine.Shared{}, Redactor: &engine.Redactor{}, Limits: limits, Store: store,
		Clock: &engine.Clock{Now: tr.local, Measure: tr.clock, Wait: tr.sleep}}
	tr.library = &engine.Library{Builtin: scripts.FS(), Predeclared: builtins.All()}
	if _, tr.chunk, err = store.Kept(1 << 62); err == nil {
		err = store.Acknowledge(trialOutput, tr.chunk)
	}
	if err == nil {
		tr.sources, err = tr.library.Read()
	}
	return tr, stop, err
}

// runTrial runs one schedule in store and says what is wrong. The digest is of all that came of it.
func runTrial(ctx context.Context, store *engine.Store, seed uint64) (counts trialCounts, digest string, err error) {
	tr, done, err := newTrial(store, seed)
	defer done()
	for _, step := range []func(context.Context) error{tr.restart, tr.live, tr.settleAll, tr.judge} {
		if err == nil {
			err = step(ctx)
		}
	}
	if err != nil {
		err = fmt.Errorf("%w\n(%s)", err, tr)
	}
	return tr.counts, fmt.Sprintf("%x", tr.digest.Sum(nil)), err
}

// restart makes the script, as a start of the program does; nothing is left of what was in memory.
func (tr *trial) restart(context.Context) (err error) {
	o := tr.m.Options()
	settings := map[string]any{"tenant_id": tr.tenant, "client_id": o.ClientID, "client_secret": o.ClientSecret, "status_changes": tr.policy,
		"override_delay_in_seconds": int(tr.settle / time.Second), "max_historic_date_cutoff_days_back": 1, "mode": tr.mode()}
	name := "office365_exchange_message_service.star"
	if tr.graph {
		name = "office365_exchange_message_graph_service.star"
		settings["requests_per_5_minutes"] = tr.quota
	} else {
		settings["requests_per_second"] = tr.quota
	}
	tr.env.Shared = &engine.Shared{}
	tr.script, err = tr.library.Load(tr.sources, name, &engine.Load{Settings: engine.NewSettings(settings), Env: tr.env, Collector: tr.key})
	return err
}

// live runs pulls while things happen.
func (tr *trial) live(ctx context.Context) error {
	for tr.clock().Before(tr.end) {
		if tr.killIn == 0 && tr.r.Float64() < tr.kills {
			tr.killIn = 1 + tr.r.IntN(6)
		}
		if tr.setIn == 0 && tr.r.Float64() < tr.clockSet {
			tr.setIn = 1 + tr.r.IntN(6)
		}
		if err := tr.pull(ctx); err != nil {
			return err
		}
		if err := tr.between(ctx); err != nil {
			return err
		}
		tr.sleep(tr.period + time.Duration(tr.r.IntN(20))*time.Second)
	}
	return nil
}

// between is what happens between two pulls.
func (tr *trial) between(ctx context.Context) error {
	switch n := tr.r.IntN(40); {
	case len(tr.pauses) > 0 && n < 3:
		tr.sleep(tr.pauses[0])
		tr.counts["downtime"]++
		if tr.pauses[0] > tr.keeps {
			tr.counts["downtime past the retention"]++
		}
		tr.pauses = tr.pauses[1:]
		return tr.restart(ctx)
	case n < 5:
		tr.m.RevokeTokens()
		tr.counts["revocation"]++
	case n < 6:
		tr.counts["restart"]++
		return tr.restart(ctx)
	}
	return nil
}

// settleAll goes on in peace until everything up to the end is settled.
func (tr *trial) settleAll(ctx context.Context) error {
	tr.m.Change(func(o *sim.Options) {
		o.Faults, o.TokenFaults, o.Throttle, o.RevokeEvery, o.Graph.Quota.Others, o.Overload = sim.Faults{}, sim.Faults{}, sim.Throttle{}, 0, 0, sim.Overload{}
	})
	tr.killIn, tr.setIn = 0, 0
	tr.sleep(max(0, tr.end.Add(tr.settle+20*time.Minute).Sub(tr.clock())))
	for idle := 0; idle < 120; idle++ {
		was := tr.cursors["window"]
		if err := tr.pull(ctx); err != nil {
			return err
		}
		if !tr.cursors["window"].Before(tr.end) && len(tr.batches) == 0 {
			return nil
		}
		if tr.cursors["window"].After(was) { // an API that takes its time is no fault
			idle = 0
		}
		tr.sleep(15 * time.Minute)
		if idle > 80 { // where its clock is behind, the collector asks for nothing for so long
			tr.sleep(2 * time.Hour)
		}
	}
	return fmt.Errorf("in peace, it comes only to %v", tr.cursors["window"])
}

// pull runs one pull, and looks at what it committed and what is said about it.
func (tr *trial) pull(parent context.Context) error {
	if parent.Err() != nil {
		return parent.Err()
	}
	tr.mu.Lock()
	tr.deadline = tr.now.Add(tr.pullTime)
	ctx := newTrialContext(parent, tr.deadline)
	tr.stop = ctx.end
	tr.mu.Unlock()
	_, perr := tr.script.Run(engine.NewPull(ctx, tr.env, tr.key))
	tr.mu.Lock()
	tr.stop = nil
	tr.mu.Unlock()
	cause, ended := ctx.cause, ctx.Err()
	ctx.end(context.Canceled)
	if perr != nil {
		code := engine.CodeOf(perr, engine.CodeScript)
		if code == engine.CodeScript && cause != nil && (strings.Contains(perr.Error(), ended.Error()) || strings.Contains(perr.Error(), "the script took longer than it may")) {
			code = engine.CodeCanceled // the pull ended while the script had a page, and the next was asked for
		}
		tr.counts["pull failed: "+string(code)]++
		if code == engine.CodeScript || code == engine.CodeStore {
			return perr
		}
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		tr.counts["pull out of time"]++
	}
	if err := errors.Join(tr.take(), tr.checkCursors()); err != nil {
		return err
	}
	if err := errors.Join(tr.deliver(), tr.checkTold()); err != nil {
		return err
	}
	if errors.Is(cause, errTrialKilled) {
		tr.counts["kill"]++
		return tr.restart(parent)
	}
	return nil
}
