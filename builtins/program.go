package builtins

import (
	"fmt"
	"slices"
)

// A program is a mapping, with what a table wants to know of the same record, compiled: a flat list
// of steps in which everything is worked out once. It never changes; any number of runs may use it.
type program struct {
	mapping  *Mapping // nil: the record goes out as it is
	steps    []step
	fields   map[string]int // name of a field of the record -> its step
	outs     []out
	declared map[string]int  // name -> place in outs
	renamed  map[string]bool // fields of the record that go out under another name
	where    int             // a step, or none
	asked    []int           // steps of the expressions asked for
}

// none stands for the step that is not there.
const none = -1

// An out is a declared field.
type out struct {
	key  []byte // the name as JSON, and a colon
	step int
}

// A step is an expression with the places of its inputs.
type step struct {
	*expression
	in []int
}

// calls reports whether functions of the script are called for a record.
func (p *program) calls() bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return s.holds != nil })
}

// compile makes a program of a mapping and of further expressions, whose values ask gives.
func compile(m *Mapping, asked ...*expression) *program {
	c := &compiler{
		program: &program{mapping: m, fields: map[string]int{}, declared: map[string]int{}, renamed: map[string]bool{}, where: none},
		known:   map[*expression]int{}, same: map[string]int{},
	}
	if m != nil {
		c.compileMapping(m)
	}
	for _, e := range asked {
		c.asked = append(c.asked, c.add(e))
	}
	return c.program
}

type compiler struct {
	*program
	known map[*expression]int
	same  map[string]int // call and places of the inputs -> step
}

func (c *compiler) compileMapping(m *Mapping) {
	if m.where != nil {
		c.where = c.add(m.where)
	}
	for i, name := range m.names {
		e := m.values[i]
		c.declared[name] = len(c.outs)
		c.outs = append(c.outs, out{key: appendKey(nil, name), step: c.add(e)})
		if e.field != "" {
			c.renamed[e.field] = true
		}
	}
}

// add returns the step of e, after those of its inputs.
func (c *compiler) add(e *expression) int {
	if i, ok := c.known[e]; ok {
		return i
	}
	s := step{expression: e}
	for _, in := range e.in {
		s.in = append(s.in, c.add(in))
	}
	key := fmt.Sprint(e.call, s.in)
	i, ok := c.same[key]
	if !ok || e.alone {
		i = len(c.steps)
		c.steps = append(c.steps, s)
		c.same[key] = i
	}
	c.known[e] = i
	if e.field != "" {
		c.fields[e.field] = i
	}
	return i
}
