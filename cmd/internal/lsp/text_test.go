package lsp

import (
	"runtime"
	"strings"
	"testing"
)

// TestPlaces go there and back, also behind what takes two units of UTF-16, and end with their line and the text.
func TestPlaces(t *testing.T) {
	t.Parallel()
	text := []byte("a😀b\r\n\nÄc")
	for _, c := range []struct {
		p                    Position
		offset, line, column int // the line and the column count from 1
	}{
		{Position{0, 0}, 0, 1, 1}, {Position{0, 3}, 5, 1, 3}, {Position{0, 4}, 6, 1, 4}, {Position{1, 0}, 8, 2, 1}, {Position{2, 1}, 11, 3, 2}, {Position{2, 2}, 12, 3, 3},
	} {
		if got := offset(text, c.p); got != c.offset {
			t.Errorf("%v: got byte %d, want %d", c.p, got, c.offset)
		}
		if got := toColumn(text, c.p); got != c.column {
			t.Errorf("%v: got column %d, want %d", c.p, got, c.column)
		}
		if got := toPosition(text, c.line, c.column); got != c.p {
			t.Errorf("%d:%d: got %v, want %v", c.line, c.column, got, c.p)
		}
	}
	for p, want := range map[Position]int{{1, 9}: 8, {2, 9}: 12, {9, 9}: 12} {
		if got := offset(text, p); got != want {
			t.Errorf("%v, which is not there: got byte %d, want %d", p, got, want)
		}
	}
}

// TestPlacesCopyNoText: they are asked for every name and every finding of a file.
func TestPlacesCopyNoText(t *testing.T) {
	text := []byte(strings.Repeat("x = 1\n", 10_000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	offset(text, Position{9_999, 3})
	toPosition(text, 10_000, 3)
	toColumn(text, Position{9_999, 3})
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 10_000 {
		t.Errorf("%d bytes are allocated for three places in a text of %d", got, len(text))
	}
}
