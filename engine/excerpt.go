package engine

import (
	"strings"
	"unicode"

	"go.starlark.net/syntax"
)

// maxExcerpt is how many columns of a source line are shown.
const maxExcerpt = 100

// excerpt returns the source line at pos and below it a caret at the column, both on lines of their
// own, or nothing if the source is not known.
func excerpt(pos syntax.Position, source func(file string) []byte) string {
	if source == nil || pos.Line < 1 || pos.Col < 1 {
		return ""
	}
	line, ok := lineOf(string(source(pos.Filename())), int(pos.Line))
	if !ok {
		return ""
	}
	runes := []rune(line)
	at := min(int(pos.Col)-1, len(runes))
	// Of a long line, the part around the column is shown, more of it after the column than before.
	from := max(0, min(at-maxExcerpt/3, len(runes)-maxExcerpt))
	to := min(len(runes), from+maxExcerpt)
	before, after := shown(runes[from:at]), shown(runes[at:to])
	if from > 0 {
		before = "…" + before
	}
	if to < len(runes) {
		after += "…"
	}
	return "\n    " + before + after + "\n    " + strings.Repeat(" ", columns(before)) + "^"
}

// Excerpt returns the line of a text with a caret below the column, each on a line of its own behind a line break; nothing if there is
// no such line.
func Excerpt(line, column int, text []byte) string {
	name := ""
	return excerpt(syntax.MakePosition(&name, int32(line), int32(column)), func(string) []byte { return text })
}

// lineOf returns line n of text, the first being 1.
func lineOf(text string, n int) (string, bool) {
	for line := range strings.Lines(text) {
		if n--; n == 0 {
			return strings.TrimRight(line, "\r\n"), true
		}
	}
	return "", false
}

// shown returns text as a terminal and a log can show it: tabs as four spaces, no control characters.
func shown(text []rune) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case unicode.IsControl(r):
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// columns returns how many columns text takes: East Asian letters and pictures take two, accents
// that stand on the letter before them none. Terminals differ; this is near enough for a caret.
func columns(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
			0x3000 <= r && r <= 0x303e, 0xff01 <= r && r <= 0xff60, 0x1f300 <= r && r <= 0x1faff:
			n += 2
		default:
			n++
		}
	}
	return n
}
