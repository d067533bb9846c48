package builtins

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// Bounds of the JSON that is read and written. Deeper nesting would let a foreign text, or a list
// that a script has put into itself, use up the stack, which no recover can catch; a value that
// holds another one twice, level after level, would use up the memory.
const (
	maxDepth    = 200
	maxJSONText = 64 << 20
	maxValues   = 4_000_000 // a value takes many times the memory of its shortest text
)

var errTooDeep = fmt.Errorf("nested deeper than %d levels, or contains itself", maxDepth)

var errTooMany = fmt.Errorf("more than %d values", maxValues)

// A jsonTexter is a value that is written to JSON as a text of its own choice, such as a time.
type jsonTexter interface{ JSONText() string }

// appendJSON appends v as JSON on one line. Dicts keep their order. Untouched parts of a document
// are copied as they came, without the white space.
func appendJSON(dst []byte, v starlark.Value) ([]byte, error) { return appendValue(dst, v, 0) }

func appendValue(dst []byte, v starlark.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, errTooDeep
	}
	if len(dst) > maxJSONText {
		return dst, fmt.Errorf("the JSON text is longer than %d MiB", maxJSONText>>20)
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return append(dst, "null"...), nil
	case starlark.Bool:
		return strconv.AppendBool(dst, bool(v)), nil
	case starlark.Int:
		return appendInt(dst, v), nil
	case starlark.Float:
		return appendFloat(dst, float64(v))
	case starlark.String:
		return appendString(dst, string(v)), nil
	case starlark.Bytes:
		return appendString(dst, string(v)), nil
	case *Record:
		return v.appendTo(dst, depth)
	case *Records:
		return v.appendTo(dst, depth)
	case engine.Secret:
		return dst, errors.New("a secret cannot be written as JSON: hand it to the builtin that needs it")
	case jsonTexter:
		return appendString(dst, v.JSONText()), nil
	case Time:
		return append(v.appendTo(append(dst, '"')), '"'), nil
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		return appendString(dst, string(text)), err
	case *starlarkstruct.Struct:
		return appendStruct(dst, v, depth)
	case starlark.IterableMapping:
		return appendMapping(dst, v, depth)
	case starlark.Iterable:
		return appendSequence(dst, v, depth)
	default:
		return dst, fmt.Errorf("a %s cannot be written as JSON", v.Type())
	}
}

func appendMapping(dst []byte, m starlark.IterableMapping, depth int) ([]byte, error) {
	dst = append(dst, '{')
	for i, item := range m.Items() {
		key, ok := starlark.AsString(item[0])
		if !ok {
			return dst, fmt.Errorf("a key of a JSON object is a string, got %s", item[0].Type())
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendValue(appendKey(dst, key), item[1], depth+1); err != nil {
			return dst, below(key, err)
		}
	}
	return append(dst, '}'), nil
}

func appendStruct(dst []byte, s *starlarkstruct.Struct, depth int) ([]byte, error) {
	dst = append(dst, '{')
	for i, name := range s.AttrNames() {
		v, err := s.Attr(name)
		if err != nil {
			return dst, err
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(appendKey(dst, name), v, depth+1); err != nil {
			return dst, below(name, err)
		}
	}
	return append(dst, '}'), nil
}

func appendSequence(dst []byte, seq starlark.Iterable, depth int) ([]byte, error) {
	dst = append(dst, '[')
	it := seq.Iterate()
	defer it.Done()
	var v starlark.Value
	for i := 0; it.Next(&v); i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendValue(dst, v, depth+1); err != nil {
			return dst, below(strconv.Itoa(i), err)
		}
	}
	return append(dst, ']'), nil
}

// A placedError says where in a value the trouble is: "sender.name: a function cannot be …".
type placedError struct {
	path string
	err  error
}

func (e *placedError) Error() string { return e.path + ": " + e.err.Error() }
func (e *placedError) Unwrap() error { return e.err }

// below adds a step to the place. Too deep has no place worth reading, and a script's own failure
// knows its place.
func below(key string, err error) error {
	if _, ok := err.(*starlark.EvalError); ok || err == errTooDeep {
		return err
	}
	if e, ok := err.(*placedError); ok {
		if len(e.path) < 100 {
			e.path = key + "." + e.path
		}
		return e
	}
	return &placedError{key, err}
}

// appendKey appends the name of a field and the colon.
func appendKey(dst []byte, key string) []byte { return append(appendString(dst, key), ':') }

func appendInt(dst []byte, i starlark.Int) []byte {
	if n, ok := i.Int64(); ok {
		return strconv.AppendInt(dst, n, 10)
	}
	return i.BigInt().Append(dst, 10)
}

// appendFloat writes the shortest text that reads back as f: 3, 0.1, 1e21.
func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, fmt.Errorf("JSON has no number for %v", f)
	}
	if abs := math.Abs(f); abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	text := strings.NewReplacer("e+0", "e", "e+", "e", "e-0", "e-").Replace(string(dst[from:]))
	return append(dst[:from], text...), nil
}

// appendString appends s as a JSON string. Control characters, DEL among them, are escaped, what is
// not UTF-8 becomes U+FFFD, everything else stays as it is.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if !needsEscape[c] {
				i++
				continue
			}
			dst = appendEscaped(append(dst, s[from:i]...), c)
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = utf8.AppendRune(append(dst, s[from:i]...), utf8.RuneError)
			from = i + 1
		}
		i += size
	}
	return append(append(dst, s[from:]...), '"')
}

// needsEscape tells the ASCII characters that a JSON string of ours does not hold as they are.
var needsEscape = func() (table [utf8.RuneSelf]bool) {
	for c := range byte(' ') {
		table[c] = true
	}
	table['"'], table['\\'], table[0x7f] = true, true, true
	return table
}()

func appendEscaped(dst []byte, c byte) []byte {
	if i := strings.IndexByte("\"\\\b\f\n\r\t", c); i >= 0 {
		return append(dst, '\\', `"\bfnrt`[i])
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// appendCompact appends valid JSON text without the white space between its tokens, and with DEL escaped.
func appendCompact(dst []byte, raw string) []byte {
	if strings.IndexByte(raw, 0x7f) >= 0 { // which only a string can have
		raw = strings.ReplaceAll(raw, "\x7f", `\u007f`)
	}
	if raw[0] != '{' && raw[0] != '[' {
		return append(dst, raw...)
	}
	from := 0
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i)
		case ' ', '\t', '\n', '\r':
			dst = append(dst, raw[from:i]...)
			i++
			from = i
		default:
			i++
		}
	}
	return append(dst, raw[from:]...)
}

// stringEnd returns the index after the JSON string that begins at raw[i], or len(raw) when it does
// not end.
func stringEnd(raw string, i int) int {
	for i++; i < len(raw); {
		n := strings.IndexByte(raw[i:], '"')
		if n < 0 {
			return len(raw)
		}
		i += n + 1
		slashes := 0
		for raw[i-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
	return len(raw)
}
