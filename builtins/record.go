package builtins

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/builtins/internal/jsontape"
)

// A Record is a JSON object as a Starlark value. It can be used like a dict, and its fields can also
// be read and set with a dot; a method wins over a field of the same name, which r["items"] then
// reads. Fields keep their order; of a repeated name the last value counts.
//
// A field is decoded when it is first read. What no script has touched is written as it came, only
// without white space.
type Record struct {
	json      jsonValue // what it was read from; none if a script has made it
	fields    []recordField
	index     map[string]int // places in fields, when there are many
	split     bool
	twice     string // a key that the text has twice
	frozen    bool
	iterating int
}

// fromScript stands for the node of a value that a script has set.
const fromScript = 0

type recordField struct {
	key   string
	node  int            // where the value is in the record's json, or fromScript
	value starlark.Value // nil until it is first read
}

var (
	_ starlark.IterableMapping = (*Record)(nil)
	_ starlark.Sequence        = (*Record)(nil)
	_ starlark.HasSetKey       = (*Record)(nil)
	_ starlark.HasSetField     = (*Record)(nil)
	_ starlark.Comparable      = (*Record)(nil)
)

// String returns the record as compact JSON.
func (r *Record) String() string        { return jsonOrError(r) }
func (r *Record) Type() string          { return "record" }
func (r *Record) Truth() starlark.Bool  { return r.Len() > 0 }
func (r *Record) Hash() (uint32, error) { return 0, errors.New("unhashable: record") }

func jsonOrError(v starlark.Value) string {
	text, err := appendJSON(nil, v)
	if err != nil {
		return fmt.Sprintf("<%s: %v>", v.Type(), err)
	}
	return string(text)
}

// Freeze decodes everything, because a frozen value may be read by several goroutines.
func (r *Record) Freeze() {
	if r.frozen {
		return
	}
	r.parse()
	r.frozen = true
	for i := range r.fields {
		r.valueAt(i).Freeze()
	}
}

// Len returns the number of fields.
func (r *Record) Len() int {
	r.parse()
	return len(r.fields)
}

// parse splits the text into fields.
func (r *Record) parse() {
	if r.split {
		return
	}
	r.split = true
	nodes := r.json.nodes
	if len(nodes) == 0 {
		return
	}
	r.fields = make([]recordField, 0, min(len(nodes)/2, manyFields)+4) // room for some that a script adds
	for i := 1; i < len(nodes); i = jsontape.Next(nodes, i+1) {
		f := recordField{key: keyOf(r.json.text, &nodes[i]), node: i + 1}
		if i := r.find(f.key); i >= 0 {
			r.fields[i], r.twice = f, f.key
		} else {
			r.add(f)
		}
	}
}

// keyOf returns the name of a field.
func keyOf(text string, n *jsontape.Node) string {
	if n.Flags&jsontape.Escaped == 0 {
		return n.Inside(text)
	}
	return jsontape.Unescape(n.Inside(text))
}

// manyFields is the number of fields from which on a map finds them faster than a look at each.
const manyFields = 24

