package jsontape

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unescape returns what the inside of a string that Parse has taken stands for. Half a surrogate pair is
// U+FFFD, as encoding/json has it.
func Unescape(inside string) string {
	i := strings.IndexByte(inside, '\\')
	if i < 0 {
		return inside
	}
	out := make([]byte, 0, len(inside))
	for ; i >= 0; i = strings.IndexByte(inside, '\\') {
		out = append(out, inside[:i]...)
		var n int
		out, n = appendUnescaped(out, inside[i:])
		inside = inside[i+n:]
	}
	return string(append(out, inside...))
}

// appendUnescaped appends what an escape sequence stands for, and returns its length.
func appendUnescaped(out []byte, text string) ([]byte, int) {
	switch c := text[1]; c {
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	case 'u':
		r, _ := hex4(text[2:])
		if !utf16.IsSurrogate(r) {
			return utf8.AppendRune(out, r), 6
		}
		if len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
			low, _ := hex4(text[8:])
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return utf8.AppendRune(out, pair), 12
			}
		}
		return utf8.AppendRune(out, utf8.RuneError), 6
	default:
		return append(out, c), 2
	}
}
