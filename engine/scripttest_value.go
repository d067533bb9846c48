package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"starling/engine/internal/diff"
)

func (t *scriptTest) String() string        { return "t" }
func (t *scriptTest) Type() string          { return "t" }
func (t *scriptTest) Freeze()               {}
func (t *scriptTest) Truth() starlark.Bool  { return true }
func (t *scriptTest) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: t") }

type testMethod = func(*scriptTest, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// testMethods is the table of what t can do.
func testMethods() map[string]testMethod {
	return map[string]testMethod{
		"equal": testEqual, "true": testTrue, "contains": testContains, "http": testHTTP, "clock": testClock,
		"settings": testSettings, "cursor": testCursor, "file": testReadFile, "pull": testPull, "golden": testGolden,
	}
}

func (t *scriptTest) AttrNames() []string {
	return append(sortedKeys(testMethods()), "fails", "run", "script")
}

func (t *scriptTest) Attr(name string) (starlark.Value, error) {
	switch name {
	case "script":
		s, err := t.load()
		if err != nil {
			return nil, err
		}
		return starlarkstruct.FromStringDict(starlark.String("script"), s.globals), nil
	case "fails":
		return starlark.NewBuiltin("t.fails", testFails), nil
	case "run":
		return starlark.NewBuiltin("t.run", t.runPart), nil
	}
	if m, ok := testMethods()[name]; ok {
		return starlark.NewBuiltin("t."+name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			return m(t, b, args, kwargs)
		}), nil
	}
	return nil, nil
}

func testEqual(_ *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var got, want starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "got", &got, "want", &want); err != nil {
		return nil, err
	}
	if err := checkComparison(got); err != nil {
		return nil, err
	}
	if eq, err := starlark.Equal(got, want); err != nil || !eq {
		return nil, errors.New(diff.Values(got, want, Show))
	}
	return starlark.None, nil
}

func testTrue(_ *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var cond starlark.Value
	msg := "not true"
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "cond", &cond, "msg?", &msg); err != nil {
		return nil, err
	}
	if !cond.Truth() {
		return nil, fmt.Errorf("%s", msg)
	}
	return starlark.None, nil
}

func testContains(_ *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text, part starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text, "part", &part); err != nil {
		return nil, err
	}
	if err := checkComparison(part); err != nil {
		return nil, err
	}
	has, err := starlark.Binary(syntax.IN, part, text)
	if err != nil {
		return nil, fmt.Errorf("got %s, want a text, a list or a dict with %s in it", text.Type(), Show(part))
	}
	if !has.Truth() {
		return nil, fmt.Errorf("got  %s\nwant something with %s", plainText(text), plainText(part))
	}
	return starlark.None, nil
}

func plainText(v starlark.Value) string {
	if text, ok := starlark.AsString(v); ok {
		return text
	}
	return Show(v)
}

func testFails(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var f starlark.Callable
	var pattern string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "f", &f, "pattern", &pattern); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	_, err = starlark.Call(thread, f, nil, nil)
	if thread.Local(iteratorFailure) != nil {
		// A failed iterator has cancelled the thread; this failure was wanted, so the test goes on.
		thread.Uncancel()
		err = iteratorError(thread, err)
	}
	if err == nil {
		return nil, fmt.Errorf("did not fail; want an error like %q", pattern)
	}
	if !re.MatchString(err.Error()) {
		return nil, fmt.Errorf("failed with %q; want an error like %q", err.Error(), pattern)
	}
	return starlark.String(err.Error()), nil
}

// testHTTP adds an answer: used once, in order, by the first request that fits.
func testHTTP(t *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	c := cannedAnswer{status: 200, times: 1}
	var headers *starlark.Dict
	var value starlark.Value
	var file string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "method", &c.method, "url_part", &c.part, "status?", &c.status,
		"headers?", &headers, "json?", &value, "body?", &c.body, "file?", &file, "times?", &c.times); err != nil {
		return nil, err
	}
	c.header = http.Header{}
	if value != nil {
		text, err := encodeJSON(value)
		if err != nil {
			return nil, err
		}
		c.body = text
		c.header.Set("Content-Type", "application/json")
	}
	if file != "" {
		text, ok := t.sources.Text(file)
		if !ok {
			return nil, fmt.Errorf("no file %s in the scripts folder; files that tests read are below testdata/", file)
		}
		c.body = string(text)
	}
	if headers != nil {
		for _, item := range headers.Items() {
			name, _ := starlark.AsString(item[0])
			text, _ := starlark.AsString(item[1])
			c.header.Set(name, text)
		}
	}
	t.canned.answers = append(t.canned.answers, &c)
	return starlark.None, nil
}

