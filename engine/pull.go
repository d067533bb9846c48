package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.starlark.net/starlark"
)

// Env is what every pull of a process has in common.
type Env struct {
	Logger    *slog.Logger
	Telemetry *Telemetry
	// Transport sends HTTP requests; redirects are not its business.
	Transport http.RoundTripper
	// Network says where they may go; nil forbids nothing.
	Network  *Network
	Identity Identity
	Shared   *Shared
	Redactor *Redactor
	Limits   Limits
	Store    *Store
	Internal *InternalEvents
	// Clock is what pulls go by; nil for that of the machine.
	Clock *Clock
	// Recorder gets the tapes of the collectors' pulls; nil for none.
	Recorder *Recorder
	// Offline says that a recording is played: there are no files to read, and what would be signed is not.
	Offline bool
	// Observe is told of every event; nil if nobody wants to know.
	Observe Observer
}

// A Clock is a time that a test or a simulation sets.
type Clock struct {
	Now func() time.Time
	// Wait is called instead of waiting.
	Wait func(time.Duration)
	// Measure is what stretches of time are measured with; it goes on evenly when Now is set to another
	// time. Nil means Now.
	Measure func() time.Time
}

// An Identity says how the platform is asked for tokens of this machine itself. Scripts do not choose
// where such requests go.
type Identity struct {
	// Transport reaches metadata services, which scripts may not, and no proxy.
	Transport http.RoundTripper
	// Endpoint and Header are IDENTITY_ENDPOINT and IDENTITY_HEADER of the environment, where Azure's App
	// Service and its like set them.
	Endpoint string
	Header   Secret
}

// A Pull is one call of a script's pull function: its context, its limits, and what it has staged.
// Builtins reach it through PullOf. Its methods are for the goroutine that runs the script, except
// Context, Logger, Env and Now, which are for any; what goes on beside the script has a pull of its own, see Beside.
type Pull struct {
	env       *Env
	ctx       context.Context
	collector string
	started   time.Time
	now       func() time.Time
	measure   func() time.Time
	jump      func(time.Duration) // moves the clock of a test
	log       *slog.Logger
	handover  *atomic.Bool
	committed func(*commitRequest) // told of every commit; may be nil
	logged    int
	staged    staging
	sweep     *openSweep
	ends      []func(error)
	limits    []RequestLimit
	beside    sync.WaitGroup
	lane      *lane            // nil: nothing is recorded or played
	apiClock  *APIClock        // nil: the one of all pulls
	hash      hash.Hash        // of the events; nil: it is not wanted
	told      func(Step) error // of a trial, before each step; may be nil
	outer     context.Context  // of the pull that this one works beside; nil if it is the script's own

	// Stats counts what the pull has done so far.
	Stats PullStats
}

// PullStats counts what a pull did, whether or not it ended well.
type PullStats struct {
	Requests int64         `json:"requests"`
	Retries  int64         `json:"retries"`
	Pages    int64         `json:"pages"`
	Rows     int64         `json:"rows"`
	Events   int64         `json:"events"`
	Skipped  int64         `json:"skipped"`   // rows that had been sent before
	LeftOut  int64         `json:"left_out"`  // rows that the script wants no event of
	Cut      int64         `json:"cut"`       // events that were shortened
	SetAside int64         `json:"set_aside"` // rows whose event was too large, and is kept in a file instead
	Commits  int64         `json:"commits"`
	Bytes    int64         `json:"bytes"` // bodies of events
	Steps    uint64        `json:"steps"`
	Duration time.Duration `json:"duration_ns"`
}

// errHandover ends a pull inside a commit, when a new version of its script waits to take over or
// the engine asked it to end. Everything it did is committed, so it is no failure.
var errHandover = errors.New("the pull ends at this commit and the next one goes on")

// NewPull starts a pull that nobody supervises: for tests of builtins and for tools. Run Commit to
// make durable what it staged.
func NewPull(ctx context.Context, env *Env, collector string) *Pull {
	p := &Pull{env: env, ctx: ctx, collector: collector, now: time.Now, measure: time.Now,
		log: env.Logger.With(string(KeyCollector), collector), handover: new(atomic.Bool)}
	if env.Clock != nil {
		p.now, p.measure, p.jump = env.Clock.Now, env.Clock.Now, env.Clock.Wait
		if env.Clock.Measure != nil {
			p.measure = env.Clock.Measure
		}
	}
	p.started = p.Now()
	if env.Store != nil {
		p.staged.place = env.Store.place
	}
	return p
}

