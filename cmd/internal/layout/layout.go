// Package layout lays text out in the cells of a terminal: a letter takes one, one of East Asia's two, a mark on a letter none.
package layout

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

func cellsOf(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cells is how many a text takes.
func Cells(text string) int {
	n := 0
	for _, r := range text {
		n += cellsOf(r)
	}
	return n
}

// head returns as much of the beginning as fits.
func head(text string, cells int) string {
	for i, r := range text {
		if cells -= cellsOf(r); cells < 0 {
			return text[:i]
		}
	}
	return text
}

// tail returns as much of the end as fits.
func tail(text string, cells int) string {
	runes := []rune(text)
	for i := len(runes) - 1; i >= 0; i-- {
		if cells -= cellsOf(runes[i]); cells < 0 {
			return string(runes[i+1:])
		}
	}
	return text
}

// Fit cuts a text that is too long, and ends it with an ellipsis.
func Fit(text string, cells int) string {
	if Cells(text) <= cells {
		return text
	}
	return head(text, cells-1) + "…"
}

// FitMiddle cuts a text that is too long in its middle.
func FitMiddle(text string, cells int) string {
	if Cells(text) <= cells {
		return text
	}
	begin := head(text, (cells-1)/2)
	return begin + "…" + tail(text, cells-1-Cells(begin))
}

// Pad fills a text up with spaces.
func Pad(text string, cells int) string {
	return text + strings.Repeat(" ", max(0, cells-Cells(text)))
}

// Lines breaks a text at spaces; a word that is longer than a line is broken too. With 0 cells it is not broken.
func Lines(text string, cells int) []string {
	var lines []string
	for cells > 0 {
		line := head(text, cells)
		rest := text[len(line):]
		if line == "" || rest == "" { // not even a letter has room, or all of it
			break
		}
		if at := strings.LastIndexByte(line, ' '); rest[0] != ' ' && strings.TrimSpace(line[:max(at, 0)]) != "" {
			line, rest = line[:at], text[at:]
		}
		lines, text = append(lines, strings.TrimRight(line, " ")), strings.TrimLeft(rest, " ")
	}
	return append(lines, text)
}

// Fill breaks a text at spaces, with something before the first line and as many spaces before the others.
func Fill(before, text string, cells int) string {
	if cells > 0 {
		cells = max(cells-Cells(before), 10)
	}
	return before + strings.Join(Lines(text, cells), "\n"+strings.Repeat(" ", Cells(before)))
}
