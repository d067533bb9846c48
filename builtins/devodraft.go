package builtins

import (
	"cmp"
	"encoding"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A draft is what a row says by itself: whether an event of it is wanted, its time, key and body.
type draft struct {
	at      time.Time
	key     engine.Key // if the table has one
	body    []byte     // nil: not made yet
	trouble *trouble   // nil: none
	node    uint32     // of the row in its page; 0 if it is sent by itself
	keyed   bool       // key is of the fields of the key, not of the body
	out     bool       // no event comes of it: the script wants none, or there is trouble
	value   bool       // it is no draft: the row of the page is no record, or a script has looked at it
}

// trouble is what is wrong with a row.
type trouble struct {
	err       error  // if the draft is not out, it matters only if the row is wanted
	complaint string // the first expression that could not convert a value
	ofBody    bool   // the complaint matters only if the row is wanted
}

func (d *draft) err() error {
	if d.trouble == nil {
		return nil
	}
	return d.trouble.err
}

// fail notes an error, if it is one.
func (d *draft) fail(err error) {
	if err != nil {
		d.troubled().err = err
	}
}

func (d *draft) troubled() *trouble {
	if d.trouble == nil {
		d.trouble = &trouble{}
	}
	return d.trouble
}

// A drafter makes drafts, one after the other. Nothing of the pull changes by that, unless a function of the script is
// called for it. It belongs to one goroutine.
type drafter struct {
	table  *devoTable
	pull   *engine.Pull
	thread *starlark.Thread
	run    *run
	record *Record // for functions of the script; nil if there are none
	text   []byte  // bodies are made behind what is in it
	hashed []byte  // reused
}

func newDrafter(t *devoTable, thread *starlark.Thread, pull *engine.Pull) *drafter {
	return &drafter{table: t, pull: pull, thread: thread, run: newRun(t.program, thread, pull)}
}

// forget lets go of what it was sent, and of memory for rows that were much larger than others.
func (w *drafter) forget() {
	w.record, w.text, w.hashed = nil, small(w.text), small(w.hashed)
	w.run.window, w.run.json, w.run.letters = nil, jsonValue{}, small(w.run.letters)
	if cap(w.run.inner) > 2*batchBytes/bytesPerNode {
		w.run.inner = nil
	}
	clear(w.run.values)
}

// small returns memory that is worth keeping, or none.
func small(b []byte) []byte {
	if cap(b) > 2*batchBytes {
		return nil
	}
	return b
}

// draft reads a record, given as JSON and, if there is one, as the value that it is in the script. It makes the body
// only if that is the key; otherwise build does.
func (w *drafter) draft(d *draft, doc jsonValue, record *Record) {
	*d = draft{}
	w.run.read(doc)
	if !w.run.wanted() {
		d.out = true
		d.fail(w.run.err)
		return
	}
	if record == nil && (w.table.event != nil || w.table.atFunc != nil) {
		record = &Record{json: doc}
	}
	w.record = record
	var err error
	if d.at, err = w.time(); err != nil || w.outside(d.at) {
		d.out = true
		d.fail(err)
		return
	}
	if len(w.table.keys) > 0 {
		w.draftKey(d)
	}
}

func (w *drafter) draftKey(d *draft) {
	if d.key, d.keyed = w.fieldKey(); !d.keyed {
		if w.build(d); d.body == nil {
			d.out = true
			return
		}
		d.key = w.bodyKey(d.body)
	}
	if w.run.err != nil {
		d.out = true
		d.fail(w.run.err)
	}
}

// build makes the body of the record that was read last. There is none if the script wants none, or if it fails.
func (w *drafter) build(d *draft) {
	from := len(w.text)
	var err error
	if w.table.event == nil {
		w.text = w.run.appendTo(w.text)
		err = w.run.err
	} else {
		d.out, err = w.call()
	}
	if d.fail(err); err == nil && !d.out {
		d.body = w.text[from:len(w.text):len(w.text)]
	}
}

// call has the script's function make the body; it reports whether that wants no event.
func (w *drafter) call() (out bool, err error) {
	v, err := starlark.Call(w.thread, w.table.event, starlark.Tuple{w.record}, nil)
	if err != nil || v == starlark.None {
		return true, err
	}
	if _, ok := v.(starlark.IterableMapping); !ok {
		return false, fmt.Errorf("%s returned %s, want a record, a dict or None", w.table.event.Name(), v.Type())
	}
	w.text, err = appendJSON(w.text, v)
	return false, err
}

// noTime is the time of an event that has none of its own: unknown if the table does not know of
// times, the start of the pull if it does.
func (w *drafter) noTime() time.Time {
	if w.table.at == nil && w.table.atFunc == nil {
		return time.Time{}
	}
	return w.pull.Started()
}

func (w *drafter) time() (time.Time, error) {
	if w.table.atFunc != nil {
		return w.timeFromFunc()
	}
	if w.table.at != nil {
		c := w.run.ask(0)
		if w.run.err != nil || c.missing() || c.failed {
			return w.noTime(), w.run.err
		}
		if c = w.run.moment(c); !c.failed {
			return c.time(), nil
		}
		w.run.complaint = cmp.Or(w.run.complaint, w.table.at.String())
	}
	return w.noTime(), nil
}

func (w *drafter) timeFromFunc() (time.Time, error) {
	name := w.table.atFunc.Name()
	v, err := starlark.Call(w.thread, w.table.atFunc, starlark.Tuple{w.record}, nil)
	if err != nil {
		return time.Time{}, err
	}
	var text string
	switch v := v.(type) {
	case starlark.NoneType:
		return w.noTime(), nil
	case starlark.String:
		text = string(v)
	case jsonTexter:
		text = v.JSONText()
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		if err != nil {
			return time.Time{}, fmt.Errorf("%s: %w", name, err)
		}
		text = string(b)
	default:
		return time.Time{}, fmt.Errorf("%s returned %s, want a time, a text of one, or None", name, v.Type())
	}
	if c := w.run.moment(textCell(text)); !c.failed {
		return c.time(), nil
	}
	w.run.complaint = cmp.Or(w.run.complaint, name)
	return w.noTime(), nil
}
