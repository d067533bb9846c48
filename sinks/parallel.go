package sinks

import (
	"context"
	"errors"
	"slices"
	"sync"

	"starling/engine"
)

// partBytes is how much the part of an epoch must have for a connection of its own to be worth its handshake.
const partBytes = 32 << 10

// parallel sends over several connections at once. What it is handed is cut into as many parts, each of
// which a lane delivers with connections of its own; an epoch is confirmed when every lane has confirmed
// what it got of it. Within a lane order is kept, between lanes there is none.
//
// When a lane fails, the others do what they were asked to, and then forget the epoch too.
type parallel struct {
	lanes     []*epochs
	part      int        // bytes
	events    int        // of the epoch
	open      [][]uint64 // for each epoch that is not confirmed, how many each lane will have confirmed then
	confirmed uint64
}

var (
	_ engine.Lagging = (*parallel)(nil)
	_ engine.Loaded  = (*parallel)(nil)
	_ engine.Copier  = (*parallel)(nil)
)

// newParallel returns n times what first is, which has not been used.
func newParallel(first *epochs, n int) *parallel {
	p := &parallel{lanes: make([]*epochs, n), part: partBytes}
	for i := range p.lanes {
		lane := *first
		p.lanes[i] = &lane
	}
	return p
}

// Send has each lane send a part.
func (p *parallel) Send(ctx context.Context, events []engine.Event) error {
	parts := p.split(events)
	firsts := make([]int, len(parts)) // index in the epoch
	for i := range parts {
		firsts[i] = p.events
		p.events += len(parts[i])
	}
	return p.each(len(parts), func(i int, lane *epochs) error {
		had := lane.events
		err := lane.Send(ctx, parts[i])
		if r, ok := errors.AsType[*engine.Refused](err); ok {
			r.Index += firsts[i] - had
		}
		return err
	})
}

// split cuts events into parts of about as many, at least one, for the first lanes.
func (p *parallel) split(events []engine.Event) [][]engine.Event {
	bytes := 0
	for i := range events {
		bytes += len(events[i].Body)
	}
	n := min(len(p.lanes), bytes/p.part+1, max(len(events), 1))
	parts := make([][]engine.Event, n)
	for i := range parts {
		parts[i] = events[i*len(events)/n : (i+1)*len(events)/n]
	}
	return parts
}

// Flush ends the epoch in every lane.
func (p *parallel) Flush(ctx context.Context) error {
	if p.events == 0 {
		return nil
	}
	if err := p.each(len(p.lanes), func(_ int, lane *epochs) error { return lane.Flush(ctx) }); err != nil {
		return err
	}
	took := make([]uint64, len(p.lanes))
	for i, lane := range p.lanes {
		took[i] = lane.confirmed + uint64(len(lane.window.epochs))
	}
	p.open, p.events = append(p.open, took), 0
	p.confirm()
	return nil
}

// Confirmed returns how many epochs every lane has confirmed.
func (p *parallel) Confirmed() uint64 { return p.confirmed }

func (p *parallel) confirm() {
	for _, lane := range p.lanes {
		lane.confirm()
	}
	for len(p.open) > 0 && p.has(p.open[0]) {
		p.open = p.open[1:]
		p.confirmed++
	}
}

func (p *parallel) has(want []uint64) bool {
	for i, lane := range p.lanes {
		if lane.confirmed < want[i] {
			return false
		}
	}
	return true
}

// each calls f for the first n lanes at once and waits for all. After an error every lane forgets what is
// not confirmed.
func (p *parallel) each(n int, f func(int, *epochs) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i, lane := range p.lanes[:n] {
		wait.Go(func() { errs[i] = f(i, lane) })
	}
	wait.Wait()
	bad := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if bad < 0 {
		return nil
	}
	p.confirm() // those that failed have asked before they forgot
	for _, lane := range p.lanes {
		lane.forget()
		lane.reset((*link).abort)
	}
	p.open, p.events = nil, 0
	return errs[bad]
}

// Settle settles every lane.
func (p *parallel) Settle(ctx context.Context) error {
	if err := p.each(len(p.lanes), func(_ int, lane *epochs) error { return lane.Settle(ctx) }); err != nil {
		return err
	}
	p.confirm()
	return nil
}

// CopiesEvents says that the lanes do.
func (p *parallel) CopiesEvents() {}

// Load tells every lane.
func (p *parallel) Load(share float64) {
	for _, lane := range p.lanes {
		lane.Load(share)
	}
}

// Close closes every lane.
func (p *parallel) Close() error {
	var err error
	for _, lane := range p.lanes {
		err = errors.Join(err, lane.Close())
	}
	return err
}
