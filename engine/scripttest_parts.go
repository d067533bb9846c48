package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine/internal/diff"
)

// runPart is t.run(name, f): a test of its own within the test, which goes on when it fails.
func (t *scriptTest) runPart(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var f starlark.Callable
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "f", &f); err != nil {
		return nil, err
	}
	part := &scriptTest{ctx: t.ctx, library: t.library, sources: t.sources, script: t.script, file: t.file, name: t.name + "/" + name,
		settings: maps.Clone(t.settings), now: t.now}
	if only := t.library.TestOnly; only != nil && !only(part.name) {
		return starlark.True, nil
	}
	for _, other := range t.parts {
		if other.Name == part.name {
			return nil, fmt.Errorf("there was a part %q already: give it another name", name)
		}
	}
	part.state(t.env.Store, t.env.Limits)
	began := time.Now()
	err := part.call(f)
	t.parts = append(append(t.parts, TestResult{Name: part.name, Duration: time.Since(began), Err: err}), part.parts...)
	return starlark.Bool(err == nil), nil
}

// testGolden compares a value with a file beside the test, or writes the file.
func testGolden(t *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var value starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "value", &value); err != nil {
		return nil, err
	}
	if name == "" || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "..") || strings.Contains(name, `\`) {
		return nil, fmt.Errorf("got the name %q, want one of a file below testdata/, such as \"events.json\"", name)
	}
	file := path.Join(path.Dir(t.file), "testdata", name)
	text, err := goldenText(value)
	if err != nil {
		return nil, err
	}
	want, ok := t.sources.Text(file)
	switch {
	case ok && string(want) == text:
		return starlark.None, nil
	case t.library.Golden != nil:
		return starlark.None, t.library.Golden(file, text)
	case !ok:
		return nil, fmt.Errorf("there is no golden file %s yet: starling test --update writes it", file)
	}
	return nil, errors.New("differs from " + file + ", " + diff.Lines(text, string(want)) + "\nstarling test --update writes it again")
}

// goldenText is a text as it is, and anything else as JSON with a line for each value.
func goldenText(v starlark.Value) (string, error) {
	if text, ok := starlark.AsString(v); ok {
		return text, nil
	}
	if err := checkParts("golden", maxParts, v); err != nil {
		return "", err
	}
	text, err := encodeJSON(goldenValue(v))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		return "", err
	}
	return b.String() + "\n", nil
}

// goldenValue leaves out of pulls and events what says the same twice, and requests, which may have secrets.
func goldenValue(v starlark.Value) starlark.Value {
	switch v := v.(type) {
	case *starlark.List:
		list := make([]starlark.Value, v.Len())
		for i := range list {
			list[i] = goldenValue(v.Index(i))
		}
		return starlark.NewList(list)
	case *starlarkstruct.Struct:
		wanted := map[starlark.Value][]string{starlark.String("event"): {"tag", "time", "body"}, starlark.String("pulled"): {"events", "cursors", "error"}}
		names, ok := wanted[v.Constructor()]
		if !ok {
			return v
		}
		d := starlark.NewDict(len(names))
		for _, name := range names {
			field, err := v.Attr(name)
			if err == nil {
				err = d.SetKey(starlark.String(name), goldenValue(field))
			}
			if err != nil {
				return v
			}
		}
		return d
	}
	return v
}