// find returns the place of a field, or -1.
func (r *Record) find(key string) int {
	if r.index != nil {
		if i, ok := r.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range r.fields {
		if r.fields[i].key == key {
			return i
		}
	}
	return -1
}

func (r *Record) add(f recordField) {
	r.fields = append(r.fields, f)
	switch {
	case r.index != nil:
		r.index[f.key] = len(r.fields) - 1
	case len(r.fields) > manyFields:
		r.reindex()
	}
}

func (r *Record) reindex() {
	r.index = nil
	if len(r.fields) > manyFields {
		r.index = make(map[string]int, 2*len(r.fields))
		for i := range r.fields {
			r.index[r.fields[i].key] = i
		}
	}
}

func (r *Record) valueAt(i int) starlark.Value {
	f := &r.fields[i]
	if f.value == nil {
		f.value = decode(r.json.at(f.node))
	}
	return f.value
}

// lookup returns the value of a field, or nil.
func (r *Record) lookup(key string) starlark.Value {
	r.parse()
	if i := r.find(key); i >= 0 {
		return r.valueAt(i)
	}
	return nil
}

// Get implements r[key] and key in r.
func (r *Record) Get(k starlark.Value) (starlark.Value, bool, error) {
	key, ok := k.(starlark.String)
	if !ok {
		return nil, false, fmt.Errorf("record: a field name is a string, got %s", k.Type())
	}
	v := r.lookup(string(key))
	return v, v != nil, nil
}

// SetKey implements r[key] = v. A new field goes to the end.
func (r *Record) SetKey(k, v starlark.Value) error {
	key, ok := k.(starlark.String)
	if !ok {
		return fmt.Errorf("record: a field name is a string, got %s", k.Type())
	}
	return r.set(string(key), v)
}

func (r *Record) set(key string, v starlark.Value) error {
	if r.frozen {
		return errors.New("record: cannot change a frozen record")
	}
	r.parse()
	if i := r.find(key); i >= 0 {
		r.fields[i].value, r.fields[i].node = v, fromScript
		return nil
	}
	if r.iterating > 0 {
		return errors.New("record: cannot add a field during iteration")
	}
	r.add(recordField{key: key, value: v})
	return nil
}

// remove takes a field out and returns its value, or nil if there is none.
func (r *Record) remove(key string) (starlark.Value, error) {
	if r.frozen {
		return nil, errors.New("record: cannot change a frozen record")
	}
	if r.iterating > 0 {
		return nil, errors.New("record: cannot remove a field during iteration")
	}
	r.parse()
	i := r.find(key)
	if i < 0 {
		return nil, nil
	}
	v := r.valueAt(i)
	r.fields = slices.Delete(r.fields, i, i+1)
	r.reindex()
	return v, nil
}

// without returns a new record that lacks the fields.
func (r *Record) without(names []string) *Record {
	r.parse()
	out := &Record{json: r.json, split: true, fields: make([]recordField, 0, len(r.fields))}
	for i := range r.fields {
		if slices.Contains(names, r.fields[i].key) {
			continue
		}
		// Inner records are shared, as in a copied dict, so they must be the same values in both.
		if n := r.fields[i].node; n != fromScript && r.json.nodes[n].Kind >= jsontape.Object {
			r.valueAt(i)
		}
		out.fields = append(out.fields, r.fields[i])
	}
	out.reindex()
	return out
}

// Attr returns a method or a field.
func (r *Record) Attr(name string) (starlark.Value, error) {
	if m, ok := recordMethods[name]; ok {
		return starlark.NewBuiltin(name, m).BindReceiver(r), nil
	}
	return r.lookup(name), nil
}

// AttrNames lists the methods and the fields whose names a dot can read.
func (r *Record) AttrNames() []string {
	r.parse()
	var names []string
	for name := range recordMethods {
		names = append(names, name)
	}
	for i := range r.fields {
		if key := r.fields[i].key; isIdentifier(key) && recordMethods[key] == nil {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return names
}

// SetField implements r.name = v.
func (r *Record) SetField(name string, v starlark.Value) error {
	if recordMethods[name] != nil {
		return fmt.Errorf("record: %s is a method; to set the field write r[%q] = …", name, name)
	}
	return r.set(name, v)
}

func isIdentifier(s string) bool {
	digits := func(r rune) bool { return '0' <= r && r <= '9' }
	letters := func(r rune) bool { return r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
	rest := strings.TrimLeftFunc(s, func(r rune) bool { return letters(r) || digits(r) })
	return s != "" && rest == "" && !digits(rune(s[0]))
}

// Iterate yields the names of the fields.
func (r *Record) Iterate() starlark.Iterator {
	r.parse()
	if !r.frozen {
		r.iterating++
	}
	return &recordIterator{r: r}
}

type recordIterator struct {
	r    *Record
	next int
}

func (it *recordIterator) Next(p *starlark.Value) bool {
	if it.next >= len(it.r.fields) {
		return false
	}
	*p = starlark.String(it.r.fields[it.next].key)
	it.next++
	return true
}

func (it *recordIterator) Done() {
	if !it.r.frozen {
		it.r.iterating--
	}
}

// Items returns all names with their values.
func (r *Record) Items() []starlark.Tuple {
	r.parse()
	items := make([]starlark.Tuple, len(r.fields))
	for i := range r.fields {
		items[i] = starlark.Tuple{starlark.String(r.fields[i].key), r.valueAt(i)}
	}
	return items
}

// CompareSameType compares field by field, in any order.
func (r *Record) CompareSameType(op syntax.Token, other starlark.Value, depth int) (bool, error) {
	if op != syntax.EQL && op != syntax.NEQ {
		return false, fmt.Errorf("record %s record: records have no order", op)
	}
	equal, err := r.equal(other.(*Record), depth)
	return equal == (op == syntax.EQL), err
}

func (r *Record) equal(o *Record, depth int) (bool, error) {
	if r == o {
		return true, nil
	}
	if r.Len() != o.Len() {
		return false, nil
	}
	for i := range r.fields {
		v := o.lookup(r.fields[i].key)
		if v == nil {
			return false, nil
		}
		if equal, err := starlark.EqualDepth(r.valueAt(i), v, depth-1); !equal || err != nil {
			return false, err
		}
	}
	return true, nil
}

// appendTo writes the record as JSON. What was not touched is copied, neighbours in one piece.
func (r *Record) appendTo(dst []byte, depth int) ([]byte, error) {
	if !r.split {
		return r.json.appendTo(dst), nil
	}
	dst = append(dst, '{')
	var from, to uint32 // the piece of the text that is still to be copied
	for i := range r.fields {
		f := &r.fields[i]
		start, end := r.untouched(f)
		if to > 0 && end > 0 && start == to+1 {
			to = end
			continue
		}
		dst = r.json.appendPiece(dst, from, to)
		if from, to = start, end; end > 0 {
			continue
		}
		var err error
		if dst, err = appendPart(appendKey(dst, f.key), r.json, f.node, f.value, depth+1); err != nil {
			return dst, below(f.key, err)
		}
		dst = append(dst, ',')
	}
	dst = r.json.appendPiece(dst, from, to)
	if len(r.fields) > 0 {
		dst = dst[:len(dst)-1] // the last comma
	}
	return append(dst, '}'), nil
}

// untouched returns where name and value of a field are in the text, if they can be copied from there: they
// are not if end is 0.
func (r *Record) untouched(f *recordField) (start, end uint32) {
	if f.node == fromScript {
		return 0, 0
	}
	switch f.value.(type) {
	case *Record, *Records: // a script may have changed something in it
		return 0, 0
	}
	key, value := &r.json.nodes[f.node-1], &r.json.nodes[f.node]
	if key.Flags != 0 || value.Flags&jsontape.Loose != 0 || value.Start != key.End+1 {
		return 0, 0
	}
	return key.Start, value.End
}

// appendPart writes a field or element: from its text when it has one, unless its value is one that
// a script may have changed inside.
func appendPart(dst []byte, from jsonValue, node int, v starlark.Value, depth int) ([]byte, error) {
	switch v.(type) {
	case *Record, *Records:
		return appendValue(dst, v, depth)
	}
	if node != fromScript {
		return from.at(node).appendTo(dst), nil
	}
	return appendValue(dst, v, depth)
}
