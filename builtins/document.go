package builtins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
	"go.starlark.net/starlark"
)

// NewDocument returns the JSON text body as a Starlark value: an object as *Record, an array as
// *Records, anything else as the plain value. The text is checked here, once and strictly, so that
// everything behind can trust it; values are made when they are first read. A byte order mark is
// skipped and bytes that are not UTF-8 become U+FFFD. The body is not kept.
func NewDocument(body []byte) (starlark.Value, error) {
	text, err := checkJSON(body)
	if err != nil {
		return nil, err
	}
	return decode(text), nil
}

// strictDocument is NewDocument for a body that must not have anything that only a broken transport, or
// a broken writer, makes: bytes that are not UTF-8, or a key twice in an object that is not in a list.
func strictDocument(body []byte) (starlark.Value, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("it has bytes that are not UTF-8")
	}
	v, err := NewDocument(body)
	if err == nil {
		err = noKeyTwice(v, 0)
	}
	return v, err
}

// noKeyTwice looks for repeated keys in a record and in the records that are its fields.
func noKeyTwice(v starlark.Value, depth int) error {
	r, ok := v.(*Record)
	if !ok || depth > 2 {
		return nil
	}
	r.parse()
	if r.twice != "" {
		return fmt.Errorf("it has the key %.80q twice", r.twice)
	}
	for i := range r.fields {
		if r.fields[i].raw[0] == '{' {
			if err := noKeyTwice(r.valueAt(i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkJSON returns body as JSON text without white space around it. It is valid JSON and UTF-8,
// nested at most maxDepth deep, and holds no control characters but white space between tokens.
func checkJSON(body []byte) (string, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	text := string(body)
	if !utf8.Valid(body) {
		text = replaceInvalid(text)
	}
	if len(text) == 0 {
		return "", errors.New("empty, want JSON")
	}
	// The check of the syntax calls itself for each level, so this comes first.
	if at, err := tooMuch(text); err != nil {
		return "", placed(text, at, err)
	}
	if !gjson.Valid(text) {
		return "", syntaxError(text)
	}
	if strings.IndexByte(text, 0x7f) >= 0 {
		text = strings.ReplaceAll(text, "\x7f", `\u007f`)
	}
	return strings.Trim(text, " \t\r\n"), nil
}

// tooMuch returns where text is nested deeper than maxDepth, or has more than maxValues values. It can
// be given any text.
func tooMuch(text string) (at int, err error) {
	depth, values := 0, 0
	for i := 0; i < len(text); {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			continue
		case '{', '[':
			if depth++; depth > maxDepth {
				return i, errTooDeep
			}
		case '}', ']':
			depth--
		case ',':
			if values++; values >= maxValues {
				return i, errTooMany
			}
		}
		i++
	}
	return 0, nil
}

// replaceInvalid puts U+FFFD in the place of each byte that is not UTF-8, as encoding/json does.
func replaceInvalid(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteRune(r)
	}
	return b.String()
}

// syntaxError explains why text is not JSON. The standard library's reader is slower but knows.
func syntaxError(text string) error {
	err := json.Unmarshal([]byte(text), new(json.RawMessage))
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return placed(text, int(max(e.Offset-1, 0)), e)
	}
	return fmt.Errorf("not JSON: %w", err)
}

// placed adds line, column and surroundings of the byte at offset at.
func placed(text string, at int, err error) error {
	at = min(at, len(text))
	line := strings.Count(text[:at], "\n") + 1
	column := at - strings.LastIndexByte(text[:at], '\n')
	from := max(0, at-30)
	return fmt.Errorf("not JSON at line %d, column %d (byte %d): %w, near %q", line, column, at, err, text[from:min(len(text), from+60)])
}

// decode returns the value of JSON text that checkJSON has passed, or of a part of it.
func decode(raw string) starlark.Value {
	switch raw[0] {
	case '{':
		return &Record{raw: raw}
	case '[':
		return &Records{raw: raw}
	case '"':
		return starlark.String(decodeString(raw))
	case 't':
		return starlark.True
	case 'f':
		return starlark.False
	case 'n':
		return starlark.None
	default:
		return decodeNumber(raw)
	}
}

// decodeString returns the text of a JSON string. It is a copy, so that a script that keeps it does
// not keep the page it came from.
func decodeString(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return strings.Clone(raw[1 : len(raw)-1])
	}
	return gjson.Parse(raw).Str
}

// decodeNumber returns the value of a JSON number: an int when it is written without fraction and
// exponent, a float otherwise. A number that neither can hold (1e999, thousands of digits) is its text.
func decodeNumber(raw string) starlark.Value {
	if !strings.ContainsAny(raw, ".eE") {
		if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
			return starlark.MakeInt64(n)
		}
		if len(raw) <= 1000 {
			n, _ := new(big.Int).SetString(raw, 10)
			return starlark.MakeBigInt(n)
		}
		return starlark.String(strings.Clone(raw))
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		return starlark.String(strings.Clone(raw))
	}
	return starlark.Float(f)
}
