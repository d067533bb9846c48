package lsp

import (
	"bytes"
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

// lineStart returns where a line begins; the end of the text if there is no such line. It copies nothing: it is asked for every name of a file.
func lineStart(text []byte, n int) int {
	at := 0
	for ; n > 0; n-- {
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			return len(text)
		}
		at += i + 1
	}
	return at
}

// line returns a line of a text without its end; "" if there is no such line.
func line(text []byte, n int) string {
	l, _, _ := bytes.Cut(text[lineStart(text, n):], []byte("\n"))
	return strings.TrimSuffix(string(l), "\r")
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
	at, units := lineStart(text, p.Line), 0
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
	lines := bytes.Count(text, []byte("\n"))
	last := line(text, lines)
	return Range{End: Position{lines, len(utf16.Encode([]rune(last)))}}
}
