package lsp

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.starlark.net/syntax"
)

// A Position counts lines from 0, and in a line units of UTF-16, as the protocol does.
type Position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

// A Range ends before its end.
type Range struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// A Location is a place in a file.
type Location struct {
	URI   string `json:"uri"`
	Range Range  `json:"range"`
}

// line returns a line of a text without its end; "" if there is no such line.
func line(text []byte, n int) string {
	for l := range strings.SplitSeq(string(text), "\n") {
		if n == 0 {
			return strings.TrimSuffix(l, "\r")
		}
		n--
	}
	return ""
}

// toPosition converts a line and a column that count from 1, the column in characters.
func toPosition(text []byte, lineNumber, column int) Position {
	units := 0
	for _, r := range line(text, lineNumber-1) {
		if column--; column < 1 {
			break
		}
		units += utf16.RuneLen(r)
	}
	return Position{max(lineNumber-1, 0), units}
}

// toColumn returns the column, in characters from 1, of a position.
func toColumn(text []byte, p Position) int {
	column, units := 1, 0
	for _, r := range line(text, p.Line) {
		if units >= p.Character {
			break
		}
		units += utf16.RuneLen(r)
		column++
	}
	return column
}

// offset returns the byte at a position, at most the end of its line.
func offset(text []byte, p Position) int {
	at := 0
	for n := 0; n < p.Line; n++ {
		i := strings.IndexByte(string(text[at:]), '\n')
		if i < 0 {
			return len(text)
		}
		at += i + 1
	}
	units := 0
	for units < p.Character && at < len(text) && text[at] != '\n' {
		r, size := utf8.DecodeRune(text[at:])
		units += utf16.RuneLen(max(r, 0))
		at += size
	}
	return at
}

// rangeOf returns the range of a node.
func rangeOf(text []byte, n syntax.Node) Range {
	start, end := n.Span()
	return Range{toPosition(text, int(start.Line), int(start.Col)), toPosition(text, int(end.Line), int(end.Col))}
}

// whole is the range of a whole text.
func whole(text []byte) Range {
	lines := strings.Count(string(text), "\n")
	last := line(text, lines)
	return Range{End: Position{lines, len(utf16.Encode([]rune(last)))}}
}