func testClock(t *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var at string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "at", &at); err != nil {
		return nil, err
	}
	now, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return nil, fmt.Errorf("got %q, want a time like \"2026-01-02T03:04:05Z\"", at)
	}
	t.now = now.UTC()
	return starlark.None, nil
}

// testSettings changes settings of the script under test; it has to come before its first use.
func testSettings(t *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("takes keywords only, such as t.settings(tenant_id = \"t\")")
	}
	changed := map[string]any{}
	for name, v := range t.settings {
		changed[name] = v
	}
	for _, kv := range kwargs {
		v, err := goValue(kv[1])
		if err != nil {
			return nil, err
		}
		name, _ := starlark.AsString(kv[0])
		changed[name] = v
	}
	t.settings, t.loaded = changed, nil
	return starlark.None, nil
}

func testCursor(t *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var value starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "value", &value); err != nil {
		return nil, err
	}
	text, err := encodeJSON(value)
	if err != nil {
		return nil, err
	}
	return starlark.None, t.env.Store.SetCursor(t.key, name, json.RawMessage(text))
}

func testReadFile(t *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	text, ok := t.sources.Text(name)
	if !ok {
		return nil, fmt.Errorf("no file %s in the scripts folder; files that tests read are below testdata/", name)
	}
	return starlark.String(text), nil
}

func testPull(t *scriptTest, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	result, err := t.run()
	if err != nil {
		return nil, err
	}
	fields := starlark.StringDict{}
	for _, item := range result.Items() {
		name, _ := starlark.AsString(item[0])
		fields[name] = item[1]
	}
	return starlarkstruct.FromStringDict(starlark.String("pulled"), fields), nil
}

func eventValue(e Event) (starlark.Value, error) {
	var body starlark.Value = starlark.String(e.Body)
	if bytes.HasPrefix(e.Body, []byte("{")) {
		v, err := decodeJSON(string(e.Body))
		if err != nil {
			return nil, err
		}
		body = v
	}
	at := ""
	if !e.Time.IsZero() {
		at = e.Time.Format("2006-01-02T15:04:05.000Z")
	}
	return starlarkstruct.FromStringDict(starlark.String("event"), starlark.StringDict{
		"tag": starlark.String(e.Table.Tag), "time": starlark.String(at), "body": body, "raw": starlark.String(e.Body)}), nil
}

func decodeJSON(text string) (starlark.Value, error) {
	return starlark.Call(new(starlark.Thread), starjson.Module.Members["decode"], starlark.Tuple{starlark.String(text)}, nil)
}

func encodeJSON(v starlark.Value) (string, error) {
	if err := checkParts("json", maxParts, v); err != nil {
		return "", err // the encoder calls itself for each level
	}
	text, err := starlark.Call(new(starlark.Thread), starjson.Module.Members["encode"], starlark.Tuple{v}, nil)
	if err != nil {
		return "", err
	}
	s, _ := starlark.AsString(text)
	return s, nil
}

func goDict(d *starlark.Dict) (map[string]any, error) {
	v, err := goValue(d)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("got %s, want a dict with string keys", Show(d))
	}
	return m, nil
}

// goValue turns a Starlark value into what a configuration file could have held.
func goValue(v starlark.Value) (any, error) {
	text, err := encodeJSON(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		return nil, err
	}
	return PlainNumbers(x), nil
}

// PlainNumbers puts an int64, or else a float64, in the place of each json.Number in a value, as configuration files have them.
func PlainNumbers(x any) any {
	switch x := x.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n
		}
		f, _ := x.Float64()
		return f
	case []any:
		for i := range x {
			x[i] = PlainNumbers(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = PlainNumbers(x[k])
		}
	}
	return x
}
