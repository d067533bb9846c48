package scaffold

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Words splits a command line as a POSIX shell does, without expanding anything: quotes, backslashes, lines that go on, and $'…' with
// its escapes. It ends at the first unquoted ; | & > or < or line end, where the command does.
func Words(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	end := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for i := 0; i < len(line); {
		c := line[i]
		switch {
		case c == ' ' || c == '\t' || c == '\r':
			end()
			i++
		case c == '\n':
			end()
			if len(words) > 0 {
				return words, nil
			}
			i++
		case strings.IndexByte(";|&><", c) >= 0:
			end()
			return words, nil
		case c == '#' && !inWord:
			n := strings.IndexByte(line[i:], '\n')
			if n < 0 {
				n = len(line) - i
			}
			i += n
		case c == '\\':
			if i+1 < len(line) && line[i+1] == '\r' && strings.HasPrefix(line[i+2:], "\n") {
				i++ // a line that goes on, from Windows
			}
			if i+1 < len(line) && line[i+1] != '\n' {
				word.WriteByte(line[i+1])
				inWord = true
			}
			i += 2
		case c == '\'' || c == '"' || c == '$' && strings.HasPrefix(line[i+1:], "'"):
			text, n, err := quoted(line[i:])
			if err != nil {
				return nil, err
			}
			word.WriteString(text)
			inWord = true
			i += n
		default:
			word.WriteByte(c)
			inWord = true
			i++
		}
	}
	end()
	return words, nil
}

var errQuote = errors.New("a quote is opened and not closed")

// quoted reads what a quote begins, and how long it is.
func quoted(text string) (string, int, error) {
	if text[0] == '\'' {
		end := strings.IndexByte(text[1:], '\'')
		if end < 0 {
			return "", 0, errQuote
		}
		return text[1 : 1+end], end + 2, nil
	}
	start, stop := 1, byte('"')
	if text[0] == '$' {
		start, stop = 2, '\''
	}
	var b strings.Builder
	for i := start; i < len(text); i++ {
		switch c := text[i]; {
		case c == stop:
			return b.String(), i + 1, nil
		case c == '\\' && i+1 < len(text):
			i++
			if stop == '\'' {
				i += ansi(&b, text[i:]) - 1
			} else if strings.IndexByte("\"\\$`", text[i]) >= 0 {
				b.WriteByte(text[i])
			} else if text[i] != '\n' {
				b.WriteByte('\\')
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errQuote
}

// ansi writes what an escape of $'…' stands for, and returns how long it is behind its backslash.
func ansi(b *strings.Builder, text string) int {
	if i := strings.IndexByte("abefnrtv", text[0]); i >= 0 {
		b.WriteByte("\a\b\x1b\f\n\r\t\v"[i])
		return 1
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[0]]
	n := 1
	for n <= digits && n < len(text) && strings.IndexByte("0123456789abcdefABCDEF", text[n]) >= 0 {
		n++
	}
	if n == 1 {
		b.WriteByte(text[0])
		return 1
	}
	v, _ := strconv.ParseUint(text[1:n], 16, 32)
	if text[0] == 'x' {
		b.WriteByte(byte(v))
	} else if v <= utf8.MaxRune {
		b.WriteRune(rune(v))
	}
	return n
}
