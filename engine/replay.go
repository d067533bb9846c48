package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"time"
)

// A Replay plays a tape, one at a time: the pull runs again, on its clock and with its answers. Nothing is asked of a network, and
// nothing is kept.
type Replay struct {
	Library *Library
	Sources *Sources
	Tape    *Tape
	// Script is a file to run in place of the one that was recorded.
	Script string
	// Rewrite has what is asked replace what is on the tape, in its order: for answers that were changed, so that what follows of
	// them is asked otherwise.
	Rewrite bool
	Logger  *slog.Logger // nil: nothing is logged
	// Observe is told of every event that is staged; nil if nobody wants to know.
	Observe Observer
}

// An Observer is told of an event, with the row that it was made of; nil if it was made of none.
type Observer func(row []byte, table *Table, at time.Time, body []byte)

// A Replayed is what a tape came to.
type Replayed struct {
	Script  string
	Version string
	Commits []Committed
	After   map[string]json.RawMessage
	Stats   PullStats
	Err     error // of the pull
	Sum     []byte
	Asked   []Asked
	// Unasked are the exchanges that nothing has asked for, counted from 0.
	Unasked []int
	Rates   []Rate // of its script
	// Keys are the remembered keys that mattered.
	Keys []HourKey
}

// Committed is a commit of a pull.
type Committed struct {
	At      time.Duration
	Events  []Event
	Cursors map[string]json.RawMessage // that it set; null removes one
	Forget  int64                      // it forgets the keys of the hours before this one
	Wipe    bool
	Marks   []Mark
}

// Run plays the tape. The error is that of a script that does not load; what becomes of the pull is in Replayed.
func (r Replay) Run(ctx context.Context) (*Replayed, error) {
	t := r.Tape
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	env, err := r.env()
	if err != nil {
		return nil, err
	}
	settings := NewSettings(t.Settings)
	settings.spare = true
	settings.open = func(name string) (File, error) {
		return File{Path: name, read: func() ([]byte, error) { return nil, errors.New("a recording has no files") }}, nil
	}
	load := &Load{Settings: settings, Env: env, Collector: t.Collector}
	script, err := r.Library.Load(r.Sources, cmp.Or(r.Script, t.Script), load)
	if err != nil {
		return nil, err
	}
	if env.Store, err = OpenStore("", env.Limits.OutboxBytes); err != nil {
		return nil, err
	}
	defer env.Store.Close()
	if err := env.Store.restore(t.Collector, t.Before); err != nil {
		return nil, err
	}
	done := &Replayed{Script: script.Name, Version: script.Version, Rates: load.Rates}
	p, d := r.newPull(ctx, env, cancel)
	p.committed = func(c *commitRequest) { err = errors.Join(err, done.note(env.Store, p.lane.at, c)) }
	_, runErr := script.Run(p)
	done.finish(p, d, runErr)
	all, cerr := env.Store.Cursors()
	done.After = all[t.Collector]
	return done, errors.Join(err, cerr)
}

func (r Replay) env() (*Env, error) {
	log := r.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	network, err := r.Tape.Network.network()
	return &Env{Logger: log, Telemetry: NewTelemetry(nil, nil), Network: network, Identity: Identity{Endpoint: r.Tape.Identity, Header: NewSecret("identity-masked")},
		Shared: &Shared{}, Redactor: &Redactor{}, Limits: r.Tape.Limits.WithDefaults(), Offline: true, Observe: r.Observe}, err
}

func (r Replay) newPull(ctx context.Context, env *Env, end func(error)) (*Pull, *deck) {
	t := r.Tape
	for _, e := range t.Exchanges {
		e.taken = false
	}
	p := NewPull(ctx, env, t.Collector)
	d := &deck{Tape: t, playing: true, rewrite: r.Rewrite, began: t.Started, end: end, sources: map[any]*tokenNote{}, first: map[HourKey]bool{}, gone: map[int]bool{}, given: map[string]bool{}}
	p.started, p.limits, p.lane, p.hash, p.apiClock = t.Started, t.Requests, d.newLane(0, 0), sha256.New(), new(APIClock)
	p.jump = func(time.Duration) {}
	p.Given("engine.clock", nil, p.apiClock.restore)
	return p, d
}

// note keeps what a commit made durable.
func (r *Replayed) note(s *Store, at time.Duration, c *commitRequest) error {
	from := s.nextChunk() - uint64(len(c.chunks))
	events, _, err := s.Kept(from)
	r.Commits = append(r.Commits, Committed{At: at, Events: events, Cursors: c.cursors, Forget: c.forget, Wipe: c.wipe, Marks: c.marks})
	return err
}

func (r *Replayed) finish(p *Pull, d *deck, err error) {
	r.Stats, r.Err, r.Sum, r.Keys = p.Stats, err, p.hash.Sum(nil), d.found
	for _, a := range d.asked {
		if a.Exchange >= 0 || !d.gone[a.Lane] {
			r.Asked = append(r.Asked, a)
		}
	}
	for i, e := range d.Exchanges {
		if !e.taken {
			r.Unasked = append(r.Unasked, i)
		}
	}
}
