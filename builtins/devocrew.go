package builtins

import (
	"runtime"
	"slices"
	"sync"

	"starling/builtins/internal/jsontape"
)

// A crew makes the drafts of a page, a batch at a time, on several cores: goroutines that help, and the one that runs the
// script, which takes the batches in their order and drafts as well when the next one is not ready. What comes of
// the page does not depend on how many they are.
type crew struct {
	desk    *desk
	helpers sync.WaitGroup

	mu        sync.Mutex
	moved     sync.Cond // a batch was filled, or can be filled
	cut       pageCut
	free      []*batch
	queue     []*batch // being filled, or filled; in the order of the page
	late      bool     // of batches that are filled from now on
	complaint string   // the first that is known of
	over      bool
}

const (
	mostDrafters  = 4   // at once
	rowsForHelp   = 512 // of a page, from which on help pays
	draftersLocal = "starling.devo.drafters"
)

// drafters is how many make drafts at once: as many as there are cores, unless a test has set another number.
func (s *sender) drafters(l *Records) int {
	n, set := s.thread.Local(draftersLocal).(int)
	if !set {
		n = min(runtime.GOMAXPROCS(0), mostDrafters)
	}
	if n == 1 || l.split || !l.hasRows(rowsForHelp) {
		return 1
	}
	return n
}

// hasRows reports whether the page has n rows or more.
func (l *Records) hasRows(n int) bool {
	node := 1
	for ; n > 0 && node < len(l.json.nodes); n-- {
		node = jsontape.Next(l.json.nodes, node)
	}
	return n == 0
}

// crew begins to draft a page.
func (s *sender) crew(l *Records) *crew {
	n, d := s.drafters(l), s.desk
	for len(d.helpers) < n-1 {
		d.helpers = append(d.helpers, newDrafter(s.table, nil, s.pull))
	}
	batches := 1
	if n > 1 {
		batches = n + 2 // some wait to be finished
	}
	for len(d.batches) < batches {
		d.batches = append(d.batches, &batch{})
	}
	c := &d.crew
	c.desk, c.over, c.complaint = d, false, s.run.complaint
	c.cut = pageCut{page: l.json, node: 1}
	c.free, c.queue = append(c.free[:0], d.batches[:batches]...), c.queue[:0]
	c.moved.L = &c.mu
	if l.split {
		c.cut.values = l.items
	}
	for _, w := range d.helpers[:n-1] {
		w.run.window = s.run.window
		c.helpers.Go(func() { c.help(w) })
	}
	return c
}

// help fills batches until there are no more.
func (c *crew) help(w *drafter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.over && !c.cut.done() {
		if !c.fillNext(w) {
			c.moved.Wait()
		}
	}
}

// fillNext fills a batch, if there is one to be had and rows for it. The lock is held before and after.
func (c *crew) fillNext(w *drafter) bool {
	if len(c.free) == 0 || c.cut.done() {
		return false
	}
	b := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.cut.next(b)
	b.filled, b.late = false, c.late
	c.queue = append(c.queue, b)
	if w.run.complaint == "" {
		w.run.complaint = c.complaint
	}
	c.mu.Unlock()
	c.cut.fill(b, w)
	c.mu.Lock()
	b.filled = true
	c.moved.Broadcast()
	return true
}

// take returns the next batch of the page, filled; nil at the end. It is for the goroutine that runs the script, which w belongs to.
func (c *crew) take(w *drafter) *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 || !c.queue[0].filled {
		switch {
		case c.fillNext(w):
		case len(c.queue) == 0:
			return nil
		default:
			c.moved.Wait()
		}
	}
	b := c.queue[0]
	c.queue = slices.Delete(c.queue, 0, 1)
	return b
}

// giveBack takes a batch that is finished, and what is known by that for those that follow.
func (c *crew) giveBack(b *batch, late bool, complaint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, b)
	c.late, c.complaint = late, complaint
	c.moved.Broadcast()
}

// dismiss ends the help, and lets go of the page.
func (c *crew) dismiss() {
	c.mu.Lock()
	c.over = true
	c.moved.Broadcast()
	c.mu.Unlock()
	c.helpers.Wait()
	c.cut = pageCut{}
	for _, w := range c.desk.helpers {
		w.forget()
	}
	for _, b := range c.desk.batches {
		b.forget()
	}
}
