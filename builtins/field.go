package builtins

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// An expression is what field("Name") begins and each method continues: a value of a record, said
// once at the top level of a script and worked out for each record by the host. It never changes.
type expression struct {
	// call is how the script writes the step. Steps with the same call and the same inputs give the
	// same value, unless they are alone, so that a mapping works them out once.
	call  string
	in    []*expression
	chain bool // call is a method of in[0], not a function of in
	alone bool
	size  int // steps, those of in included

	// One of these is set. one gets the value before it, which is there and in order unless whole is
	// set; all asks r.get for those of in that it needs.
	one   func(r *run, c cell) cell
	all   func(r *run, in []int) cell
	whole bool

	field  string          // name of the field, if it is a field as it came
	test   bool            // gives true or false
	holds  *starlark.Value // what it must freeze: a function
	frozen bool
}

// maxSteps bounds an expression. Only a script that puts expressions into themselves reaches it.
const maxSteps = 1000

var (
	_ starlark.HasAttrs  = (*expression)(nil)
	_ starlark.HasBinary = (*expression)(nil)
	_ starlark.HasUnary  = (*expression)(nil)
)

func (e *expression) Type() string          { return "field expression" }
func (e *expression) Truth() starlark.Bool  { return true }
func (e *expression) Hash() (uint32, error) { return starlark.String(e.String()).Hash() }

// String returns the expression as a script writes it.
func (e *expression) String() string {
	if len(e.in) == 0 {
		return e.call
	}
	parts := make([]string, len(e.in))
	for i, in := range e.in {
		parts[i] = in.String()
	}
	if e.chain {
		return parts[0] + "." + e.call
	}
	return e.call + "(" + strings.Join(parts, ", ") + ")"
}

// Freeze freezes the functions that the expression calls.
func (e *expression) Freeze() {
	if e.frozen {
		return
	}
	e.frozen = true
	if e.holds != nil {
		(*e.holds).Freeze()
	}
	for _, in := range e.in {
		in.Freeze()
	}
}

// newField returns the builtin field.
//
//	field("SenderAddress")
//
// is the value of a record's field, for fields.map, devo.table and fields.first, when and join.
// Methods say what becomes of it:
//
//	text    lower() upper() trim() user() domain() replace(old, new) match(pattern, group=1) first(n)
//	time    time(format=None): ISO 8601, /Date(ms)/, or format="epoch", "epoch_ms"
//	        iso(digits=3) ms() date()
//	kind    int() float() bool() string()
//	address ip_kind() ip_in([nets])
//	other   at("a", 0, …) lookup(dict, other=None) default(value) call(function)
//	tests   eq(value) one_of(values) missing() present(), joined by & and |, turned round by ~
//
// A field that is missing or null stays so; only default, lookup and the tests take notice. What
// does not convert stays as it came and is counted, and the steps that follow leave it alone.
func newField() *starlark.Builtin {
	return starlark.NewBuiltin("field", func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var name string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
			return nil, err
		}
		return &expression{call: fmt.Sprintf("field(%q)", name), field: name, size: 1,
			all: func(*run, []int) cell { return cell{} }}, nil
	})
}

// then returns e with one more step; call is how the script writes the step.
func (e *expression) then(call string, one func(*run, cell) cell) *expression {
	return &expression{call: call, in: []*expression{e}, chain: true, size: e.size + 1, one: one}
}

// asTest marks a step that gives true or false and looks at missing values too.
func (e *expression) asTest() *expression {
	e.test, e.whole = true, true
	return e
}

// combine returns an expression made of several.
func combine(call string, in []*expression, all func(*run, []int) cell) *expression {
	e := &expression{call: call, in: in, size: 1, all: all}
	for _, part := range in {
		e.size += part.size
	}
	return e
}

// constant returns the expression of a value that a script has written down.
func constant(v starlark.Value) (*expression, error) {
	c, err := cellFrom(v)
	if err != nil {
		return nil, err
	}
	text := string(c.appendTo(nil))
	if c.kind == free && len(text) == len(c.text)+2 {
		c.kind = plain
	}
	return &expression{call: text, size: 1, all: func(*run, []int) cell { return c }}, nil
}

// toExpression takes an expression or a constant.
func toExpression(v starlark.Value) (*expression, error) {
	switch v := v.(type) {
	case *expression:
		return v, nil
	case starlark.Callable:
		return nil, fmt.Errorf("got a function, want a field expression or a constant; to call it for each record write field(…).call(%s)", v.Name())
	}
	return constant(v)
}

func toExpressions(values []starlark.Value) ([]*expression, error) {
	list := make([]*expression, len(values))
	for i, v := range values {
		var err error
		if list[i], err = toExpression(v); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// checkSize refuses what has grown out of all proportion.
func (e *expression) checkSize() (starlark.Value, error) {
	if e.size > maxSteps {
		return nil, fmt.Errorf("the expression has more than %d steps", maxSteps)
	}
	return e, nil
}

// A fieldMethod reads its arguments and returns e with its step added.
type fieldMethod func(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error)

func fieldMethods(name string) fieldMethod {
	for _, group := range []map[string]fieldMethod{textMethods, timeMethods, valueMethods, testMethods} {
		if m, ok := group[name]; ok {
			return m
		}
	}
	return nil
}

// Attr returns a method.
func (e *expression) Attr(name string) (starlark.Value, error) {
	m := fieldMethods(name)
	if m == nil {
		return nil, nil
	}
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		next, err := m(e, b, args, kwargs)
		if err != nil {
			return nil, err
		}
		return next.checkSize()
	}), nil
}

// AttrNames lists the methods.
func (e *expression) AttrNames() []string {
	var names []string
	for _, group := range []map[string]fieldMethod{textMethods, timeMethods, valueMethods, testMethods} {
		for name := range group {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Binary is & and | of tests.
func (e *expression) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	o, ok := y.(*expression)
	if op != syntax.AMP && op != syntax.PIPE || !ok {
		return nil, nil
	}
	if !e.test || !o.test {
		return nil, fmt.Errorf("%s joins tests such as field(…).eq(…), got %s and %s", op, e, o)
	}
	join := func(r *run, in []int) cell { return boolCell(r.holds(in[0]) && r.holds(in[1])) }
	if op == syntax.PIPE {
		join = func(r *run, in []int) cell { return boolCell(r.holds(in[0]) || r.holds(in[1])) }
	}
	both := combine(op.String(), []*expression{e, o}, join)
	return both.asTest().checkSize()
}

// Unary is ~, the opposite of a test.
func (e *expression) Unary(op syntax.Token) (starlark.Value, error) {
	if op != syntax.TILDE {
		return nil, nil
	}
	if !e.test {
		return nil, fmt.Errorf("~ turns a test such as field(…).eq(…) round, got %s", e)
	}
	not := combine("~", []*expression{e}, func(r *run, in []int) cell { return boolCell(!r.holds(in[0])) })
	return not.asTest().checkSize()
}
