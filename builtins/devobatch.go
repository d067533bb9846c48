package builtins

import (
	"fmt"
	"slices"

	"starling/builtins/internal/jsontape"
)

// A batch is neighbouring rows of a page. The drafts of all of them are made before the first is finished.
type batch struct {
	first  int // number of its first row in the page
	node   int // of that row
	rows   int
	size   int  // of their text
	late   bool // bodies are made when they are known to be wanted
	drafts []draft
	text   []byte // the bodies

	filled   bool // the drafts are made, or a panic has kept some of them from it
	panicked any
}

// What a batch holds at most.
const (
	batchRows  = 128
	batchBytes = 256 << 10 // of the text of its rows, if they are several, and of bodies that are made early
)

// A pageCut cuts a page into batches.
type pageCut struct {
	page   jsonValue
	values []recordsItem // the rows, if a script has looked into the page: some are values
	node   int           // of the first row that is in no batch yet
	row    int           // its number
}

// next gives a batch the rows that it will be of; none if there are no more.
func (c *pageCut) next(b *batch) {
	b.first, b.node, b.rows, b.size = c.row, c.node, 0, 0
	nodes := c.page.nodes
	for c.node < len(nodes) && b.rows < batchRows {
		size := int(nodes[c.node].End - nodes[b.node].Start)
		if b.rows > 0 && size > batchBytes {
			break
		}
		b.rows, b.size, c.node = b.rows+1, size, jsontape.Next(nodes, c.node)
	}
	c.row += b.rows
}

// done reports whether there are no more.
func (c *pageCut) done() bool { return c.node >= len(c.page.nodes) }

// isValue reports whether a row is anything but a record that no script has looked at.
func (c *pageCut) isValue(row, node int) bool {
	return c.page.nodes[node].Kind != jsontape.Object || c.values != nil && c.values[row].value != nil
}

// fill makes the drafts of a batch, up to a row at which there is a panic.
func (c *pageCut) fill(b *batch, w *drafter) {
	b.drafts = slices.Grow(b.drafts[:0], b.rows)
	if b.text = b.text[:0]; !b.late {
		b.text = slices.Grow(b.text, b.size+b.size/8) // an event is about as large as its row
	}
	w.text, b.text = b.text, w.text
	defer func() {
		w.text, b.text = b.text, w.text
		if b.panicked = recover(); b.panicked != nil {
			b.drafts = b.drafts[:max(0, len(b.drafts)-1)]
		}
	}()
	for i, node := 0, b.node; i < b.rows; i, node = i+1, jsontape.Next(c.page.nodes, node) {
		b.drafts = b.drafts[:i+1]
		d := &b.drafts[i]
		if c.isValue(b.first+i, node) {
			*d = draft{value: true}
			continue
		}
		w.draftEarly(d, c.page.at(node), b.late || len(w.text) > batchBytes)
		d.node = uint32(node)
	}
}

// draftEarly makes the draft of a row, before those in front of it are finished. What did not convert goes into it,
// unless it is known that something did not.
func (w *drafter) draftEarly(d *draft, doc jsonValue, late bool) {
	known := w.run.complaint
	w.draft(d, doc, nil)
	before := w.run.complaint
	if !d.out && d.body == nil && !late {
		w.build(d)
	}
	if w.run.complaint == known {
		return
	}
	t := d.troubled()
	t.complaint, t.ofBody = w.run.complaint, before == known
	w.run.complaint = known
}

// sendBatches sends a page.
func (s *sender) sendBatches(l *Records) error {
	s.page = l.json
	c := s.crew(l)
	defer c.dismiss()
	for b := c.take(s.drafter); b != nil; b = c.take(s.drafter) {
		skipped := s.pull.Stats.Skipped
		if err := s.finishBatch(b, l); err != nil {
			return err
		}
		c.giveBack(b, s.pull.Stats.Skipped-skipped > int64(b.rows/2), s.run.complaint)
	}
	return nil
}

func (s *sender) finishBatch(b *batch, l *Records) error {
	if len(s.table.keys) > 0 {
		for i := range b.drafts {
			s.pull.Approach(b.drafts[i].at, b.drafts[i].key)
		}
	}
	for i := range b.drafts {
		if err := s.finishRow(&b.drafts[i], l, b.first+i); err != nil {
			return below(fmt.Sprintf("records[%d]", b.first+i), err)
		}
	}
	if b.panicked != nil {
		panic(b.panicked)
	}
	return nil
}

func (s *sender) finishRow(d *draft, l *Records, row int) error {
	if d.value {
		return s.sendOne(l.Index(row))
	}
	if err := s.count(); err != nil {
		return err
	}
	return s.finish(d)
}

// forget lets go of the page, and of memory for bodies that were much larger than others.
func (b *batch) forget() {
	clear(b.drafts[:cap(b.drafts)]) // also of batches that had more rows
	b.text = small(b.text)
}