// NewThread returns a thread on which builtins find the pull.
func (p *Pull) NewThread(name string) *starlark.Thread {
	thread := &starlark.Thread{Name: name}
	thread.SetLocal(pullLocal, p)
	return thread
}

// Context ends when the pull must end: its time is up, or the engine stops.
func (p *Pull) Context() context.Context { return p.ctx }

// Env returns what all pulls share.
func (p *Pull) Env() *Env { return p.env }

// Collector returns the key of the collector, "input/id/service".
func (p *Pull) Collector() string { return p.collector }

// Started returns when the pull began, UTC. Devo's @devo_pulling_id is this, in milliseconds.
func (p *Pull) Started() time.Time { return p.started }

// Now returns the time, UTC.
func (p *Pull) Now() time.Time {
	if p.lane != nil {
		return p.lane.now()
	}
	return p.now().UTC()
}

// Clock returns the present moment for measuring: the time between two of them is right also when the
// machine's clock was set in between.
func (p *Pull) Clock() time.Time {
	if p.lane != nil {
		return p.lane.clock()
	}
	return p.measure()
}

// QuotaClock is Clock for quotas, which go by the moments at which requests really are sent.
func (p *Pull) QuotaClock() time.Time {
	if p.lane != nil && p.lane.playing {
		return p.lane.clock()
	}
	return p.measure()
}

// Jitter is a part of d by chance, so that what waits does not go on all at once; half of it in a test
// that sets the clock.
func (p *Pull) Jitter(d time.Duration) time.Duration {
	if p.lane != nil {
		return time.Duration(p.lane.random.Int64N(int64(d) + 1))
	}
	if p.jump != nil {
		return d / 2
	}
	return rand.N(d + 1)
}

// Wait waits for d. It ends early, with the reason, when the pull must end. In a script's tests the
// clock jumps instead.
func (p *Pull) Wait(d time.Duration) error { return p.waitOr(d, nil) }

