package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/cmd/internal/cases"
	"starling/cmd/internal/sim"
	"starling/engine"
)

// recordedPulls is how many pulls are recorded and replayed: few, or as many as the environment says.
func recordedPulls(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("STARLING_RECORDINGS"))
	if err != nil && os.Getenv("STARLING_RECORDINGS") != "" {
		t.Fatal(err)
	}
	switch {
	case n == 0 && raceDetector:
		return 10 // they cost five times as much
	case n == 0:
		return 40
	}
	return n
}

// pullsOfOne is how many pulls a collector makes, one after the other.
const pullsOfOne = 10

// TestRecordedPullsReplayExactly records pulls of both services from a Microsoft that fails in every way, with tokens, quotas and
// sizes of windows that outlive pulls, and requests that go on while the script works. Each is replayed from the file that was
// written: what was asked, the events and the checkpoint are the same, and the events are those of the pull itself.
func TestRecordedPullsReplayExactly(t *testing.T) {
	t.Parallel()
	n := recordedPulls(t)
	seen := &tally{}
	t.Cleanup(func() { t.Log(seen) })
	for i := range (n + pullsOfOne - 1) / pullsOfOne {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			x := &recorded{t: t, tally: seen, r: rand.New(rand.NewPCG(uint64(i), 7))}
			x.run(min(pullsOfOne, n-i*pullsOfOne))
		})
	}
}

// A recorded is a collector of which every pull is recorded.
type recorded struct {
	t      *testing.T
	r      *rand.Rand
	m      *sim.Microsoft
	config *engine.Config
	store  *engine.Store
	log    bytes.Buffer
	cases  [][]byte
	tapes  []*engine.Tape
	tally  *tally
}

// A tally says what recorded pulls went through.
type tally struct {
	mu                                                             sync.Mutex
	pulls, failed, ended, retries, given, beside, queued, requests int
}

func (n *tally) add(t *engine.Tape) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pulls++
	if t.Err != nil {
		n.failed++
	}
	if t.End != nil {
		n.ended++
	}
	n.retries += int(t.Stats.Retries)
	n.given += len(t.Tokens)
	n.requests += len(t.Exchanges)
	for _, e := range t.Exchanges {
		n.beside += min(1, e.Lane)
		n.queued += min(1, len(e.Queued))
	}
}

func (n *tally) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return fmt.Sprintf("%d pulls, %d failed, %d ran out of time, %d requests, %d of them beside the script, %d after a wait in a quota, %d retries, %d tokens of earlier pulls",
		n.pulls, n.failed, n.ended, n.requests, n.beside, n.queued, n.retries, n.given)
}

// options draws how the service behaves.
func (x *recorded) options(seed uint64, now time.Time) sim.Options {
	r := x.r
	o := sim.Options{Seed: seed, PageSize: 20 + r.IntN(80), Gzip: r.IntN(2) == 0, TokenLifetime: time.Duration(5+r.IntN(60)) * time.Minute,
		Latency: time.Duration(r.IntN(2000)) * time.Millisecond, Rows: sim.Rows{From: now.Add(-26 * time.Hour), PerSecond: 0.002 + 0.02*r.Float64(), Delays: sim.UsualDelays(), Evolve: 0.3, EvolveBy: time.Hour}}
	o.Faults = sim.Faults{Share: pick(r, 0, 0.1, 0.3), Kinds: pick(r, nil, []sim.Fault{sim.Reset, sim.Truncated, sim.CutChunks, sim.BadGzip, sim.Cut, sim.Redirect, sim.Hang, sim.CloseEarly, sim.BadUTF8, sim.BOM})}
	o.TokenFaults = sim.Faults{Share: pick(r, 0, 0.2)}
	if r.IntN(2) == 0 {
		o.Throttle = sim.Throttle{Every: 5 + r.IntN(20), Form: pick(r, sim.Seconds, sim.Date, sim.Absent)}
	}
	if r.IntN(3) == 0 {
		o.RevokeEvery = 7
	}
	if r.IntN(10) == 0 {
		o.NoPermission, o.Graph.NoPermission = true, true
	}
	if r.IntN(3) == 0 {
		o.Quota.Requests, o.Graph.Quota.Requests = 30, 30
	}
	if r.IntN(3) == 0 {
		o.Skew = pick(r, -10*time.Minute, 3*time.Minute, time.Hour)
	}
	return o
}

// smallPages has Graph give fewer rows at a time than it is asked for, so that there are many pages.
type smallPages struct {
	next http.RoundTripper
	rows int
}

func (p smallPages) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.RawQuery, "$top=5000") {
		r = r.Clone(r.Context())
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "$top=5000", fmt.Sprintf("$top=%d", p.rows), 1)
	}
	return p.next.RoundTrip(r)
}

