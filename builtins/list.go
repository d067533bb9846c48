package builtins

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/builtins/internal/jsontape"
)

// Records is a JSON array as a Starlark value: a list that cannot be changed, though the records in
// it can. It is split into elements when it is first used, and an element becomes a value when it is
// first read.
type Records struct {
	json   jsonValue
	items  []recordsItem
	split  bool
	frozen bool
}

type recordsItem struct {
	node  int            // where the element is in the list's json
	value starlark.Value // nil until it is first read
}

var (
	_ starlark.Sequence   = (*Records)(nil)
	_ starlark.Sliceable  = (*Records)(nil)
	_ starlark.Container  = (*Records)(nil)
	_ starlark.Comparable = (*Records)(nil)
)

// String returns the list as compact JSON.
func (l *Records) String() string        { return jsonOrError(l) }
func (l *Records) Type() string          { return "records" }
func (l *Records) Truth() starlark.Bool  { return l.Len() > 0 }
func (l *Records) Hash() (uint32, error) { return 0, errors.New("unhashable: records") }

// Freeze decodes everything, because a frozen value may be read by several goroutines.
func (l *Records) Freeze() {
	if l.frozen {
		return
	}
	l.parse()
	l.frozen = true
	for i := range l.items {
		l.Index(i).Freeze()
	}
}

func (l *Records) parse() {
	if l.split {
		return
	}
	l.split = true
	l.items = make([]recordsItem, 0, l.count())
	for i := 1; i < len(l.json.nodes); i = jsontape.Next(l.json.nodes, i) {
		l.items = append(l.items, recordsItem{node: i})
	}
}

// Len returns the number of elements.
func (l *Records) Len() int {
	if !l.split {
		return l.count()
	}
	return len(l.items)
}

// count looks how many there are.
func (l *Records) count() (n int) {
	for i := 1; i < len(l.json.nodes); i = jsontape.Next(l.json.nodes, i) {
		n++
	}
	return n
}

// Index returns element i, the same value each time.
func (l *Records) Index(i int) starlark.Value {
	l.parse()
	item := &l.items[i]
	if item.value == nil {
		item.value = decode(l.json.at(item.node))
	}
	return item.value
}

// Slice returns a plain list of the elements, which are the same values.
func (l *Records) Slice(start, end, step int) starlark.Value {
	var part []starlark.Value
	for i := start; step > 0 && i < end || step < 0 && i > end; i += step {
		part = append(part, l.Index(i))
	}
	return starlark.NewList(part)
}

// Has implements v in list.
func (l *Records) Has(v starlark.Value) (bool, error) {
	for i := range l.Len() {
		if equal, err := starlark.Equal(l.Index(i), v); equal || err != nil {
			return equal, err
		}
	}
	return false, nil
}

// Iterate yields the elements.
func (l *Records) Iterate() starlark.Iterator { return &recordsIterator{l: l} }

type recordsIterator struct {
	l    *Records
	next int
}

func (it *recordsIterator) Next(p *starlark.Value) bool {
	if it.next >= it.l.Len() {
		return false
	}
	*p = it.l.Index(it.next)
	it.next++
	return true
}

func (*recordsIterator) Done() {}

// CompareSameType compares element by element.
func (l *Records) CompareSameType(op syntax.Token, other starlark.Value, depth int) (bool, error) {
	if op != syntax.EQL && op != syntax.NEQ {
		return false, fmt.Errorf("records %s records: records have no order", op)
	}
	equal, err := l.equal(other.(*Records), depth)
	return equal == (op == syntax.EQL), err
}

func (l *Records) equal(o *Records, depth int) (bool, error) {
	if l.Len() != o.Len() {
		return false, nil
	}
	for i := range l.items {
		if equal, err := starlark.EqualDepth(l.Index(i), o.Index(i), depth-1); !equal || err != nil {
			return false, err
		}
	}
	return true, nil
}

// appendTo writes the list as JSON. What was not touched is copied.
func (l *Records) appendTo(dst []byte, depth int) ([]byte, error) {
	if !l.split {
		return l.json.appendTo(dst), nil
	}
	dst = append(dst, '[')
	for i := range l.items {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendPart(dst, l.json, l.items[i].node, l.items[i].value, depth+1); err != nil {
			return dst, below(fmt.Sprint(i), err)
		}
	}
	return append(dst, ']'), nil
}
