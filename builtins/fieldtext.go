package builtins

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
	"unsafe"

	"go.starlark.net/starlark"
)

// textMethods are the steps that make a text of a text.
var textMethods = map[string]fieldMethod{
	"lower":   textMethod((*run).lower),
	"upper":   textMethod(func(_ *run, s string) string { return strings.ToUpper(s) }),
	"trim":    textMethod(func(_ *run, s string) string { return strings.TrimSpace(s) }),
	"user":    textMethod(func(_ *run, s string) string { return mailUser(s) }),
	"domain":  fieldDomain,
	"replace": fieldReplace,
	"match":   fieldMatch,
	"first":   fieldFirst,
}

// textStep makes a step of a function of texts, which returns characters of its argument or letters.
// What is no text stays.
func textStep(f func(*run, string) string) func(*run, cell) cell {
	return func(r *run, c cell) cell {
		s, ok := c.str()
		if !ok {
			return r.fail(c)
		}
		return c.with(f(r, s))
	}
}

// textMethod makes a method without arguments.
func textMethod(f func(*run, string) string) fieldMethod {
	return func(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
		if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
			return nil, err
		}
		return e.then(b.Name()+"()", textStep(f)), nil
	}
}

// lower is strings.ToLower. What it makes of plain ASCII is in the run's own memory, so that it costs no
// allocation; like all texts of cells it is gone with the record.
func (r *run) lower(s string) string {
	from := len(r.letters)
	r.letters = append(r.letters, s...)
	made := r.letters[from:]
	upper, ascii := lowerASCII(made)
	switch {
	case !ascii:
		r.letters = r.letters[:from]
		return strings.ToLower(s)
	case !upper:
		r.letters = r.letters[:from]
		return s
	}
	return unsafe.String(&made[0], len(made))
}

// lowerASCII makes capital letters small, eight at a time, up to the first bytes that are not ASCII. It
// reports whether there were any, and whether all is ASCII.
func lowerASCII(b []byte) (upper, ascii bool) {
	const all, high = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		if w&high != 0 {
			return upper, false
		}
		// The top bit of each byte from A on, without that of each byte behind Z.
		if letters := (w + (0x80-'A')*all) &^ (w + (0x80-'Z'-1)*all) & high; letters != 0 {
			upper = true
			binary.LittleEndian.PutUint64(b, w|letters>>2)
		}
	}
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return upper, false
		}
		if 'A' <= c && c <= 'Z' {
			upper, b[i] = true, c|0x20
		}
	}
	return upper, true
}

// mailUser returns what stands before the last @ of an address, or all of it.
func mailUser(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return address[:i]
	}
	return address
}

// fieldDomain takes what stands behind the last @; an address without one has no domain.
func fieldDomain(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	return e.then("domain()", func(r *run, c cell) cell {
		s, ok := c.str()
		if !ok {
			return r.fail(c)
		}
		i := strings.LastIndexByte(s, '@')
		if i < 0 {
			return cell{form: form{kind: null}}
		}
		return c.with(s[i+1:])
	}), nil
}

func fieldReplace(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var old, new string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "old", &old, "new", &new); err != nil {
		return nil, err
	}
	if old == "" {
		return nil, fmt.Errorf("replace: old is empty")
	}
	return e.then(fmt.Sprintf("replace(%q, %q)", old, new), func(r *run, c cell) cell {
		s, ok := c.str()
		if !ok {
			return r.fail(c)
		}
		if !strings.Contains(s, old) {
			return c
		}
		return textCell(strings.ReplaceAll(s, old, new))
	}), nil
}

// fieldMatch takes a group of a regular expression; a text that does not match has no value.
func fieldMatch(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var pattern string
	var group starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &pattern, "group?", &group); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	n, err := groupNumber(re, group)
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	return e.then(fmt.Sprintf("match(%q, %d)", pattern, n), func(r *run, c cell) cell {
		s, ok := c.str()
		if !ok {
			return r.fail(c)
		}
		m := re.FindStringSubmatchIndex(s)
		if m == nil || m[2*n] < 0 {
			return cell{form: form{kind: null}}
		}
		return c.with(s[m[2*n]:m[2*n+1]])
	}), nil
}

// groupNumber finds a group by number or name. Unless told, it is the first, or the whole match when
// the pattern has none.
func groupNumber(re *regexp.Regexp, group starlark.Value) (int, error) {
	switch g := group.(type) {
	case starlark.NoneType:
		return min(1, re.NumSubexp()), nil
	case starlark.String:
		if n := re.SubexpIndex(string(g)); n >= 0 {
			return n, nil
		}
		return 0, fmt.Errorf("the pattern has no group named %q", string(g))
	case starlark.Int:
		if n, ok := g.Int64(); ok && n >= 0 && n <= int64(re.NumSubexp()) {
			return int(n), nil
		}
		return 0, fmt.Errorf("group %v: the pattern has %d groups", g, re.NumSubexp())
	default:
		return 0, fmt.Errorf("group: got %s, want the number or name of a group", group.Type())
	}
}

// fieldFirst keeps the first n characters.
func fieldFirst(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var n int
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "n", &n); err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, fmt.Errorf("first: got %d, want a number of characters from 1", n)
	}
	return e.then(fmt.Sprintf("first(%d)", n), textStep(func(_ *run, s string) string { return firstRunes(s, n) })), nil
}

func firstRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
