package engine

import (
	"context"
	"time"
)

// An openSweep is a sweep of a window that a pull is in the middle of.
type openSweep struct {
	first  uint64 // chunk that the next commit began with when the sweep did
	urgent bool
}

// OpenSweep says that a sweep begins: what is sent from now on belongs to it until CloseSweep. An
// urgent one goes before others that share a quota.
func (p *Pull) OpenSweep(urgent bool) {
	p.sweep = &openSweep{first: p.env.Store.nextChunk(), urgent: urgent}
}

// CloseSweep says that the sweep is over. Mark what it found out before.
func (p *Pull) CloseSweep() { p.sweep = nil }

// Urgent reports whether requests are to go before others that share a quota: those for fresh data, and
// those of scripts that do not know lanes.
func (p *Pull) Urgent() bool { return p.sweep == nil || p.sweep.urgent }

// AtEnd has f called when the pull has ended, with the error that ended it, or nil.
func (p *Pull) AtEnd(f func(err error)) { p.ends = append(p.ends, f) }

// noteTimeout bounds how long a note waits while the disk is full.
const noteTimeout = 5 * time.Second

// Note makes a mark durable at once and by itself, after a pull that has failed.
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