func (x *recorded) run(n int) {
	seed := x.r.Uint64()
	service := pick(x.r, sim.GraphService, sim.ReportService)
	synctest.Test(x.t, func(t *testing.T) {
		x.m = sim.NewMicrosoft(x.options(seed, time.Now()))
		dir := t.TempDir()
		file, err := x.m.WriteConfig(dir, "http://127.0.0.1:1", service, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.config, err = engine.LoadConfig(file); err != nil {
			t.Fatal(err)
		}
		if x.store, err = engine.OpenStore("", 1<<30); err != nil {
			t.Fatal(err)
		}
		defer x.store.Close()
		transport, stop := x.m.Transport()
		defer stop()
		x.pulls(smallPages{transport, 20 + x.r.IntN(60)}, n)
	})
	for i, data := range x.cases {
		x.replay(i, data)
	}
}

func (x *recorded) pulls(transport smallPages, n int) {
	t, redactor := x.t, &engine.Redactor{}
	for _, s := range x.config.Secrets {
		redactor.Add(s)
	}
	limits := engine.Limits{HTTPTimeout: 20 * time.Second}.WithDefaults()
	env := &engine.Env{Logger: slog.New(slog.NewTextHandler(&x.log, nil)), Telemetry: engine.NewTelemetry(nil, nil), Transport: transport, Network: x.config.Network,
		Shared: &engine.Shared{}, Redactor: redactor, Limits: limits, Store: x.store}
	cc := x.config.Collectors[0]
	l := scriptLibrary("")
	sources, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	script, err := l.Load(sources, cc.Script, &engine.Load{Settings: cc.Settings, Env: env, Collector: cc.Key()})
	if err != nil {
		t.Fatal(err)
	}
	recorder := &engine.Recorder{Limit: func() int64 { return 64 << 20 }}
	for range n {
		ctx, cancel := context.WithTimeoutCause(context.Background(), pick(x.r, 20*time.Second, 5*time.Minute, time.Hour), errors.New("the pull took too long"))
		tape, err := recorder.Run(engine.NewPull(ctx, env, cc.Key()), script)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		x.tapes = append(x.tapes, tape)
		x.tally.add(tape)
		c, err := cases.Make(context.Background(), tape, cases.Options{Secrets: redactor.Known(), Library: l})
		if err != nil {
			t.Fatal(err)
		}
		for _, note := range c.Notes {
			if !strings.HasPrefix(note, "the events have masks") { // of the tenant's id
				t.Errorf("pull %d: %s", len(x.cases), note)
			}
		}
		x.cases = append(x.cases, c.Bytes())
		time.Sleep(time.Duration(1+x.r.IntN(40)) * time.Minute)
	}
}

// replay plays a case as starling replay does.
func (x *recorded) replay(i int, data []byte) {
	c, err := cases.Read(data)
	if err != nil {
		x.t.Fatal(err)
	}
	if got := (&cases.Case{Tape: c.Tape, Notes: c.Notes, Result: c.Result}).Bytes(); sha256.Sum256(got) != sha256.Sum256(data) {
		x.t.Errorf("pull %d: read and written again it is another file", i)
	}
	l := scriptLibrary("")
	sources, err := l.Read()
	if err != nil {
		x.t.Fatal(err)
	}
	checked, err := cases.Check(context.Background(), c, l, sources, "")
	if err != nil {
		x.t.Fatal(err)
	}
	for _, d := range checked.Differences {
		x.t.Errorf("pull %d: %s: %s\n%.4000s", i, d.In, d.Says, d.Diff)
	}
	// The tape itself has nothing masked: it gives what the pull gave.
	tape := x.tapes[i]
	raw, err := engine.Replay{Library: l, Sources: sources, Tape: tape}.Run(context.Background())
	if err != nil {
		x.t.Fatal(err)
	}
	if !bytes.Equal(tape.Sum, raw.Sum) || len(raw.Unasked) > 0 || fmt.Sprint(raw.After) != fmt.Sprint(tape.After) {
		for _, a := range raw.Asked {
			if a.Exchange < 0 {
				x.t.Logf("missing: %d %s %s %s", a.Lane, a.Method, a.URL, a.Body)
			}
		}
		for _, i := range raw.Unasked[:min(3, len(raw.Unasked))] {
			e := tape.Exchanges[i]
			x.t.Logf("unasked %d: %d %s %s %s %v", i, e.Lane, e.Method, e.URL, e.Body, e.Fault)
		}
		x.t.Logf("err %v, was %v", raw.Err, tape.Err)
		x.t.Errorf("pull %d: it gave %v %s, its tape %v %s; %d requests were not made", i, tape.Stats, tape.After, raw.Stats, raw.After, len(raw.Unasked))
	}
}
