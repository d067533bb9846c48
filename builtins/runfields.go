package builtins

import "strings"

// An inputField is what is known about a field of the records.
type inputField struct {
	name   string
	step   int     // or none
	out    *output // nil: does not pass
	stands int     // the declared field that takes its place, or none
	turn   uint64  // of the record in which it was last seen
	entry  int     // its place in entries then
}

// An output is a name under which fields pass.
type output struct {
	key  []byte // the name as JSON, and a colon
	name string
	turn uint64 // of the record in which it was last written
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
