package builtins

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unsafe"

	"go.starlark.net/starlark"

	"starling/builtins/internal/jsontape"
)

// NewDocument returns the JSON text body as a Starlark value: an object as *Record, an array as
// *Records, anything else as the plain value. The text is checked here, once and strictly, so that
// everything behind can trust it; values are made when they are first read. A byte order mark is
// skipped and bytes that are not UTF-8 become U+FFFD. The body must not change afterwards.
func NewDocument(body []byte) (starlark.Value, error) {
	v, err := parseBytes(body, false)
	if err != nil {
		return nil, err
	}
	return decode(v), nil
}

// strictDocument is NewDocument for a body that must not have anything that only a broken transport, or
// a broken writer, makes: bytes that are not UTF-8, or a key twice in an object that is not in a list.
func strictDocument(body []byte) (starlark.Value, error) {
	v, err := parseBytes(body, true)
	if err != nil {
		return nil, err
	}
	doc := decode(v)
	return doc, noKeyTwice(doc, 0)
}

// parseBytes is parseJSON without a copy.
func parseBytes(body []byte, whole bool) (jsonValue, error) {
	text := unsafe.String(unsafe.SliceData(body), len(body))
	return parseJSON(nodesFor(text), text, whole)
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
		if r.json.nodes[r.fields[i].node].Kind == jsontape.Object {
			if err := noKeyTwice(r.valueAt(i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// A jsonValue is a value of a JSON text that was checked.
type jsonValue struct {
	text  string // all of it; it holds no control characters but white space between tokens, and DEL
	nodes []jsontape.Node
}

// raw returns the text of the value.
func (v jsonValue) raw() string { return v.nodes[0].Text(v.text) }

// at returns the value in it that begins at a node.
func (v jsonValue) at(i int) jsonValue {
	return jsonValue{v.text, v.nodes[i : i+int(v.nodes[i].Size)]}
}

func (v jsonValue) isObject() bool { return v.nodes[0].Kind == jsontape.Object }

// appendTo appends the value without the white space between its tokens; DEL is escaped.
func (v jsonValue) appendTo(dst []byte) []byte {
	if v.nodes[0].Flags&jsontape.Loose != 0 {
		return appendCompact(dst, v.raw())
	}
	return append(dst, v.raw()...)
}

// appendPiece appends members of an object, without white space, and a comma; nothing if to is 0.
func (v jsonValue) appendPiece(dst []byte, from, to uint32) []byte {
	if to == 0 {
		return dst
	}
	return append(append(dst, v.text[from:to]...), ',')
}

// parseJSON checks a text strictly. A byte order mark is skipped; bytes that are not UTF-8 become U+FFFD,
// unless whole is set: then they are an error. The nodes are appended to dst.
func parseJSON(dst []jsontape.Node, text string, whole bool) (jsonValue, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	for {
		nodes, err := jsontape.Parse(dst, text, jsontape.Limits{Depth: maxDepth, Values: maxValues})
		e, _ := errors.AsType[*jsontape.Error](err)
		switch {
		case err == nil:
			return jsonValue{text, nodes[len(dst):]}, nil
		case e.Err == jsontape.ErrUTF8 && whole:
			return jsonValue{}, errors.New("it has bytes that are not UTF-8")
		case e.Err == jsontape.ErrUTF8:
			text = replaceInvalid(text)
		case e.Err == jsontape.ErrTooDeep:
			return jsonValue{}, placed(text, e.Offset, errTooDeep)
		case e.Err == jsontape.ErrTooMany:
			return jsonValue{}, placed(text, e.Offset, errTooMany)
		case strings.Trim(text, " \t\r\n") == "":
			return jsonValue{}, errors.New("empty, want JSON")
		default:
			return jsonValue{}, syntaxError(text)
		}
	}
}

// nodesFor returns room for the nodes of a text, which may have to grow.
func nodesFor(text string) []jsontape.Node {
	return make([]jsontape.Node, 0, 4+len(text)/bytesPerNode)
}

// bytesPerNode is what rows have for each of their names and values.
const bytesPerNode = 16

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

// decode returns the Starlark value.
func decode(v jsonValue) starlark.Value {
	switch n := &v.nodes[0]; n.Kind {
	case jsontape.Object:
		return &Record{json: v}
	case jsontape.Array:
		return &Records{json: v}
	case jsontape.String:
		return starlark.String(decodeString(v.text, n))
	case jsontape.True:
		return starlark.True
	case jsontape.False:
		return starlark.False
	case jsontape.Null:
		return starlark.None
	default:
		return decodeNumber(n.Text(v.text))
	}
}

// decodeString returns the text of a JSON string. It is a copy, so that a script that keeps it does
// not keep the page it came from.
func decodeString(text string, n *jsontape.Node) string {
	if n.Flags&jsontape.Escaped == 0 {
		return strings.Clone(n.Inside(text))
	}
	return jsontape.Unescape(n.Inside(text))
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
