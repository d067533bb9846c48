package builtins

import (
	"strings"

	"starling/builtins/internal/jsontape"
)

// An inputField is what is known about a field of the records.
type inputField struct {
	name     string
	step     int     // or none
	out      *output // nil: does not pass
	stands   int     // the declared field that takes its place, or none
	verbatim bool    // passes under its own name
	turn     uint64  // of the record in which it was last seen
}

// An output is a name under which fields pass.
type output struct {
	key  []byte // the name as JSON, and a colon
	name string
	turn uint64 // of the record in which it was last written
}

// readFields reads the fields of the record.
func (r *run) readFields() {
	nodes := r.json.nodes
	for i := 1; i < len(nodes); i = jsontape.Next(nodes, i+1) {
		f := r.inputField(keyOf(r.json.text, &nodes[i]))
		if f.turn == r.turn {
			r.readRepeated()
			return
		}
		f.turn = r.turn
		r.readField(f, i)
	}
}

// readRepeated reads the fields of a record that has a name twice: the last value counts, in the place
// of the first.
func (r *run) readRepeated() {
	r.entries = r.entries[:0]
	r.place = 0
	r.turn++
	nodes := r.json.nodes
	last := map[*inputField]int{}
	var order []*inputField
	for i := 1; i < len(nodes); i = jsontape.Next(nodes, i+1) {
		f := r.inputField(keyOf(r.json.text, &nodes[i]))
		if _, again := last[f]; !again {
			order = append(order, f)
		}
		last[f] = i
	}
	for _, f := range order {
		r.readField(f, last[f])
	}
}

// readField reads the field whose name is at node i.
func (r *run) readField(f *inputField, i int) {
	key, value := &r.json.nodes[i], &r.json.nodes[i+1]
	if f.step != none {
		v := &r.values[f.step]
		v.turn, v.cell = r.turn, cellOf(r.json.text, value)
	}
	if f.stands != none {
		r.entries = append(r.entries, entry{declared: f.stands})
		return
	}
	if f.out == nil || value.Kind == jsontape.Null && !r.mapping.nulls {
		return
	}
	o := f.out
	if o.turn == r.turn {
		o = r.freeOutput(o.name)
	}
	o.turn = r.turn
	e := entry{declared: none, out: o, span: span{value.Start, value.End}, loose: value.Flags&jsontape.Loose != 0}
	if f.verbatim && o == f.out && !e.loose && key.Flags&jsontape.Escaped == 0 && value.Start == key.End+1 {
		e.out, e.start = nil, key.Start
		if r.extend(e) {
			return
		}
	}
	r.entries = append(r.entries, e)
}

// extend makes e a part of the entry before it, if its text follows, so that both are copied at once.
func (r *run) extend(e entry) bool {
	if len(r.entries) == 0 {
		return false
	}
	before := &r.entries[len(r.entries)-1]
	if before.declared != none || before.loose || before.end+1 != e.start {
		return false
	}
	before.end = e.end
	return true
}

// inputField finds what is known about a name. Records of one kind have their fields in the same
// order, so mostly the one at the same place as in the last record is it.
func (r *run) inputField(name string) *inputField {
	place := r.place
	r.place++
	if place < len(r.layout) && r.layout[place].name == name {
		return r.layout[place]
	}
	f := r.inputs[name]
	if f == nil {
		f = r.newInputField(strings.Clone(name))
		r.inputs[f.name] = f
	}
	if place < len(r.layout) {
		r.layout[place] = f
	} else {
		r.layout = append(r.layout, f)
	}
	return f
}

func (r *run) newInputField(name string) *inputField {
	f := &inputField{name: name, step: none, stands: none}
	if i, ok := r.fields[name]; ok {
		f.step = i
	}
	if !r.passes() || r.mapping.dropped(name) {
		return f
	}
	as := r.mapping.rest(name)
	if i, ok := r.declared[as]; ok {
		f.stands = i
		return f
	}
	if r.renamed[name] {
		return f
	}
	f.out = r.output(as)
	f.verbatim = as == name
	return f
}

func (r *run) output(name string) *output {
	o := r.outputs[name]
	if o == nil {
		o = &output{name: name, key: appendKey(nil, name)}
		r.outputs[name] = o
	}
	return o
}
