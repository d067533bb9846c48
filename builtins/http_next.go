package builtins

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// A nextPage says how to ask for the next page: by a link, or by changing parameters. The zero
// nextPage is the end.
type nextPage struct {
	link   string
	change *starlark.Dict
}

// A pager finds the next page after a response, given the call that led there.
type pager struct {
	find func(*response, call) (nextPage, error)
	// pure says that nothing else than these two has a say in it, so that it can be asked at any time.
	pure bool
}

// A pagerValue is a pager that a builtin made for a script to hand to pages.
type pagerValue struct {
	text string
	next func(*response, call) (nextPage, error)
}

func (v *pagerValue) String() string        { return v.text }
func (v *pagerValue) Type() string          { return "http.next" }
func (v *pagerValue) Freeze()               {}
func (v *pagerValue) Truth() starlark.Bool  { return true }
func (v *pagerValue) Hash() (uint32, error) { return 0, errors.New("unhashable: http.next") }

// pagerOf reads the argument next of pages.
func pagerOf(thread *starlark.Thread, v starlark.Value) (pager, error) {
	switch v := v.(type) {
	case starlark.String:
		if v == "" {
			return pager{}, errors.New("the key is empty")
		}
		return pager{keyPager(string(v)), true}, nil
	case *pagerValue:
		return pager{v.next, true}, nil
	case starlark.Callable:
		return pager{funcPager(thread, v), isPure(v)}, nil
	}
	return pager{}, fmt.Errorf("got %s, want a key that holds a link, http.link(), http.cursor(...), http.offset(...) or a function", v.Type())
}

func keyPager(key string) func(*response, call) (nextPage, error) {
	return func(r *response, _ call) (nextPage, error) {
		v, err := r.find(key)
		if err != nil || v == starlark.None {
			return nextPage{}, err
		}
		link, ok := starlark.AsString(v)
		if !ok {
			return nextPage{}, fmt.Errorf("next page: %q holds %s, want a link", key, v.Type())
		}
		return nextPage{link: strings.TrimSpace(link)}, nil
	}
}

// find returns the value under a key of the body, or under a path of keys with dots between them, and
// None when there is none. The whole text is tried as a key first: OData's keys have dots.
func (r *response) find(path string) (starlark.Value, error) {
	doc, err := r.document()
	if err != nil {
		return nil, err
	}
	if _, ok := doc.(starlark.Mapping); !ok {
		return nil, fmt.Errorf("next page: the answer is a JSON %s, which has no key %q", doc.Type(), path)
	}
	return findIn(doc, path)
}

func findIn(doc starlark.Value, path string) (starlark.Value, error) {
	object, ok := doc.(starlark.Mapping)
	if !ok {
		return starlark.None, nil
	}
	if v, found, err := object.Get(starlark.String(path)); found || err != nil {
		return v, err
	}
	head, rest, ok := strings.Cut(path, ".")
	if !ok {
		return starlark.None, nil
	}
	v, found, err := object.Get(starlark.String(head))
	if !found || err != nil {
		return starlark.None, err
	}
	return findIn(v, rest)
}

func funcPager(thread *starlark.Thread, fn starlark.Callable) func(*response, call) (nextPage, error) {
	return func(r *response, _ call) (nextPage, error) {
		v, err := starlark.Call(thread, fn, starlark.Tuple{r}, nil)
		if err != nil {
			return nextPage{}, err
		}
		switch v := v.(type) {
		case starlark.NoneType:
			return nextPage{}, nil
		case starlark.String:
			return nextPage{link: strings.TrimSpace(string(v))}, nil
		case *starlark.Dict:
			return nextPage{change: v}, nil
		}
		return nextPage{}, fmt.Errorf("next page: %s returned %s, want a URL, a dict of params, or None", fn.Name(), v.Type())
	}
}

func httpLink(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := unpack(b, args, kwargs, 0); err != nil {
		return nil, err
	}
	return &pagerValue{"http.link()", func(r *response, _ call) (nextPage, error) {
		return nextPage{link: linkOf(r.answer.header, "next")}, nil
	}}, nil
}

func httpCursor(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key, name string
	if err := unpack(b, args, kwargs, 2, "key", &key, "param", &name); err != nil {
		return nil, err
	}
	return &pagerValue{fmt.Sprintf("http.cursor(%q, %q)", key, name), func(r *response, _ call) (nextPage, error) {
		v, err := r.find(key)
		if err != nil || !bool(v.Truth()) && v.Type() != "int" {
			return nextPage{}, err
		}
		return changeOf(name, v), nil
	}}, nil
}

