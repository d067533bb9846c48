package builtins

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"starling/builtins/internal/jsontape"
)

// valueMethods are the steps that change the kind of a value, look it up, look into it, or hand it to
// a function of the script.
var valueMethods = map[string]fieldMethod{
	"int":     kindMethod(toInt),
	"float":   kindMethod(toFloat),
	"bool":    kindMethod(toBool),
	"string":  kindMethod(toText),
	"ip_kind": kindMethod(toAddressKind),
	"at":      fieldAt,
	"lookup":  fieldLookup,
	"default": fieldDefault,
	"call":    fieldCall,
}

// kindMethod makes a method without arguments of a conversion, which reports whether it could.
func kindMethod(convert func(cell) (cell, bool)) fieldMethod {
	return func(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
		if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
			return nil, err
		}
		return e.then(b.Name()+"()", func(r *run, c cell) cell {
			if out, ok := convert(c); ok {
				return out
			}
			return r.fail(c)
		}), nil
	}
}

func toInt(c cell) (cell, bool) {
	n, ok := c.int64()
	if s, isText := c.str(); isText {
		n, ok = parseInt(strings.TrimSpace(s))
	}
	return cell{form: form{kind: integer}, num: n}, ok
}

func toFloat(c cell) (cell, bool) {
	s, ok := c.scalar()
	if !ok || c.kind == boolean || c.kind == moment {
		return c, false
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return c, false
	}
	text, _ := appendFloat(nil, f)
	return cell{form: form{kind: raw}, text: string(text)}, true
}

func toBool(c cell) (cell, bool) {
	s, ok := c.scalar()
	if !ok {
		return c, false
	}
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "yes", "1":
		return boolCell(true), true
	case "false", "no", "0":
		return boolCell(false), true
	}
	return c, false
}

func toText(c cell) (cell, bool) {
	if _, ok := c.str(); ok {
		return c, true
	}
	if s, ok := c.scalar(); ok {
		return cell{form: form{kind: plain}, text: s}, true
	}
	return textCell(string(c.appendTo(nil))), true
}

// fieldAt looks into objects and arrays; what is not there is missing.
func fieldAt(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	if len(kwargs) > 0 || len(args) == 0 {
		return nil, fmt.Errorf("at: want names of fields and places in lists, such as at(\"from\", \"address\") or at(0)")
	}
	names := make([]string, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case starlark.String:
		case starlark.Int:
			if n, ok := arg.Int64(); !ok || n < 0 {
				return nil, fmt.Errorf("at: got %v, want a place in a list, counted from 0", arg)
			}
		default:
			return nil, fmt.Errorf("at: got %s, want the name of a field or a place in a list", arg.Type())
		}
		names[i] = arg.String()
	}
	return e.then("at("+strings.Join(names, ", ")+")", func(r *run, c cell) cell {
		for _, step := range args {
			if c = r.member(c, step); c.missing() {
				return c
			}
		}
		return c
	}), nil
}

// member returns a field of an object, the last one of the name, or an element of an array.
func (r *run) member(c cell, step starlark.Value) (found cell) {
	if c.kind != raw && c.kind != loose || c.isNumber() {
		return cell{}
	}
	name, isName := starlark.AsString(step)
	if isName != c.isObject() {
		return cell{}
	}
	v, err := parseJSON(r.inner[:0], c.text, false)
	if err != nil { // it was taken before
		return cell{}
	}
	r.inner = v.nodes
	if isName {
		for i := 1; i < len(v.nodes); i = jsontape.Next(v.nodes, i+1) {
			if keyOf(v.text, &v.nodes[i]) == name {
				found = cellOf(v.text, &v.nodes[i+1])
			}
		}
		return found
	}
	place, _ := starlark.AsInt32(step)
	for i := 1; i < len(v.nodes); i = jsontape.Next(v.nodes, i) {
		if place == 0 {
			return cellOf(v.text, &v.nodes[i])
		}
		place--
	}
	return cell{}
}

// fieldLookup finds a text or a whole number in a dict; what is not in it, or missing, gives other.
func fieldLookup(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var dict starlark.IterableMapping
	var otherwise starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "table", &dict, "other?", &otherwise); err != nil {
		return nil, err
	}
	other, err := cellFrom(otherwise)
	if err != nil {
		return nil, fmt.Errorf("lookup: other: %w", err)
	}
	texts, numbers := map[string]cell{}, map[int64]cell{}
	for _, item := range dict.Items() {
		c, err := cellFrom(item[1])
		if err != nil {
			return nil, fmt.Errorf("lookup: the value of %v: %w", item[0], err)
		}
		switch k := item[0].(type) {
		case starlark.String:
			texts[string(k)] = c
		case starlark.Int:
			n, ok := k.Int64()
			if !ok {
				return nil, fmt.Errorf("lookup: the key %v is too large", k)
			}
			numbers[n] = c
		default:
			return nil, fmt.Errorf("lookup: got a %s as key, want strings or ints", k.Type())
		}
	}
	next := e.then(fmt.Sprintf("lookup({…}, %s)", other.appendTo(nil)), func(r *run, c cell) cell {
		found, ok := cell{}, false
		if n, isInt := c.int64(); isInt {
			found, ok = numbers[n]
		} else if s, isText := c.str(); isText {
			found, ok = texts[s]
		}
		if !ok {
			return other
		}
		return found
	})
	next.whole, next.alone = true, true
	return next, nil
}

// fieldDefault stands in for what is missing or null.
func fieldDefault(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var v starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "value", &v); err != nil {
		return nil, err
	}
	other, err := toExpression(v)
	if err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	return combine("default", []*expression{e, other}, func(r *run, in []int) cell {
		if c := r.get(in[0]); !c.missing() {
			return c
		}
		return r.get(in[1])
	}), nil
}

// fieldCall hands the value to a function of the script; None from it is like a missing field.
func fieldCall(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var fn starlark.Callable
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "function", &fn); err != nil {
		return nil, err
	}
	next := e.then("call("+fn.Name()+")", func(r *run, c cell) cell { return r.call(fn, c) })
	held := starlark.Value(fn)
	next.holds, next.alone = &held, true
	return next, nil
}
