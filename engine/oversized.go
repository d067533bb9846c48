package engine

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Oversized says what becomes of an event that is larger than it may be, or that an output refuses.
type Oversized string

const (
	// Cut shortens an event that is too large, with a mark at its end. What an output refuses for
	// another reason is set aside.
	Cut Oversized = "cut"
	// SetAside writes the event to a file below the state directory, and goes on without it.
	SetAside Oversized = "set_aside"
	// Fail stops at the event: the pull fails, or the output waits, until a person acts.
	Fail Oversized = "fail"
)

// minCut is the shortest event that is worth sending instead of a longer one.
const minCut = 64

// cutBody returns the beginning of body and a mark that says how much is missing, together at most
// limit bytes; nil if that leaves nothing to read. body is longer than limit and is not changed.
func cutBody(body []byte, limit int) []byte {
	if limit < minCut {
		return nil
	}
	keep := limit - len(cutMark(len(body)))
	for back := 1; back < utf8.UTFMax && !utf8.RuneStart(body[keep]); back++ {
		keep--
	}
	return append(body[:keep:keep], cutMark(len(body)-keep)...)
}

func cutMark(bytes int) string { return fmt.Sprintf("...[cut: %d bytes]", bytes) }

// oversized returns what is to be staged instead of a body that is too large; nil if nothing is, or
// nothing can be.
func (p *Pull) oversized(table *Table, at time.Time, body []byte) ([]byte, error) {
	limits := p.env.Limits
	reason := fmt.Sprintf("%d bytes, starling.limits.event_bytes is %d", len(body), limits.EventBytes)
	short := cutBody(body, limits.EventBytes)
	switch {
	case limits.Oversized == Cut && short != nil:
		if p.Stats.Cut++; p.Stats.Cut == 1 {
			p.log.Warn("an event is too large and was cut; further ones of this pull are only counted", "table", table.Tag, "reason", reason)
		}
		p.staged.cut++
		return short, nil
	case limits.Oversized == SetAside:
		e := newAsideEvent(table, at, body, reason)
		e.Collector = p.collector
		if err := p.staged.setAside(e, limits.StagedBytes); err != nil {
			return nil, err
		}
		p.Stats.SetAside++
		return nil, nil
	}
	return nil, &Error{Code: CodeTooLarge, Op: "event for " + table.Tag, Err: fmt.Errorf("%d bytes, the limit is %d", len(body), limits.EventBytes),
		Hint: "raise starling.limits.event_bytes, leave fields out in the script, or set starling.limits.oversized to cut or set_aside"}
}

// writeAside puts what is to be set aside on disk, before the commit that passes it. If that commit
// fails, the pull that goes on from the last one writes it once more.
func (p *Pull) writeAside() error {
	if len(p.staged.aside) == 0 {
		return nil
	}
	path, err := p.env.Store.aside.write("pull-"+p.collector, p.staged.aside, p.env.Limits.AsideBytes)
	if err != nil {
		return err
	}
	p.log.Warn("events are too large and were set aside", "events", p.staged.asides, "file", path)
	p.staged.aside = nil
	return nil
}
