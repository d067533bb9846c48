package layout

import (
	"slices"
	"strings"
	"testing"
)

func TestCells(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "abc": 3, "日本": 4, "e\u0301": 1, "café": 4, "👍": 2} {
		if got := Cells(text); got != want {
			t.Errorf("%q takes %d cells, want %d", text, got, want)
		}
	}
}

func TestTextsAreCutWithASign(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{Fit("abcdef", 6), "abcdef"},
		{Fit("abcdef", 4), "abc…"},
		{Fit("日本語", 4), "日…"},
		{FitMiddle("abcdefgh", 5), "ab…gh"},
		{FitMiddle("abcdefgh", 8), "abcdefgh"},
		{Pad("日", 4) + "|", "日  |"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestLinesEndAtSpaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		cells int
		want  []string
	}{
		{"one two three", 0, []string{"one two three"}},
		{"one two three", 13, []string{"one two three"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 4, []string{"one", "two", "thre", "e"}},
		{"      indented", 8, []string{"      in", "dented"}},
		{"日本 語", 4, []string{"日本", "語"}},
		{"日", 1, []string{"日"}},
	} {
		if got := Lines(c.text, c.cells); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d: got %q, want %q", c.text, c.cells, got, c.want)
		}
	}
	if got, want := Fill("    do:  ", "nothing, if it works", 22), "    do:  nothing, if\n         it works"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("one two three", 5)
	f.Add("日本語 e\u0301 \xff", 3)
	f.Fuzz(func(t *testing.T, text string, cells int) {
		if cells < 2 || cells > 1000 {
			return
		}
		lines := Lines(text, cells)
		for _, line := range lines {
			if Cells(line) > cells {
				t.Errorf("%q takes more than %d cells", line, cells)
			}
		}
		squeezed := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if squeezed(strings.Join(lines, "")) != squeezed(text) {
			t.Errorf("%q became %q", text, lines)
		}
		if Cells(Fit(text, cells)) > cells || Cells(FitMiddle(text, cells)) > cells {
			t.Errorf("%q does not fit %d cells", text, cells)
		}
	})
}
