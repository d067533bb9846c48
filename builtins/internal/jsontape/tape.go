// Package jsontape finds the structure of a JSON text (RFC 8259) in one pass that checks it strictly: a
// text is taken if and only if encoding/json takes it and it is UTF-8, within limits.
//
// It is our own because no library does both in one pass: a check and a way to find members behind it
// cost three times as much (see docs/performance.md).
package jsontape

import (
	"errors"
	"fmt"
	"math"
)

// A Kind is what a value is.
type Kind uint8

// The kinds of values. Members of objects have their names as values of the kind String before them.
const (
	Null Kind = iota
	True
	False
	Number
	String
	Object
	Array
)

// A Node is a value. What is in an object or array follows it, so that a slice that begins with a node
// and has its Size is all of the value.
type Node struct {
	Start, End uint32 // where it is in the text, with its quotes or brackets
	Size       uint32 // in nodes: 1, and those of all that is in it
	Form
}

// A Form is what a value is, and more about it. It is apart because the compiler keeps structs of up to four fields in registers.
type Form struct {
	Kind  Kind
	Flags Flags
}

// Flags say more about a value.
type Flags uint8

const (
	Escaped Flags = 1 << iota // a string that does not stand for itself, or should not: it has backslashes or DEL
	Loose                     // there is white space between the tokens of it, or DEL in it
)

// Text returns the text of the node.
func (n *Node) Text(text string) string { return text[n.Start:n.End] }

// Inside returns what is between the quotes of a string, with its escapes.
func (n *Node) Inside(text string) string { return text[n.Start+1 : n.End-1] }

// Limits bound what is taken.
type Limits struct {
	Depth  int // of objects and arrays in each other, at most MaxDepth
	Values int // commas, which is about the number of values
}

// MaxDepth is the deepest nesting that Parse can be asked for.
const MaxDepth = 256

// Why a text is not taken, besides its syntax.
var (
	ErrTooDeep = errors.New("nested too deep")
	ErrTooMany = errors.New("too many values")
	ErrUTF8    = errors.New("not UTF-8")
	ErrTooLong = errors.New("longer than 4 GiB")
	errSyntax  = errors.New("not JSON")
)

