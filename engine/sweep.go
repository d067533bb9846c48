package engine

import (
	"context"
	"slices"
	"time"
)

// An openSweep is a sweep of a window that a pull is in the middle of.
type openSweep struct {
	from, to time.Time
	first    uint64 // chunk that the next commit began with when the sweep did
	again    bool
	stats    PullStats
}

// OpenSweep says that a sweep of a range begins, from inclusive and to exclusive: what is sent from now on
// belongs to it until CloseSweep. With again, rows that were sent before it are sent once more.
func (p *Pull) OpenSweep(from, to time.Time, again bool) {
	p.sweep = &openSweep{from: from, to: to, first: p.env.Store.nextChunk(), again: again, stats: p.Stats}
}

// CloseSweep says that the sweep is over. Mark what it found out before, and commit afterwards.
func (p *Pull) CloseSweep() {
	p.markStaged()
	p.sweep = nil
}

// markStaged notes that events of the open sweep's range are staged, unless a mark of all of it does already: a later
// sweep does not send them again, and what it calls complete has to wait until they are delivered.
func (p *Pull) markStaged() {
	s := p.sweep
	if s == nil || p.staged.events == 0 || slices.ContainsFunc(p.staged.marks, func(m Mark) bool {
		return m.first <= s.first && !m.From.After(s.from) && !m.To.Before(s.to)
	}) {
		return
	}
	p.Mark(Mark{From: s.from, To: s.to, State: SpanAsked})
}

// AbandonSweep forgets what was staged since the last commit, and the open sweep.
func (p *Pull) AbandonSweep() {
	if p.sweep == nil {
		return
	}
	s, now := p.sweep.stats, &p.Stats
	now.Events, now.Skipped, now.LeftOut, now.Cut, now.SetAside, now.Bytes = s.Events, s.Skipped, s.LeftOut, s.Cut, s.SetAside, s.Bytes
	p.sweep = nil
	p.dropStaged()
}

// dropStaged forgets what was staged since the last commit.
func (p *Pull) dropStaged() {
	p.env.Store.release(p.staged.chunks)
	p.staged.empty()
}

// HasStaged reports whether anything waits for a commit.
func (p *Pull) HasStaged() bool { return !p.staged.seal().empty() }

// AtEnd has f called when the pull has ended, with the error that ended it, or nil.
func (p *Pull) AtEnd(f func(err error)) { p.ends = append(p.ends, f) }

// noteTimeout bounds how long a note waits while the disk is full.
const noteTimeout = 5 * time.Second

// Note makes a mark durable at once, beside what is staged.
func (p *Pull) Note(m Mark) error {
	q := NewPull(p.ctx, p.env, p.collector)
	q.Mark(m)
	c := q.staged.seal()
	c.collector, c.started = p.collector, p.started
	if c.empty() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), noteTimeout)
	defer cancel()
	return p.env.Store.commit(ctx, c)
}
