package builtins

import (
	"go.starlark.net/starlark"

	"starling/engine"
)

// The values that can hold values of a script tell the engine how much there is in them.
var (
	_ engine.Holder = (*Record)(nil)
	_ engine.Holder = (*Records)(nil)
	_ engine.Holder = (*expression)(nil)
	_ engine.Holder = (*Mapping)(nil)
	_ engine.Holder = (*devoTable)(nil)
)

// jsonPart is how many bytes of JSON text count as a part.
const jsonPart = 8

// Parts counts the text that no script has touched.
func (r *Record) Parts() int {
	if len(r.json.nodes) == 0 {
		return 0
	}
	return len(r.json.raw()) / jsonPart
}

// Held yields the values that a script has read or set.
func (r *Record) Held(yield func(starlark.Value) bool) {
	for i := range r.fields {
		if v := r.fields[i].value; v != nil && !yield(v) {
			return
		}
	}
}

// Parts counts the text that no script has touched.
func (l *Records) Parts() int {
	if !l.split {
		return len(l.json.raw()) / jsonPart
	}
	n := 0
	for i := range l.items {
		if l.items[i].value == nil {
			n += len(l.json.at(l.items[i].node).raw())
		}
	}
	return n / jsonPart
}

// Held yields the elements that a script has read.
func (l *Records) Held(yield func(starlark.Value) bool) {
	for i := range l.items {
		if v := l.items[i].value; v != nil && !yield(v) {
			return
		}
	}
}

// Parts of an expression are all in what it holds.
func (e *expression) Parts() int { return 0 }

// Held yields the function that is called, and the expressions that go in.
func (e *expression) Held(yield func(starlark.Value) bool) {
	if e.holds != nil && !yield(*e.holds) {
		return
	}
	for _, in := range e.in {
		if !yield(in) {
			return
		}
	}
}

// Parts of a mapping are all in what it holds.
func (m *Mapping) Parts() int { return 0 }

// Held yields the expressions.
func (m *Mapping) Held(yield func(starlark.Value) bool) {
	for _, e := range m.values {
		if !yield(e) {
			return
		}
	}
	if m.where != nil {
		yield(m.where)
	}
}

// Parts of a table are all in what it holds.
func (t *devoTable) Parts() int { return 0 }

// Held yields the mapping, and the functions that are called.
func (t *devoTable) Held(yield func(starlark.Value) bool) {
	if t.mapping != nil && !yield(t.mapping) {
		return
	}
	for _, fn := range []starlark.Callable{t.event, t.atFunc} {
		if fn != nil && !yield(fn) {
			return
		}
	}
	for _, e := range t.keys {
		if !yield(e) {
			return
		}
	}
	if t.at != nil {
		yield(t.at)
	}
}
