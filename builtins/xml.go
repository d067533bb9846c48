package builtins

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// newXML makes the module xml: documents of APIs that answer in XML, such as Atom feeds. Entities that a
// document declares itself are not known, and nothing is loaded.
func newXML() *starlarkstruct.Module {
	return module("xml", map[string]builtinFunc{"decode": xmlDecode})
}

func xmlDecode(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := unpack(b, args, kwargs, 1, "text", &text); err != nil {
		return nil, err
	}
	e, err := decodeXML([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return e, nil
}

const (
	xmlDepth    = 100
	xmlElements = 500_000
)

// An xmlElement is an element with all that is in it. It never changes.
type xmlElement struct {
	name, space string
	attrs       *starlark.Dict
	children    []starlark.Value
	text        strings.Builder
}

var _ starlark.HasAttrs = (*xmlElement)(nil)

func (e *xmlElement) String() string        { return "<" + e.name + ">" }
func (e *xmlElement) Type() string          { return "element" }
func (e *xmlElement) Freeze()               {}
func (e *xmlElement) Truth() starlark.Bool  { return true }
func (e *xmlElement) Hash() (uint32, error) { return 0, errors.New("unhashable: element") }
func (e *xmlElement) AttrNames() []string {
	return []string{"all", "attrs", "children", "find", "name", "space", "text"}
}

func (e *xmlElement) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(e.name), nil
	case "space":
		return starlark.String(e.space), nil
	case "text":
		return starlark.String(e.text.String()), nil
	case "attrs":
		return e.attrs, nil
	case "children":
		return starlark.Tuple(e.children), nil
	case "find":
		return starlark.NewBuiltin("element.find", elementFind).BindReceiver(e), nil
	case "all":
		return starlark.NewBuiltin("element.all", elementAll).BindReceiver(e), nil
	}
	return nil, nil
}

func elementFind(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := unpack(b, args, kwargs, 1, "name", &name); err != nil {
		return nil, err
	}
	for _, c := range b.Receiver().(*xmlElement).children {
		if c.(*xmlElement).name == name {
			return c, nil
		}
	}
	return starlark.None, nil
}

func elementAll(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := unpack(b, args, kwargs, 1, "name", &name); err != nil {
		return nil, err
	}
	var all starlark.Tuple
	for _, c := range b.Receiver().(*xmlElement).children {
		if c.(*xmlElement).name == name {
			all = append(all, c)
		}
	}
	return all, nil
}

// decodeXML reads a document. It has one root; what stands outside of it is white space, comments and
// declarations.
func decodeXML(body []byte) (*xmlElement, error) {
	e, err := readXML(body)
	if err != nil && strings.Contains(err.Error(), "illegal character code") {
		// Writers escape characters that XML cannot have, and readers refuse them.
		return readXML(forbiddenRefs.ReplaceAllFunc(body, allowedRef))
	}
	return e, err
}

var forbiddenRefs = regexp.MustCompile(`&#(?:x[0-9A-Fa-f]{1,8}|[0-9]{1,10});`)

// allowedRef returns a character reference, or that of U+FFFD in place of a character that XML cannot have.
func allowedRef(ref []byte) []byte {
	digits, base := string(ref[2:len(ref)-1]), 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	switch {
	case err == nil && (n == '\t' || n == '\n' || n == '\r' || n >= 0x20 && n <= 0xD7FF || n >= 0xE000 && n <= 0xFFFD || n >= 0x10000 && n <= 0x10FFFF):
		return ref
	default:
		return []byte("&#xFFFD;")
	}
}

func readXML(body []byte) (*xmlElement, error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	var root *xmlElement
	var open []*xmlElement
	for n := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && root != nil && len(open) == 0 {
			return root, nil
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the document has no element")
		}
		if err != nil {
			return nil, fmt.Errorf("no XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if n++; n > xmlElements || len(open) == xmlDepth {
				return nil, fmt.Errorf("no XML that can be read: it has more than %d elements, or more than %d in each other", xmlElements, xmlDepth)
			}
			e, err := startElement(t)
			if err != nil {
				return nil, err
			}
			if len(open) > 0 {
				parent := open[len(open)-1]
				parent.children = append(parent.children, e)
			} else if root != nil {
				return nil, errors.New("no XML: the document has two roots")
			} else {
				root = e
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text.Write(t)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, errors.New("no XML: there is text outside of the root")
			}
		}
	}
}

func startElement(t xml.StartElement) (*xmlElement, error) {
	e := &xmlElement{name: t.Name.Local, space: t.Name.Space, attrs: starlark.NewDict(len(t.Attr))}
	for _, a := range t.Attr {
		if err := e.attrs.SetKey(starlark.String(a.Name.Local), starlark.String(a.Value)); err != nil {
			return nil, err
		}
	}
	e.attrs.Freeze()
	return e, nil
}

// saysXML reports whether an answer says that it is XML, and not a page for people.
func saysXML(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind != "application/xhtml+xml" &&
		(kind == "application/xml" || kind == "text/xml" || strings.HasSuffix(kind, "+xml"))
}
