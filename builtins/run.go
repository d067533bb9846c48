package builtins

import (
	"errors"
	"strconv"

	"go.starlark.net/starlark"

	"starling/builtins/internal/jsontape"
	"starling/engine"
)

// A run maps one record after the other with a program: read a record, ask whether it is wanted,
// append it. It belongs to one goroutine. Its buffers and what it learns about the names of fields
// stay, so that a record of a known shape costs no allocation.
type run struct {
	*program
	thread *starlark.Thread
	pull   *engine.Pull // nil while a script is tested
	window *sweep       // that devo.send was given; nil if none was

	json    jsonValue // the record
	turn    uint64    // number of the record
	values  []stepValue
	entries []entry // what passes of the record, in its order
	written []uint64
	layout  []*inputField // the fields of the last record, in their order
	place   int           // in layout
	inputs  map[string]*inputField
	outputs map[string]*output // by name, of passed fields
	inner   []jsontape.Node    // reused: of a value in the record
	letters []byte             // reused: texts that steps have made of the record
	args    starlark.Tuple

	started   string // the start of the pull, if it was asked for
	failed    int64
	complaint string // the first expression that could not convert a value
	err       error
}

// stepValue is the value of a step; it counts for the record of its turn only.
type stepValue struct {
	turn uint64
	cell cell
}

// An entry is a part of the event that comes from the record: a declared field in the place of one of
// the record, or a piece of the record's text.
type entry struct {
	declared int     // the declared field, or none
	out      *output // its name goes before the text; nil: the text begins with it
	span             // of the text
	loose    bool    // the text has white space to leave out, or DEL
}

// A span is a part of a text. It is apart from the entry because the compiler keeps structs of up to four fields in registers.
type span struct{ start, end uint32 }

func newRun(p *program, thread *starlark.Thread, pull *engine.Pull) *run {
	return &run{
		program: p, thread: thread, pull: pull,
		values:  make([]stepValue, len(p.steps)),
		written: make([]uint64, len(p.outs)),
		inputs:  map[string]*inputField{},
		outputs: map[string]*output{},
		args:    starlark.Tuple{nil},
	}
}

// Failed returns how many values did not convert and stayed as they came.
func (r *run) Failed() int64 { return r.failed }

// read takes a record, which is an object.
func (r *run) read(v jsonValue) {
	r.json, r.err = v, nil
	r.turn++
	r.place = 0
	r.entries, r.letters = r.entries[:0], r.letters[:0]
	if len(r.inputs) > maxKnownFields {
		clear(r.inputs)
		clear(r.outputs)
		r.layout = r.layout[:0]
	}
	if len(r.steps) > 0 || r.passes() {
		r.readFields()
	}
}

// maxKnownFields bounds what is remembered when an API uses values as names.
const maxKnownFields = 4096

func (r *run) passes() bool { return r.mapping != nil && r.mapping.rest != nil }

// wanted reports whether the record passes where.
func (r *run) wanted() bool { return r.where == none || r.holds(r.where) }

// ask returns the value of an expression that the program was asked for.
func (r *run) ask(i int) cell { return r.get(r.asked[i]) }

// get works a step out, once for each record.
func (r *run) get(i int) cell {
	v := &r.values[i]
	if v.turn == r.turn {
		return v.cell
	}
	v.turn = r.turn
	s := &r.steps[i]
	if s.one == nil {
		v.cell = s.all(r, s.in)
		return v.cell
	}
	c := r.get(s.in[0])
	if s.whole || !c.missing() && !c.failed {
		if c = s.one(r, c); c.failed && r.complaint == "" {
			r.complaint = s.String()
		}
	}
	v.cell = c
	return c
}

// holds reports whether a test does.
func (r *run) holds(i int) bool {
	c := r.get(i)
	return c.kind == boolean && c.num != 0
}

// fail counts a value that does not convert and lets it stay as it came.
func (r *run) fail(c cell) cell {
	r.failed++
	c.failed = true
	return c
}

// call hands a value to a function of the script.
func (r *run) call(fn starlark.Callable, c cell) cell {
	if r.err != nil {
		return cell{}
	}
	args := r.args
	if _, ok := fn.(*starlark.Function); !ok {
		args = starlark.Tuple{nil} // a builtin might keep it
	}
	args[0] = c.value()
	v, err := starlark.Call(r.thread, fn, args, nil)
	if err == nil {
		c, err = cellFrom(v)
	}
	if err != nil {
		r.err = err
		return cell{}
	}
	return c
}

// pullingID gives the start of the pull in milliseconds.
func (r *run) pullingID([]int) cell {
	if r.pull == nil {
		r.err = errors.New("devo.pulling_id: no pull runs here")
		return cell{}
	}
	if r.started == "" {
		r.started = strconv.FormatInt(r.pull.Started().UnixMilli(), 10)
	}
	return cell{form: form{kind: plain}, text: r.started}
}

// appendTo writes the mapped record as one line of JSON. When r.err is set afterwards, it is not
// complete.
func (r *run) appendTo(dst []byte) []byte {
	if r.mapping == nil {
		return r.json.appendTo(dst)
	}
	dst = append(dst, '{')
	for i := range r.entries {
		dst = r.appendEntry(dst, &r.entries[i])
	}
	for i := range r.outs {
		dst = r.appendDeclared(dst, i)
	}
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, '}')
}

func (r *run) appendEntry(dst []byte, e *entry) []byte {
	if e.declared != none {
		return r.appendDeclared(dst, e.declared)
	}
	if e.out != nil {
		dst = append(dst, e.out.key...)
	}
	if text := r.json.text[e.start:e.end]; e.loose {
		dst = appendCompact(dst, text)
	} else {
		dst = append(dst, text...)
	}
	return append(dst, ',')
}

// freeOutput finds another name when two fields would get the same one.
func (r *run) freeOutput(name string) *output {
	for n := 2; ; n++ {
		as := name + "_" + strconv.Itoa(n)
		if _, ok := r.declared[as]; ok {
			continue
		}
		if o := r.output(as); o.turn != r.turn {
			return o
		}
	}
}

func (r *run) appendDeclared(dst []byte, i int) []byte {
	if r.written[i] == r.turn {
		return dst
	}
	r.written[i] = r.turn
	o := &r.outs[i]
	c := r.get(o.step)
	if c.kind == absent || c.kind == null && !r.mapping.nulls {
		return dst
	}
	return append(c.appendTo(append(dst, o.key...)), ',')
}