// An Error says where a text is not what it should be.
type Error struct {
	Offset int
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%v at byte %d", e.Err, e.Offset) }
func (e *Error) Unwrap() error { return e.Err }

// Parse appends the nodes of text, which is one value with or without white space around it, to dst.
// An error is an *Error.
func Parse(dst []Node, text string, limits Limits) ([]Node, error) {
	if uint64(len(text)) > math.MaxUint32 {
		return dst, &Error{0, ErrTooLong}
	}
	p := parser{text: text, nodes: dst, limits: limits}
	if !p.parse() {
		return dst, &Error{min(p.errAt, len(text)), p.err}
	}
	return p.nodes, nil
}

// Next returns the place of the value behind the one at i, in the nodes of an object or array: the
// values of an array, or name and value in turn of an object.
func Next(nodes []Node, i int) int { return i + int(nodes[i].Size) }

// A parser reads a text. Its methods get where they are to read, and return where they have ended, or
// failed: that stays in registers, which a field would not.
type parser struct {
	text   string
	nodes  []Node
	limits Limits
	loose  int // white space and DEL so far
	commas int
	depth  int
	open   [MaxDepth]container
	errAt  int
	err    error
}

// A container is an object or array that has not ended.
type container struct {
	node  int
	end   byte // its bracket
	first int  // what is behind the other one
	loose int  // before it
	last  int  // the node of the last object in it
	like  int  // of an object: the name that is expected next, which the object before it has at that place; 0 if there is none
}

const failed = -1

func (p *parser) fail(at int, err error) int {
	p.errAt, p.err = at, err
	return failed
}

func (p *parser) parse() bool {
	at := p.value(p.pass(0))
	for at >= 0 && p.depth > 0 {
		at = p.next(at)
	}
	if at < 0 {
		return false
	}
	if at = p.pass(at); at < len(p.text) {
		p.fail(at, errSyntax)
		return false
	}
	return true
}

// next reads the next members or elements of the innermost object or array, up to one that is an object or an array
// itself, but not what is in it; or the end.
func (p *parser) next(at int) int {
	o := &p.open[p.depth-1]
	for at >= 0 {
		first := at == o.first
		at = p.pass(at)
		c := p.byte(at)
		if c == o.end {
			return p.close(at)
		}
		if !first {
			if c != ',' {
				return p.fail(at, errSyntax)
			}
			if p.commas++; p.commas >= p.limits.Values {
				return p.fail(at, ErrTooMany)
			}
			at = p.pass(at + 1)
		}
		if o.end == '}' {
			if at = p.name(o, at); at < 0 {
				return failed
			}
		}
		switch p.byte(at) {
		case '"':
			at = p.string(at)
		case '{', '[':
			return p.value(at)
		default:
			at = p.value(at)
		}
	}
	return failed
}

// name reads the name of a member of o, and its colon.
func (p *parser) name(o *container, at int) int {
	if o.like > 0 {
		if end := p.expected(o, at); end > 0 {
			return p.pass(end)
		}
	}
	if p.byte(at) != '"' {
		return p.fail(at, errSyntax)
	}
	if at = p.string(at); at < 0 {
		return failed
	}
	at = p.pass(at)
	if p.byte(at) != ':' {
		return p.fail(at, errSyntax)
	}
	return p.pass(at + 1)
}

// expected reads a name and its colon if they are those that the object before has at that place, and returns 0 if
// they are not. Rows have the same names in the same order, and to compare is less than to look at each byte.
func (p *parser) expected(o *container, at int) int {
	name := &p.nodes[o.like]
	before := p.text[name.Start : name.End+1]
	end := at + len(before)
	if end > len(p.text) || p.text[at:end] != before || before[len(before)-1] != ':' || name.Flags != 0 {
		o.like = 0 // it is another kind of object
		return 0
	}
	p.add(at, end-1, String, 0)
	if o.like += 1 + int(p.nodes[o.like+1].Size); o.like >= o.node {
		o.like = 0
	}
	return end
}

// byte returns the byte at a place, 0 at the end, which no text has where it is asked for.
func (p *parser) byte(at int) byte {
	if at < len(p.text) {
		return p.text[at]
	}
	return 0
}

// pass passes white space.
func (p *parser) pass(at int) int {
	if at < len(p.text) && p.text[at] > ' ' {
		return at
	}
	return p.passSpace(at)
}

func (p *parser) passSpace(at int) int {
	from := at
	for at < len(p.text) && (p.text[at] == ' ' || p.text[at] == '\n' || p.text[at] == '\t' || p.text[at] == '\r') {
		at++
	}
	p.loose += at - from
	return at
}

// value reads the value at a place; of an object or array only its bracket.
func (p *parser) value(at int) int {
	switch p.byte(at) {
	case '"':
		return p.string(at)
	case '{':
		return p.begin(at, Object)
	case '[':
		return p.begin(at, Array)
	case 't':
		return p.literal(at, "true", True)
	case 'f':
		return p.literal(at, "false", False)
	case 'n':
		return p.literal(at, "null", Null)
	}
	return p.number(at)
}

func (p *parser) begin(at int, kind Kind) int {
	if p.depth >= p.limits.Depth || p.depth >= MaxDepth {
		return p.fail(at, ErrTooDeep)
	}
	o := container{node: len(p.nodes), end: p.text[at] + 2, first: at + 1, loose: p.loose} // the brackets of ASCII are two apart
	if kind == Object && p.depth > 0 {
		around := &p.open[p.depth-1]
		if around.last > 0 && p.nodes[around.last].Size > 1 {
			o.like = around.last + 1
		}
		around.last = o.node
	}
	p.open[p.depth] = o
	p.depth++
	p.nodes = append(p.nodes, Node{Start: uint32(at), Form: Form{Kind: kind}})
	return at + 1
}

func (p *parser) close(at int) int {
	p.depth--
	o := p.open[p.depth]
	n := &p.nodes[o.node]
	n.End, n.Size = uint32(at+1), uint32(len(p.nodes)-o.node)
	if p.loose != o.loose {
		n.Flags = Loose
	}
	return at + 1
}

func (p *parser) literal(at int, text string, kind Kind) int {
	if len(p.text)-at < len(text) || p.text[at:at+len(text)] != text {
		return p.fail(at, errSyntax)
	}
	return p.add(at, at+len(text), kind, 0)
}

// add adds a value without others in it.
func (p *parser) add(start, end int, kind Kind, flags Flags) int {
	p.nodes = append(p.nodes, Node{uint32(start), uint32(end), 1, Form{kind, flags}})
	return end
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (p *parser) number(at int) int {
	end := at
	if p.byte(end) == '-' {
		end++
	}
	if p.byte(end) == '0' {
		end++
	} else if end = p.digits(end); end < 0 {
		return failed
	}
	if p.byte(end) == '.' {
		if end = p.digits(end + 1); end < 0 {
			return failed
		}
	}
	if p.byte(end)|0x20 == 'e' {
		end++
		if c := p.byte(end); c == '+' || c == '-' {
			end++
		}
		if end = p.digits(end); end < 0 {
			return failed
		}
	}
	return p.add(at, end, Number, 0)
}

// digits passes one or more.
func (p *parser) digits(at int) int {
	end := at
	for end < len(p.text) && p.text[end]-'0' <= 9 {
		end++
	}
	if end == at {
		return p.fail(at, errSyntax)
	}
	return end
}