// waitOr is Wait, but ends early without an error when wake gives something.
func (p *Pull) waitOr(d time.Duration, wake <-chan struct{}) error {
	if p.jump != nil {
		p.jump(d)
		if p.lane != nil {
			p.lane.advance(d)
		}
		return p.ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		if p.lane != nil {
			p.lane.advance(d)
		}
		return nil
	case <-wake:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// CanWait reports whether a Wait for d would end before the pull's time is up.
func (p *Pull) CanWait(d time.Duration) bool {
	if p.lane != nil {
		deadline, ok := p.Deadline()
		return !ok || deadline.Sub(p.Clock()) > d
	}
	deadline, ok := p.ctx.Deadline()
	return !ok || p.jump != nil || time.Until(deadline) > d
}

// AllowLog reports whether the script may log one more line, and counts it.
func (p *Pull) AllowLog() bool {
	p.logged++
	if p.logged == p.env.Limits.LogLinesPerPull+1 {
		p.log.Warn("the script logs too much; the rest of this pull's lines are left out", "limit", p.env.Limits.LogLinesPerPull)
	}
	return p.logged <= p.env.Limits.LogLinesPerPull
}

// Logger returns the log of this pull; its lines carry collector, script version and trace id.
func (p *Pull) Logger() *slog.Logger { return p.log }

// StartSpan starts a span below the current one of the pull. End it.
func (p *Pull) StartSpan(name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return p.env.Telemetry.Tracer.Start(p.ctx, name, options...)
}

// Stage adds an event to the next commit. The body is copied; line breaks and other control
// characters in it become spaces, so that it stays one line whoever receives it. One that is longer
// than Limits.EventBytes is cut, set aside, or an error, as Limits.Oversized says. An event that does
// not fit Limits.StagedBytes any more is an error.
func (p *Pull) Stage(table *Table, at time.Time, body []byte) error {
	return p.stage(table, at, body, false)
}

// StageJSON is Stage for a body without control characters, such as JSON on one line: it is not looked at again.
func (p *Pull) StageJSON(table *Table, at time.Time, body []byte) error {
	return p.stage(table, at, body, true)
}

func (p *Pull) stage(table *Table, at time.Time, body []byte, clean bool) error {
	if len(body) > p.env.Limits.EventBytes {
		var err error
		if body, err = p.oversized(table, at, body); body == nil {
			return err
		}
	}
	if p.told != nil {
		if err := p.told(Step{Kind: "stage"}); err != nil {
			return err
		}
	}
	if err := p.staged.add(table, at, body, clean, p.env.Limits.StagedBytes); err != nil {
		return err
	}
	if p.hash != nil {
		sumEvent(p.hash, table, at, body)
	}
	p.Stats.Events++
	p.Stats.Bytes += int64(len(body))
	return nil
}

// ForgetBefore drops remembered keys of hours that ended before t, with the next commit.
func (p *Pull) ForgetBefore(t time.Time) { p.staged.forget = hourOf(t) }

// Cursor returns a cursor as JSON: the staged one if the pull has set it, the committed one otherwise.
func (p *Pull) Cursor(name string) (json.RawMessage, bool, error) {
	if v, ok := p.staged.cursors[name]; ok {
		return v, v != nil, nil
	}
	if p.staged.wipe {
		return nil, false, nil
	}
	return p.env.Store.Cursor(p.collector, name)
}

// maxCursor bounds a cursor, bytes of JSON: many of them share a transaction.
const maxCursor = 64 << 10

// SetCursor stages a cursor; nil removes it. A commit refuses one of more than 64 KiB.
func (p *Pull) SetCursor(name string, value json.RawMessage) {
	if p.staged.cursors == nil {
		p.staged.cursors = map[string]json.RawMessage{}
	}
	p.staged.cursors[name] = value
	if p.told != nil {
		_ = p.told(Step{Kind: "set", Cursor: name, Value: string(value)}) // what may end a pull is a commit
	}
}

// Wipe forgets every cursor and remembered key of the collector, with the next commit. What is set
// or seen afterwards counts.
func (p *Pull) Wipe() {
	p.staged.wipe, p.staged.cursors, p.staged.seen, p.staged.near = true, nil, nil, nearHours{}
}

// Commit makes everything staged durable, in one step, or nothing of it. When it returns nil, the
// events, cursors and seen keys are on disk. It waits while the outbox is full.
func (p *Pull) Commit() error {
	if err := p.commit(); err != nil {
		return err
	}
	if p.lane != nil && p.lane.playing {
		if p.lane.commits == p.lane.Handover && p.lane.commits > 0 {
			return errHandover
		}
		return nil
	}
	if p.handover.Load() {
		return errHandover
	}
	return nil
}

func (p *Pull) commit() error {
	for name, value := range p.staged.cursors {
		if len(value) > maxCursor {
			return &Error{Code: CodeTooLarge, Op: "cursor " + name, Err: fmt.Errorf("%d bytes, a cursor may have %d", len(value), maxCursor),
				Hint: "keep a position in it, not data"}
		}
	}
	p.markStaged()
	c := p.staged.seal()
	c.collector, c.started, c.pull = p.collector, p.started, trace.SpanContextFromContext(p.ctx)
	if c.empty() {
		return nil
	}
	moved := len(p.staged.cursors) > 0
	if p.told != nil {
		if err := p.told(Step{Kind: "commit", Moved: moved}); err != nil {
			return err
		}
	}
	ctx, span := p.StartSpan("commit", trace.WithAttributes(KeyEvents.Int64(c.events), KeyBytes.Int64(c.bytes)))
	defer span.End()
	began := time.Now()
	err := p.writeAside()
	if err == nil {
		err = p.env.Store.commit(ctx, c)
	}
	if err != nil {
		span.RecordError(err)
		return err
	}
	p.staged.empty()
	p.Stats.Commits++
	if p.lane != nil {
		p.lane.committed()
	}
	p.log.Debug("committed", "requests", p.Stats.Requests, "rows", p.Stats.Rows, "events", p.Stats.Events, "skipped", p.Stats.Skipped,
		"duration", p.Now().Sub(p.started).Round(time.Millisecond).String(), "pulling_id", p.started.UnixMilli())
	if p.committed != nil {
		p.committed(c)
	}
	t, by := p.env.Telemetry, attrs(KeyCollector.String(p.collector))
	t.Commits.Add(ctx, 1, by)
	t.CommitSeconds.Record(ctx, time.Since(began).Seconds(), by)
	t.EventsPulled.Add(ctx, c.events, by)
	t.BytesPulled.Add(ctx, c.bytes, by)
	t.EventsCut.Add(ctx, c.cut, by)
	t.EventsAside.Add(ctx, c.asides, by)
	if p.told != nil {
		return p.told(Step{Kind: "committed", Moved: moved})
	}
	return nil
}

const pullLocal = "starling.pull"

// PullOf returns the pull that runs on thread. At load time there is none, and the error tells the
// author of the script so.
func PullOf(thread *starlark.Thread) (*Pull, error) {
	if p, ok := thread.Local(pullLocal).(*Pull); ok {
		return p, nil
	}
	return nil, errors.New("can only be used while a pull runs: move the call into pull(), or into a function that pull() calls")
}
