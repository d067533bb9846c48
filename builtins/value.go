package builtins

import (
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"starling/builtins/internal/jsontape"
)

// A cell is a value on its way through a mapping. It is flat, so that a record passes without an
// allocation; its strings are parts of the page where nothing has changed them.
type cell struct {
	text string // see kind
	num  int64  // see kind
	form
}

// A form is the rest of a cell, apart because the compiler keeps structs of up to four fields in registers.
type form struct {
	nanos  int32    // of a moment: what num lacks, 0 to 999999
	digits int8     // of a moment: fraction digits to write, or dateOnly
	kind   cellKind // the zero cell is an absent one
	failed bool     // a step could not convert it, so those that follow leave it as it is
}

type cellKind uint8

const (
	absent  cellKind = iota // the record has no such field
	null                    // JSON null
	boolean                 // num is 0 or 1
	integer                 // num
	raw                     // text is a JSON number, object or array
	loose                   // text is an object or array with white space between its tokens, or DEL in it
	quoted                  // text is a JSON string with escapes, quotes included
	plain                   // text is the text; it needs no escapes in JSON
	free                    // text is the text
	moment                  // num is milliseconds since 1970
)

func (c cell) missing() bool { return c.kind == absent || c.kind == null }

// cellOf returns the cell of a value.
func cellOf(text string, n *jsontape.Node) cell {
	switch n.Kind {
	case jsontape.String:
		if n.Flags&jsontape.Escaped == 0 {
			return cell{form: form{kind: plain}, text: n.Inside(text)}
		}
		if n.Flags&jsontape.Loose != 0 {
			return textCell(jsontape.Unescape(n.Inside(text)))
		}
		return cell{form: form{kind: quoted}, text: n.Text(text)}
	case jsontape.Null:
		return cell{form: form{kind: null}}
	case jsontape.True:
		return cell{form: form{kind: boolean}, num: 1}
	case jsontape.False:
		return cell{form: form{kind: boolean}}
	}
	if n.Flags&jsontape.Loose != 0 {
		return cell{form: form{kind: loose}, text: n.Text(text)}
	}
	return cell{form: form{kind: raw}, text: n.Text(text)}
}

// cellFrom returns the cell of a Starlark value: a constant, or what a function has returned.
func cellFrom(v starlark.Value) (cell, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return cell{form: form{kind: null}}, nil
	case starlark.Bool:
		return boolCell(bool(v)), nil
	case starlark.String:
		return textCell(string(v)), nil
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return cell{form: form{kind: integer}, num: n}, nil
		}
	}
	text, err := appendJSON(nil, v)
	if err != nil {
		return cell{}, err
	}
	doc, err := parseJSON(nil, string(text), false)
	if err != nil {
		return cell{}, err
	}
	return cellOf(doc.text, &doc.nodes[0]), nil
}

func boolCell(b bool) cell {
	if b {
		return cell{form: form{kind: boolean}, num: 1}
	}
	return cell{form: form{kind: boolean}}
}

// textCell returns a text, which may need escapes.
func textCell(s string) cell { return cell{form: form{kind: free}, text: s} }

// str returns the text of a string; it reports false for everything that is none.
func (c cell) str() (string, bool) {
	switch c.kind {
	case plain, free:
		return c.text, true
	case quoted:
		return jsontape.Unescape(c.text[1 : len(c.text)-1]), true
	default:
		return "", false
	}
}

// with returns the text s, which was cut from that of c, as a cell.
func (c cell) with(s string) cell {
	if c.kind == plain {
		return cell{form: form{kind: plain}, text: s}
	}
	return textCell(s)
}

// scalar returns the text of a string, number, bool or time, as join and string() write it.
func (c cell) scalar() (string, bool) {
	switch c.kind {
	case boolean:
		return strconv.FormatBool(c.num != 0), true
	case integer:
		return strconv.FormatInt(c.num, 10), true
	case moment:
		return string(c.appendMoment(nil)), true
	case raw:
		return c.text, c.isNumber()
	default:
		return c.str()
	}
}

func (c cell) isNumber() bool {
	return c.kind == integer || c.kind == raw && c.text[0] != '{' && c.text[0] != '['
}

func (c cell) isObject() bool { return (c.kind == raw || c.kind == loose) && c.text[0] == '{' }

// int64 returns a number that is a whole one.
func (c cell) int64() (int64, bool) {
	switch {
	case c.kind == integer:
		return c.num, true
	case c.kind == raw && c.isNumber():
		return parseInt(c.text)
	default:
		return 0, false
	}
}

// parseInt reads 12, -12 and also 12.0 and 12e3.
func parseInt(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	if !strings.ContainsAny(s, ".eE") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != float64(int64(f)) || f > 1<<53 || f < -1<<53 {
		return 0, false
	}
	return int64(f), true
}

// value returns the cell as a Starlark value that may be kept.
func (c cell) value() starlark.Value {
	switch c.kind {
	case boolean:
		return starlark.Bool(c.num != 0)
	case integer:
		return starlark.MakeInt64(c.num)
	case raw, loose:
		v, err := parseJSON(nil, c.text, false)
		if err != nil { // it was taken before
			return starlark.None
		}
		return decode(v)
	case quoted:
		s, _ := c.str()
		return starlark.String(s)
	case plain, free:
		return starlark.String(strings.Clone(c.text))
	case moment:
		return starlark.String(c.appendMoment(nil))
	default:
		return starlark.None
	}
}

// appendTo writes the cell as JSON; an absent one as null.
func (c cell) appendTo(dst []byte) []byte {
	switch c.kind {
	case boolean:
		return strconv.AppendBool(dst, c.num != 0)
	case integer:
		return strconv.AppendInt(dst, c.num, 10)
	case loose:
		return appendCompact(dst, c.text)
	case raw, quoted:
		return append(dst, c.text...)
	case plain:
		return append(append(append(dst, '"'), c.text...), '"')
	case free:
		return appendString(dst, c.text)
	case moment:
		return append(c.appendMoment(append(dst, '"')), '"')
	default:
		return append(dst, "null"...)
	}
}
