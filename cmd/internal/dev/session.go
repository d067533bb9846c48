package dev

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"starling/cmd/internal/cases"
	"starling/engine"
)

// A Session remembers what the last pull gave.
type Session struct {
	Library *engine.Library
	// Script is the file to run; empty for that of the recording.
	Script string
	// Case is the recording that answers; nil for the API, which Live asks.
	Case *cases.Case
	Name string // of the recording
	Live func(ctx context.Context, env Watching) (*engine.Tape, []engine.Event, []engine.Rate, error)
	// First is how many events are shown with their rows.
	First int

	good *Result // the last one that worked
}

// Follow has the next result compared with the last one of another session that worked.
func (s *Session) Follow(before *Session) { s.good = before.good }

// Watching is what a pull is watched with.
type Watching struct {
	Observe engine.Observer
	Logger  *slog.Logger
}

// Pull pulls once with the scripts as they are now; changed is when they were seen to be others. It keeps nothing.
func (s *Session) Pull(ctx context.Context, changed time.Time) *Result {
	r := &Result{At: time.Now(), Script: s.Script, From: cmp.Or(s.Name, "api"), Requests: []Request{}, Quotas: []Quota{}, First: []Pair{}, Warnings: []string{}}
	w := &watcher{most: s.First}
	began := time.Now()
	var err error
	if s.Case != nil {
		err = s.play(ctx, r, w)
	} else {
		err = s.live(ctx, r, w)
	}
	r.Pull = time.Since(began).Seconds() * 1000
	r.First, r.Warnings = append(r.First, w.first...), append(r.Warnings, w.warnings...)
	if r.Stats.Rows > 0 {
		r.PerRow = r.Pull * 1000 / float64(r.Stats.Rows)
	}
	if r.OK = err == nil; !r.OK {
		r.Problem = problemOf(err)
	}
	switch {
	case s.good == nil:
		r.Changes = Changes{First: true}
	case r.OK:
		r.Changes = changesTo(s.good.events, r.events)
	}
	if r.OK {
		s.good = r
	}
	r.Millis = time.Since(changed).Seconds() * 1000
	return r
}

func (s *Session) play(ctx context.Context, r *Result, w *watcher) error {
	sources, err := s.Library.Read()
	if err != nil {
		return err
	}
	t := s.Case.Tape
	r.Script = cmp.Or(s.Script, t.Script)
	played, err := engine.Replay{Library: s.Library, Sources: sources, Tape: t, Script: s.Script, Logger: slog.New(w), Observe: w.observe}.Run(ctx)
	if err != nil {
		return err
	}
	r.Version, r.Stats, r.Before, r.After, r.events = played.Version, played.Stats, t.Before.Cursors, played.After, eventLines(played.Commits)
	r.Requests = requestsOf(t, append([]engine.Asked{}, played.Asked...))
	r.quotas(played.Rates)
	return played.Err
}

func (s *Session) live(ctx context.Context, r *Result, w *watcher) error {
	t, events, rates, err := s.Live(ctx, Watching{w.observe, slog.New(w)})
	if t != nil {
		r.Script, r.Version, r.Stats, r.Before, r.After = t.Script, t.Version, t.Stats, t.Before.Cursors, t.After
		r.Requests = requestsOf(t, nil)
	}
	r.events = eventLines([]engine.Committed{{Events: events}})
	r.quotas(rates)
	return err
}

func (r *Result) quotas(rates []engine.Rate) {
	for _, q := range rates {
		r.Quotas = append(r.Quotas, Quota{Name: cmp.Or(q.Name, "of the script"), Used: r.Stats.Requests, Of: q.N, Per: q.Per.String()})
	}
}

// A watcher keeps the first events and the warnings of a pull. It is a slog.Handler.
type watcher struct {
	most  int
	attrs string

	mu       sync.Mutex
	parent   *watcher
	first    []Pair
	warnings []string
}

func (w *watcher) observe(row []byte, table *engine.Table, at time.Time, body []byte) {
	if len(w.first) >= w.most {
		return
	}
	when := "-"
	if !at.IsZero() {
		when = at.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	w.first = append(w.first, Pair{string(row), table.Tag, when, string(body)})
}

const mostWarnings = 20

// Enabled reports whether somebody should know.
func (w *watcher) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle keeps a warning.
func (w *watcher) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message + w.attrs)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != string(engine.KeyCollector) && a.Key != string(engine.KeyVersion) {
			b.WriteString(" " + a.String())
		}
		return true
	})
	if strings.HasPrefix(r.Message, "pull ") { // how it ended is told better
		return nil
	}
	root := w
	for root.parent != nil {
		root = root.parent
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	if len(root.warnings) < mostWarnings {
		root.warnings = append(root.warnings, b.String())
	}
	return nil
}

// WithAttrs leaves out what is the same in every line of one pull.
func (w *watcher) WithAttrs([]slog.Attr) slog.Handler { return &watcher{parent: w} }

// WithGroup does the same.
func (w *watcher) WithGroup(string) slog.Handler { return &watcher{parent: w} }
