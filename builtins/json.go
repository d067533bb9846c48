package builtins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// newJSON returns the module json.
//
//	json.decode(text, default=…)
//
// reads JSON from a string or bytes: an object becomes a record, an array becomes records, both
// decoded as they are read. Text that is not JSON is an error that says where, or gives default if
// there is one.
//
//	json.encode(value, indent=None)
//
// writes a value as JSON on one line, in the order in which a dict was filled. With indent, a number
// of spaces or a string, it is spread over lines. Times become text. Secrets, functions, NaN and
// infinity, and values nested deeper than 200 levels are errors.
func newJSON() *starlarkstruct.Module {
	return module("json", map[string]builtinFunc{"decode": jsonDecode, "encode": jsonEncode})
}

func jsonDecode(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text, otherwise starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text, "default?", &otherwise); err != nil {
		return nil, err
	}
	var body []byte
	switch t := text.(type) {
	case starlark.String:
		body = []byte(t)
	case starlark.Bytes:
		body = []byte(t)
	default:
		return nil, fmt.Errorf("%s: got %s, want string or bytes", b.Name(), text.Type())
	}
	v, err := NewDocument(body)
	if err != nil && otherwise != nil {
		return otherwise, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return v, nil
}

func jsonEncode(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	var indent starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "value", &v, "indent?", &indent); err != nil {
		return nil, err
	}
	text, err := appendJSON(nil, v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if indent == starlark.None {
		return starlark.String(text), nil
	}
	by, err := indentText(indent)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	var spread bytes.Buffer
	if err := json.Indent(&spread, text, "", by); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.String(spread.String()), nil
}

func indentText(v starlark.Value) (string, error) {
	switch v := v.(type) {
	case starlark.Int:
		if n, ok := v.Int64(); ok && n >= 0 && n <= 16 {
			return strings.Repeat(" ", int(n)), nil
		}
	case starlark.String:
		if strings.Trim(string(v), " \t") == "" && len(v) <= 16 {
			return string(v), nil
		}
	}
	return "", fmt.Errorf("indent: want a number of spaces from 0 to 16, or a string of spaces and tabs")
}
