package engine

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestScalarsOfYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		"5":                    int64(5),
		"-5":                   int64(-5),
		"0":                    int64(0),
		"1.5":                  1.5,
		"1e3":                  1000.0,
		"true":                 true,
		"True":                 true,
		"null":                 nil,
		"~":                    nil,
		"":                     nil,
		"yes":                  "yes",
		"off":                  "off",
		"2023-01-01":           "2023-01-01",
		"2023-01-01 10:00:00":  "2023-01-01 10:00:00",
		"2023-01-01T10:00:00Z": "2023-01-01T10:00:00Z",
		"007":                  "007",
		"0.5":                  0.5,
		"12:30:00":             "12:30:00",
		`"5"`:                  "5",
		"'true'":               "true",
		"!!str 5":              "5",
		`"\u00e4\U0001F600"`:   "ä😀",
		"|\n  two\n  lines\n":  "two\nlines\n",
		"9223372036854775807":  int64(9223372036854775807),
		"${A}":                 "${A}",
		"[1, a, {b: 2}]":       []any{int64(1), "a", map[string]any{"b": int64(2)}},
		"&x [1]":               []any{int64(1)},
		"{a: &x [1], b: *x}":   map[string]any{"a": []any{int64(1)}, "b": []any{int64(1)}},
		"{a: &x {p: 1, q: 2}, b: {<<: *x, q: 3}}": map[string]any{
			"a": map[string]any{"p": int64(1), "q": int64(2)}, "b": map[string]any{"p": int64(1), "q": int64(3)}},
		"{<<: [{p: 1}, {p: 2, q: 2}]}": map[string]any{"p": int64(1), "q": int64(2)},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			ps := &problems{file: "x"}
			root := parseYAML([]byte("k: "+text), ps)
			if err := ps.err(); err != nil {
				t.Fatal(err)
			}
			if got := root.entries[0].value.object(); !reflect.DeepEqual(got, want) {
				t.Errorf("got %#v, want %#v", got, want)
			}
		})
	}
}

func TestTreesAreBounded(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, c := range map[string]struct {
		parse func([]byte, *problems) *node
		text  string
		want  string
	}{
		"aliases that multiply":     {parseYAML, bomb, "more than 100000 values"},
		"alias of itself":           {parseYAML, "a: &a [*a]", "nested more than 64 deep"},
		"merge of itself":           {parseYAML, "a: &a {<<: *a}", "nested more than 64 deep"},
		"deep YAML":                 {parseYAML, strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested more than 64 deep"},
		"deep JSON":                 {parseJSON, strings.Repeat("[", 100_000), "nested more than 64 deep"},
		"wide JSON":                 {parseJSON, "[" + strings.Repeat("1,", 200_000) + "1]", "more than 100000 values"},
		"not UTF-8":                 {parseYAML, "a: b\nc: \xff", "x:2:4: is not a text in UTF-8"},
		"control character":         {parseYAML, "a: ä\x00", "x:1:5: is not a text in UTF-8"},
		"UTF-16":                    {parseYAML, "\xff\xfea\x00", "x:1:1: is not a text in UTF-8"},
		"second document is broken": {parseYAML, "a: b\n---\n'", "found unexpected end of stream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ps := &problems{file: "x"}
			c.parse([]byte(c.text), ps)
			if got := errorText(ps.err()); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

func TestPlacesInJSON(t *testing.T) {
	t.Parallel()
	ps := &problems{}
	root := parseJSON([]byte("{\"ä\": 1,\n\t\"b\" : [true,\n null]}"), ps)
	if err := ps.err(); err != nil {
		t.Fatal(err)
	}
	ä, b := root.entries[0], root.entries[1]
	var got []int
	for _, n := range []*node{ä.value, b.value, b.value.items[0], b.value.items[1]} {
		got = append(got, n.line, n.col)
	}
	if want := []int{1, 7, 2, 8, 2, 9, 3, 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("got places %v, want %v", got, want)
	}
	if b.line != 2 || b.col != 2 {
		t.Errorf("got key at %d:%d, want 2:2", b.line, b.col)
	}
}
