package builtins

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A response is an answer as scripts see it. Its JSON is parsed when it is first read.
type response struct {
	pull    *engine.Pull
	request *request
	answer  *answer
	failed  *engine.Error // why there is no good answer; nil if there is
}

// caught makes the response of a failure that the script wants to know about.
func caught(p *engine.Pull, r *request, f *failure) *response {
	a := f.answer
	if a == nil {
		a = &answer{header: http.Header{}, url: r.url}
	}
	return &response{pull: p, request: r, answer: a, failed: f.err}
}

var (
	_ starlark.HasAttrs = (*response)(nil)
	_ starlark.Mapping  = (*response)(nil)
)

func (r *response) String() string        { return fmt.Sprintf("response(%s)", r.answer.statusText()) }
func (r *response) Type() string          { return "response" }
func (r *response) Freeze()               {}
func (r *response) Truth() starlark.Bool  { return true }
func (r *response) Hash() (uint32, error) { return 0, errors.New("unhashable: response") }

// Get is r["key"], the field of the JSON object that the body is.
func (r *response) Get(key starlark.Value) (starlark.Value, bool, error) {
	doc, err := r.document()
	if err != nil {
		return nil, false, err
	}
	object, ok := doc.(starlark.Mapping)
	if !ok {
		return nil, false, fmt.Errorf("the answer of %s is a JSON %s, which has no keys: use .json()", r.request.op(r.pull), doc.Type())
	}
	return object.Get(key)
}

// Attr gives what a script can read.
func (r *response) Attr(name string) (starlark.Value, error) {
	switch name {
	case "status":
		return starlark.MakeInt(r.answer.status), nil
	case "headers":
		return headerMap(r.answer.header), nil
	case "text":
		return starlark.String(strings.ToValidUTF8(string(r.answer.body), "\uFFFD")), nil
	case "url":
		return starlark.String(shownURL(r.pull.Env().Redactor, r.answer.url, r.request.masked)), nil
	case "error":
		if r.failed == nil {
			return starlark.None, nil
		}
		return starlark.String(r.pull.Env().Redactor.Redact(r.failed.Error())), nil
	case "raise_error":
		return starlark.NewBuiltin("response.raise_error", responseRaise).BindReceiver(r), nil
	case "link":
		return starlark.NewBuiltin("response.link", responseLink).BindReceiver(r), nil
	case "json":
		return starlark.NewBuiltin("response.json", responseJSON).BindReceiver(r), nil
	case "xml":
		return starlark.NewBuiltin("response.xml", responseXML).BindReceiver(r), nil
	}
	return nil, nil
}

// AttrNames lists what Attr knows.
func (r *response) AttrNames() []string {
	return []string{"error", "headers", "json", "link", "raise_error", "status", "text", "url", "xml"}
}

func responseRaise(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := unpack(b, args, kwargs, 0); err != nil {
		return nil, err
	}
	if r := b.Receiver().(*response); r.failed != nil {
		return nil, r.failed
	}
	return starlark.None, nil
}

// responseLink returns where the link with a relation leads, None without one.
func responseLink(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	rel := "next"
	if err := unpack(b, args, kwargs, 1, "rel?", &rel); err != nil {
		return nil, err
	}
	r := b.Receiver().(*response)
	link := linkOf(r.answer.header, rel)
	if link == "" {
		return starlark.None, nil
	}
	ref, err := looseURL(link)
	if err != nil {
		return nil, fmt.Errorf("%s: link is not a URL: %w", b.Name(), err)
	}
	return starlark.String(r.answer.url.ResolveReference(ref).String()), nil
}

func responseJSON(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := unpack(b, args, kwargs, 0); err != nil {
		return nil, err
	}
	return b.Receiver().(*response).document()
}

// responseXML returns the root of a body that is XML, None for any other.
func responseXML(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := unpack(b, args, kwargs, 0); err != nil {
		return nil, err
	}
	r := b.Receiver().(*response)
	if r.failed != nil {
		return nil, r.failed
	}
	if !saysXML(r.answer.header) {
		return starlark.None, nil
	}
	if r.answer.xml == nil {
		e, err := decodeXML(r.answer.body)
		if err != nil {
			return nil, unreadable(r.pull, r.request, r.answer, "XML", err)
		}
		r.answer.xml = e
	}
	return r.answer.xml, nil
}

// document is the JSON. What failed has none, so that a script that forgets to look does not take it for
// an answer without rows.
func (r *response) document() (starlark.Value, error) {
	if r.failed != nil {
		return nil, r.failed
	}
	if err := r.parse(r.answer); err != nil {
		return nil, err
	}
	return r.answer.doc, nil
}

func (r *response) parse(a *answer) error { return parseBody(r.pull, r.request, a) }

// parseBody makes a document of the answer's body, once.
func parseBody(p *engine.Pull, r *request, a *answer) error {
	if a.doc != nil {
		return nil
	}
	doc, err := NewDocument(a.body)
	if err != nil {
		return unreadable(p, r, a, "JSON", err)
	}
	a.doc = doc
	return nil
}

// A headerMap is the headers of an answer as scripts see them: a mapping whose keys are compared
// without regard to case.
type headerMap http.Header

var (
	_ starlark.IterableMapping = headerMap(nil)
	_ starlark.HasAttrs        = headerMap(nil)
)

func (h headerMap) String() string        { return fmt.Sprintf("headers(%s)", strings.Join(h.names(), ", ")) }
func (h headerMap) Type() string          { return "headers" }
func (h headerMap) Freeze()               {}
func (h headerMap) Truth() starlark.Bool  { return len(h) > 0 }
func (h headerMap) Hash() (uint32, error) { return 0, errors.New("unhashable: headers") }

// Get returns the values under a name, joined by commas as RFC 9110 5.3 allows.
func (h headerMap) Get(key starlark.Value) (starlark.Value, bool, error) {
	name, ok := starlark.AsString(key)
	if !ok {
		return nil, false, fmt.Errorf("headers: got a key of type %s, want string", key.Type())
	}
	values := http.Header(h).Values(name)
	return starlark.String(strings.Join(values, ", ")), len(values) > 0, nil
}

// Items lists names and values, by name.
func (h headerMap) Items() []starlark.Tuple {
	var items []starlark.Tuple
	for _, name := range h.names() {
		v, _, _ := h.Get(starlark.String(name))
		items = append(items, starlark.Tuple{starlark.String(name), v})
	}
	return items
}

// Iterate yields the names.
func (h headerMap) Iterate() starlark.Iterator {
	var names starlark.Tuple
	for _, name := range h.names() {
		names = append(names, starlark.String(name))
	}
	return names.Iterate()
}

func (h headerMap) names() []string {
	var names []string
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Attr gives get(name, default), as dicts have it.
func (h headerMap) Attr(name string) (starlark.Value, error) {
	if name != "get" {
		return nil, nil
	}
	return starlark.NewBuiltin("headers.get", headersGet).BindReceiver(h), nil
}

// AttrNames lists what Attr knows.
func (h headerMap) AttrNames() []string { return []string{"get"} }

func headersGet(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name starlark.String
	var otherwise starlark.Value = starlark.None
	if err := unpack(b, args, kwargs, 2, "name", &name, "default?", &otherwise); err != nil {
		return nil, err
	}
	v, found, err := b.Receiver().(headerMap).Get(name)
	if err != nil || found {
		return v, err
	}
	return otherwise, nil
}
