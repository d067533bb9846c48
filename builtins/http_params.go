package builtins

import (
	"fmt"
	"net/url"
	"strings"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A param is one name=value of a query or a form.
type param struct {
	name, value string
	secret      bool
}

type params []param

// paramsOf reads a dict of parameters. None leaves a parameter out, a list repeats it; everything
// else is sent as it prints.
func paramsOf(name string, v starlark.Value) (params, error) {
	if v == nil || v == starlark.None {
		return nil, nil
	}
	dict, ok := v.(starlark.IterableMapping)
	if !ok {
		return nil, fmt.Errorf("%s: got %s, want a dict", name, v.Type())
	}
	var ps params
	for _, item := range dict.Items() {
		key, ok := starlark.AsString(item[0])
		if !ok {
			return nil, fmt.Errorf("%s: got a key of type %s, want string", name, item[0].Type())
		}
		var err error
		if ps, err = ps.add(key, item[1]); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, key, err)
		}
	}
	return ps, nil
}

func (ps params) add(key string, v starlark.Value) (params, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return ps, nil
	case starlark.String:
		return append(ps, param{name: key, value: string(v)}), nil
	case starlark.Bool:
		return append(ps, param{name: key, value: strings.ToLower(v.String())}), nil
	case engine.Secret:
		return append(ps, param{name: key, value: v.Reveal(), secret: true}), nil
	case *starlark.List, starlark.Tuple:
		for item := range starlark.Elements(v.(starlark.Iterable)) {
			var err error
			if ps, err = ps.add(key, item); err != nil {
				return nil, err
			}
		}
		return ps, nil
	case starlark.Callable, starlark.Iterable, Duration:
		return nil, fmt.Errorf("got %s, want a string, number, time, secret or list", v.Type())
	}
	return append(ps, param{name: key, value: engine.Show(v)}), nil
}

// merge returns ps with the parameters of more in the place of those of the same name.
func (ps params) merge(more params) params {
	replaced := map[string]bool{}
	for _, m := range more {
		replaced[m.name] = true
	}
	var merged params
	for _, p := range ps {
		if !replaced[p.name] {
			merged = append(merged, p)
		}
	}
	return append(merged, more...)
}

// get returns the first value under name.
func (ps params) get(name string) (string, bool) {
	for _, p := range ps {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// query writes ps for a URL, in order. A space is %20, never +, which some APIs take literally; what
// RFC 3986 allows in a query and OData uses stays readable.
func (ps params) query() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(p.name, querySafe))
		b.WriteByte('=')
		b.WriteString(escape(p.value, querySafe))
	}
	return b.String()
}

// form writes ps as application/x-www-form-urlencoded.
func (ps params) form() string {
	var pairs []string
	for _, p := range ps {
		pairs = append(pairs, url.QueryEscape(p.name)+"="+url.QueryEscape(p.value))
	}
	return strings.Join(pairs, "&")
}

// secrets lists the names of the parameters that are secrets.
func (ps params) secrets() (names []string) {
	for _, p := range ps {
		if p.secret {
			names = append(names, p.name)
		}
	}
	return names
}

// appendQuery returns u with ps after the query it has.
func appendQuery(u *url.URL, ps params) *url.URL {
	if len(ps) == 0 {
		return u
	}
	with := *u
	if with.RawQuery != "" {
		with.RawQuery += "&"
	}
	with.RawQuery += ps.query()
	return &with
}

const querySafe = "!$'()*,:@/"

// escape percent-encodes every byte of text but letters, digits, -._~ and those in safe.
func escape(text, safe string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// queryPairs reads a query, or that of a URL, in order.
func queryPairs(text string) (params, error) {
	if before, query, ok := strings.Cut(text, "?"); ok && !strings.Contains(before, "=") {
		text = query
	}
	text, _, _ = strings.Cut(text, "#")
	var ps params
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		plainName, err := url.QueryUnescape(name)
		if err != nil {
			return nil, err
		}
		plain, err := url.QueryUnescape(value)
		if err != nil {
			return nil, err
		}
		ps = append(ps, param{name: plainName, value: plain})
	}
	return ps, nil
}
