package jsontape

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

// Eight bytes of a text at once: each with its lowest, and with its highest bit.
const (
	lowest  = 0x0101010101010101
	highest = 0x8080808080808080
)

// string reads a string from its quote.
func (p *parser) string(at int) int {
	text, i := p.text, at+1
	bytes := unsafe.Slice(unsafe.StringData(text), len(text))
	var flags Flags
	for {
		for i+8 <= len(text) {
			m := special(binary.LittleEndian.Uint64(bytes[i:]))
			if m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i >= len(text) {
			return p.fail(i, errSyntax)
		}
		switch c := text[i]; {
		case c == '"':
			return p.add(at, i+1, String, flags)
		case c == '\\':
			flags |= Escaped
			n := escape(text[i:])
			if n == 0 {
				return p.fail(i, errSyntax)
			}
			i += n
		case c < ' ':
			return p.fail(i, errSyntax)
		case c == 0x7f:
			flags = Escaped | Loose
			p.loose++
			i++
		case c < utf8.RuneSelf:
			i++ // one of the last bytes of the text
		default:
			r, n := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && n == 1 {
				return p.fail(i, ErrUTF8)
			}
			i += n
		}
	}
}

// special has the highest bit of each byte set that ends a run of plain ASCII in a string: a quote, a
// backslash, a control character, and all that is not ASCII. Bits behind the first that is set mean
// nothing.
func special(w uint64) uint64 {
	quote := w ^ ('"'^' ')*lowest // a quote is a space then: all below 0x21 is wanted
	backslash := w ^ '\\'*lowest
	return ((quote-0x21*lowest)&^quote | (backslash-lowest)&^backslash | (w + lowest) | w) & highest // DEL is the highest bit but for 1
}

// escape returns the length of the escape sequence that text begins with, 0 if it is none.
func escape(text string) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(text[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits.
func hex4(text string) (r rune, ok bool) {
	if len(text) < 4 {
		return 0, false
	}
	for _, c := range []byte(text[:4]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
