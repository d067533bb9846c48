package diff

import (
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

func TestValues(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 150)
	for _, c := range []struct{ got, want, text string }{
		{`"a"`, `"b"`, "got  \"a\"\nwant \"b\""},
		{`[1]`, `{}`, "got  [1]\nwant {}"},
		{`{"a": {"b": [1, 2, {"c": 3}]}, "x": long}`, `{"a": {"b": [1, 2, {"c": 4}]}, "x": long}`, "1 place differs\n  [\"a\"][\"b\"][2][\"c\"]: got 3, want 4"},
		{`{"a": 1, "long": long, "new": 2}`, `{"a": 1, "long": long, "old": 3}`, "2 places differ\n  [\"old\"]: is missing, want 3\n  [\"new\"]: got 2, want nothing"},
		{`[long, 1, 2, 3]`, `[long, 1, 3]`, "1 place differs\n  [2]: got 2, want nothing"},
		{`[long, 1, 3]`, `[long, 1, 2, 3]`, "1 place differs\n  [2]: is missing, want 2"},
		{`'{"a": 1, "b": "%s"}' % long`, `'{"b": "%s", "a": 2}' % long`, "as JSON, 1 place differs\n  [\"a\"]: got 1, want 2"},
		{`"one\ntwo\nthree\nfour\nfive"`, `"one\ntwo\n3\nfour\nfive"`, "the lines differ (- wanted, + got)\n    two\n  - 3\n  + three\n    four"},
		{`long + "a" + long`, `long + "b" + long`, "the texts differ from byte 150 on (301 bytes, want 301)\ngot  …" +
			strings.Repeat("x", 30) + "a" + strings.Repeat("x", 59) + "\nwant …" + strings.Repeat("x", 30) + "b" + strings.Repeat("x", 59)},
	} {
		value := func(text string) starlark.Value {
			v, err := starlark.EvalOptions(&syntax.FileOptions{}, new(starlark.Thread), "x.star", text, starlark.StringDict{"long": starlark.String(long)})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if text := Values(value(c.got), value(c.want), starlark.Value.String); text != c.text {
			t.Errorf("%s, %s: got\n%s\nwant\n%s", c.got, c.want, text, c.text)
		}
	}
}

func TestManyDifferencesAreCounted(t *testing.T) {
	t.Parallel()
	got, want := starlark.NewList(nil), starlark.NewList(nil)
	for i := range 50 {
		got.Append(starlark.MakeInt(i + 100))
		want.Append(starlark.MakeInt(i + 200))
	}
	text := Values(got, want, starlark.Value.String)
	if !strings.HasPrefix(text, "50 places differ\n  [0]: got 100, want 200\n") || !strings.HasSuffix(text, "\n  and 30 more") {
		t.Error(text)
	}
}