func httpOffset(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name, rows string
	var size int
	if err := unpack(b, args, kwargs, 2, "param", &name, "size", &size, "rows??", &rows); err != nil {
		return nil, err
	}
	if size < 1 {
		return nil, fmt.Errorf("%s: size: got %d, want at least 1", b.Name(), size)
	}
	return &pagerValue{fmt.Sprintf("http.offset(%q, %d)", name, size), func(r *response, c call) (nextPage, error) {
		n, err := r.rows(rows)
		if err != nil || n == 0 {
			return nextPage{}, err
		}
		if n > size {
			return nextPage{}, fmt.Errorf("next page: there are %d rows in a page of %d: does the API know %q?", n, size, name)
		}
		at, err := c.offset(name)
		return changeOf(name, starlark.MakeInt(at+n)), err
	}}, nil
}

func changeOf(name string, v starlark.Value) nextPage {
	change := new(starlark.Dict)
	// A new dict with a string for a key takes every value.
	_ = change.SetKey(starlark.String(name), v)
	return nextPage{change: change}
}

// rows counts the rows of a page: of the list under a key, or of the only list there is. The next
// offset is counted from what came, not from what was asked for, because servers may send less; only
// a page without rows is the end.
func (r *response) rows(key string) (int, error) {
	doc, err := r.document()
	if err != nil {
		return 0, err
	}
	if key != "" {
		if doc, err = r.find(key); err != nil {
			return 0, err
		}
	} else if object, ok := doc.(starlark.IterableMapping); ok {
		doc = starlark.None
		for _, item := range object.Items() {
			if _, ok := item[1].(starlark.Indexable); !ok || item[1].Type() == "string" {
				continue
			}
			if doc != starlark.None {
				return 0, errors.New("next page: there are several lists in the answer: name the one that holds the rows, with rows = in http.offset")
			}
			doc = item[1]
		}
	}
	list, ok := doc.(starlark.Indexable)
	if _, isText := doc.(starlark.String); !ok || isText {
		return 0, errors.New("next page: no list of rows in the answer: name the key that holds it, with rows = in http.offset")
	}
	return list.Len(), nil
}

// offset returns where the page of the call begins.
func (c call) offset(name string) (int, error) {
	text, ok := c.params.get(name)
	if c.json != nil {
		v, err := findIn(c.json, name)
		if err != nil {
			return 0, err
		}
		text, ok = v.String(), v != starlark.None
	}
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("next page: %s is %q, want a whole number", name, text)
	}
	return n, nil
}

// linkOf returns the target of the first link with a relation, such as "next", in the headers Link, RFC 8288
// section 3, or "". Links about another resource than the answer, with anchor, do not count. What is
// not well-formed ends the reading of its header: an API that breaks off there has no next page.
func linkOf(h http.Header, relation string) string {
	for _, text := range h.Values("Link") {
		for text != "" {
			var target string
			var attributes map[string]string
			var ok bool
			if target, attributes, text, ok = readLink(text); !ok {
				break
			}
			if _, anchored := attributes["anchor"]; anchored {
				continue
			}
			for rel := range strings.FieldsSeq(attributes["rel"]) {
				if strings.EqualFold(rel, relation) {
					return target
				}
			}
		}
	}
	return ""
}

// readLink reads one link with its parameters and returns the text after it.
func readLink(text string) (target string, attributes map[string]string, rest string, ok bool) {
	text = strings.TrimLeft(text, " \t,")
	if !strings.HasPrefix(text, "<") {
		return "", nil, "", false
	}
	target, text, ok = strings.Cut(text[1:], ">")
	attributes = map[string]string{}
	for ok {
		text = strings.TrimLeft(text, " \t")
		if !strings.HasPrefix(text, ";") {
			break
		}
		var name, value string
		name, value, text = readAttribute(text[1:])
		if _, twice := attributes[name]; !twice { // the first counts
			attributes[name] = value
		}
	}
	if ok && text != "" && text[0] != ',' {
		return "", nil, "", false
	}
	return strings.TrimSpace(target), attributes, text, ok
}

// readAttribute reads name=value or name="value".
func readAttribute(text string) (name, value, rest string) {
	end := strings.IndexAny(text, "=;,")
	if end < 0 || text[end] != '=' {
		if end < 0 {
			end = len(text)
		}
		return strings.ToLower(strings.TrimSpace(text[:end])), "", text[end:]
	}
	name = strings.ToLower(strings.TrimSpace(text[:end]))
	text = strings.TrimLeft(text[end+1:], " \t")
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ";,")
		if end < 0 {
			end = len(text)
		}
		return name, strings.TrimSpace(text[:end]), text[end:]
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
		case text[i] == '"':
			return name, b.String(), text[i+1:]
		}
		b.WriteByte(text[i])
	}
	return name, b.String(), ""
}
