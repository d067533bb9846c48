package builtins

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A Mapping is what fields.map returns: what an event looks like. It never changes.
type Mapping struct {
	names  []string // of the declared fields
	values []*expression
	rest   func(string) string // nil: other fields are left out
	drop   []string
	nulls  bool // nulls are kept
	where  *expression
}

var _ starlark.HasAttrs = (*Mapping)(nil)

func (m *Mapping) String() string        { return fmt.Sprintf("<fields.map of %d fields>", len(m.names)) }
func (m *Mapping) Type() string          { return "fields.map" }
func (m *Mapping) Truth() starlark.Bool  { return true }
func (m *Mapping) Hash() (uint32, error) { return 0, errors.New("unhashable: fields.map") }

// Freeze freezes the functions that are called for fields.
func (m *Mapping) Freeze() {
	for _, e := range m.values {
		e.Freeze()
	}
	if m.where != nil {
		m.where.Freeze()
	}
}

// Attr returns apply.
func (m *Mapping) Attr(name string) (starlark.Value, error) {
	if name == "apply" {
		return starlark.NewBuiltin("apply", mappingApply).BindReceiver(m), nil
	}
	return nil, nil
}

// AttrNames lists what Attr knows.
func (m *Mapping) AttrNames() []string { return []string{"apply"} }

func fieldsMap(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var declared starlark.IterableMapping
	var rest, where starlark.Value = starlark.None, starlark.None
	var drop starlark.Iterable
	nulls := "drop"
	if err := unpack(b, args, kwargs, 1, "fields", &declared, "rest?", &rest, "drop?", &drop, "nulls?", &nulls, "where?", &where); err != nil {
		return nil, err
	}
	m := &Mapping{nulls: nulls == "keep"}
	err := errors.Join(m.declare(declared), m.passOn(rest), m.leaveOut(drop), m.onlyWhere(where))
	if nulls != "keep" && nulls != "drop" {
		err = errors.Join(err, fmt.Errorf(`nulls: got %q, want "drop" or "keep"`, nulls))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return m, nil
}

func (m *Mapping) declare(declared starlark.IterableMapping) error {
	for _, item := range declared.Items() {
		name, ok := starlark.AsString(item[0])
		if !ok {
			return fmt.Errorf("the name of a field is a string, got %s", item[0].Type())
		}
		e, err := toExpression(item[1])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.names, m.values = append(m.names, name), append(m.values, e)
	}
	return nil
}

func (m *Mapping) passOn(rest starlark.Value) error {
	if rest == starlark.None {
		return nil
	}
	if b, ok := rest.(*starlark.Builtin); ok {
		m.rest = naming(b.Name())
	}
	if m.rest == nil {
		return fmt.Errorf("rest: got %s, want None, fields.keep or fields.snake", rest.Type())
	}
	return nil
}

func (m *Mapping) leaveOut(drop starlark.Iterable) error {
	if drop == nil {
		return nil
	}
	for v := range starlark.Elements(drop) {
		name, ok := starlark.AsString(v)
		if !ok {
			return fmt.Errorf("drop: got %s, want names of fields", v.Type())
		}
		m.drop = append(m.drop, name)
	}
	if len(m.drop) > 0 && m.rest == nil {
		return errors.New("drop: only what rest passes on can be dropped: give rest, or remove drop")
	}
	return nil
}

func (m *Mapping) onlyWhere(where starlark.Value) error {
	if where == starlark.None {
		return nil
	}
	e, ok := where.(*expression)
	if !ok || !e.test {
		return fmt.Errorf("where: got %s, want a test such as field(\"Status\").eq(\"Failed\")", where.Type())
	}
	m.where = e
	return nil
}

// dropped reports whether drop names a field of the record.
func (m *Mapping) dropped(name string) bool {
	for _, d := range m.drop {
		prefix, all := strings.CutSuffix(d, "*")
		if name == d || all && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// mappingApply maps one record, so that a test can look at what comes out.
func mappingApply(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var record starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "record", &record); err != nil {
		return nil, err
	}
	doc, err := recordJSON(record)
	if err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	pull, _ := engine.PullOf(thread)
	r := newRun(compile(b.Receiver().(*Mapping)), thread, pull)
	r.read(doc)
	if !r.wanted() {
		return starlark.None, r.err
	}
	body := r.appendTo(nil)
	if r.err != nil {
		return nil, r.err
	}
	return NewDocument(body)
}

// recordJSON returns a record or dict as JSON.
func recordJSON(v starlark.Value) (jsonValue, error) {
	if r, ok := v.(*Record); ok && !r.split {
		return r.json, nil
	}
	if _, ok := v.(starlark.IterableMapping); !ok {
		return jsonValue{}, fmt.Errorf("got %s, want a record or a dict", v.Type())
	}
	text, err := appendJSON(nil, v)
	if err != nil {
		return jsonValue{}, err
	}
	return parseBytes(text, false)
}
