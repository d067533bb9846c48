package builtins

import (
	"fmt"
	"strings"
	"unicode"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// newFields returns the module fields.
//
//	fields.map({"name": expression or constant, …}, rest=None, drop=[], nulls="drop", where=None)
//
// says once what an event looks like; the host then maps each record. rest says what becomes of the
// record's other fields: None leaves them out, fields.keep passes them on, fields.snake passes them
// on under a snake_case name. A declared field takes the place of a passed one of the same name; the
// others follow in the order they are declared. A field that is declared as it came, under another
// name, has been renamed and does not pass again. drop names fields of the record that do not pass;
// "prefix*" names all that begin so. Missing fields are left out, and null ones too unless nulls is
// "keep". where is a test: records that fail it are left out. Values that do not convert stay as they
// came. If two fields get the same snake_case name, the later one gets "_2".
//
//	fields.first(a, b, …)      the first that is neither missing nor null
//	fields.when(test, a, b)    a or, when the test fails, b (None)
//	fields.join(sep, a, b, …)  the texts of those that are there, joined
//
// m.apply(record) maps one record, or a dict, and returns a record, or None if where fails.
func newFields() *starlarkstruct.Module {
	return module("fields", map[string]builtinFunc{
		"map":   fieldsMap,
		"first": fieldsFirst,
		"when":  fieldsWhen,
		"join":  fieldsJoin,
		"keep":  namingFunc(keepName),
		"snake": namingFunc(snakeName),
	})
}

// naming are the functions that rest can be, by the names they have in a script.
func naming(name string) func(string) string {
	switch name {
	case "fields.keep":
		return keepName
	case "fields.snake":
		return snakeName
	default:
		return nil
	}
}

func namingFunc(f func(string) string) builtinFunc {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var name string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
			return nil, err
		}
		return starlark.String(f(name)), nil
	}
}

func keepName(name string) string { return name }

// snakeName makes sender_address of SenderAddress and to_ip of ToIP: a word begins at a capital that
// follows a small letter or digit, or that a small letter follows. Spaces and hyphens become "_".
func snakeName(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, c := range runes {
		if unicode.IsUpper(c) && i > 0 {
			before := runes[i-1]
			starts := unicode.IsLower(before) || unicode.IsDigit(before)
			ends := unicode.IsUpper(before) && i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if starts || ends {
				b.WriteByte('_')
			}
		}
		if c == ' ' || c == '-' {
			c = '_'
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

func fieldsFirst(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 || len(args) == 0 {
		return nil, fmt.Errorf("%s: want field expressions by position", b.Name())
	}
	in, err := toExpressions(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return combine(b.Name(), in, func(r *run, in []int) cell {
		for _, i := range in {
			if c := r.get(i); !c.missing() {
				return c
			}
		}
		return cell{}
	}).checkSize()
}

func fieldsWhen(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var test *expression
	var then, otherwise starlark.Value = nil, starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "test", &test, "then", &then, "otherwise?", &otherwise); err != nil {
		return nil, err
	}
	if !test.test {
		return nil, fmt.Errorf("%s: got %s, want a test such as %s.eq(…)", b.Name(), test, test)
	}
	in, err := toExpressions([]starlark.Value{test, then, otherwise})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return combine(b.Name(), in, func(r *run, in []int) cell {
		if r.holds(in[0]) {
			return r.get(in[1])
		}
		return r.get(in[2])
	}).checkSize()
}

func fieldsJoin(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 || len(args) < 2 {
		return nil, fmt.Errorf("%s: want a separator and field expressions by position", b.Name())
	}
	sep, ok := starlark.AsString(args[0])
	if !ok {
		return nil, fmt.Errorf("%s: got a %s as separator, want a string", b.Name(), args[0].Type())
	}
	in, err := toExpressions(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return combine(b.Name(), in, func(r *run, in []int) cell { return r.join(sep, in[1:]) }).checkSize()
}

func (r *run) join(sep string, in []int) cell {
	var parts []string
	for _, i := range in {
		c := r.get(i)
		if c.missing() {
			continue
		}
		s, ok := c.scalar()
		if !ok {
			r.failed++
			s = c.text
		}
		parts = append(parts, s)
	}
	if parts == nil {
		return cell{}
	}
	return textCell(strings.Join(parts, sep))
}
