package builtins

import (
	"errors"
	"fmt"
	"net/url"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// newURL makes the module url.
//
//	url.parse(text)             a struct of scheme, host, port, path, query and fragment
//	url.join(base, ref)         where ref leads from base, by RFC 3986
//	url.encode(params)          a query: in order, a space as %20; None leaves out, a list repeats
//	url.quote(text, *, safe)    percent-encodes all but letters, digits, -._~ and safe
//	url.unquote(text)
//	url.query(text, *, first)   a dict of lists of the values in a query or URL; first = True gives
//	                            the first of each
func newURL() *starlarkstruct.Module {
	return module("url", map[string]builtinFunc{
		"parse":   urlParse,
		"join":    urlJoin,
		"encode":  urlEncode,
		"quote":   urlQuote,
		"unquote": urlUnquote,
		"query":   urlQuery,
	})
}

func urlParse(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := unpack(b, args, kwargs, 1, "text", &text); err != nil {
		return nil, err
	}
	u, err := parseURL(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlarkstruct.FromStringDict(starlark.String("url"), starlark.StringDict{
		"scheme":   starlark.String(u.Scheme),
		"host":     starlark.String(u.Hostname()),
		"port":     starlark.String(u.Port()),
		"path":     starlark.String(u.EscapedPath()),
		"query":    starlark.String(u.RawQuery),
		"fragment": starlark.String(u.Fragment),
	}), nil
}

func urlJoin(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var base, ref string
	if err := unpack(b, args, kwargs, 2, "base", &base, "ref", &ref); err != nil {
		return nil, err
	}
	from, err := parseURL(base)
	if err != nil {
		return nil, fmt.Errorf("%s: base: %w", b.Name(), err)
	}
	to, err := parseURL(ref)
	if err != nil {
		return nil, fmt.Errorf("%s: ref: %w", b.Name(), err)
	}
	return starlark.String(from.ResolveReference(to).String()), nil
}

func urlEncode(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var dict starlark.Value
	if err := unpack(b, args, kwargs, 1, "params", &dict); err != nil {
		return nil, err
	}
	ps, err := paramsOf("params", dict)
	if err == nil && len(ps.secrets()) > 0 {
		err = errors.New("a secret would become readable: hand it to params of the client instead")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.String(ps.query()), nil
}

func urlQuote(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text, safe string
	if err := unpack(b, args, kwargs, 1, "text", &text, "safe?", &safe); err != nil {
		return nil, err
	}
	return starlark.String(escape(text, safe)), nil
}

func urlUnquote(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := unpack(b, args, kwargs, 1, "text", &text); err != nil {
		return nil, err
	}
	plain, err := url.PathUnescape(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.String(plain), nil
}

func urlQuery(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	var first bool
	if err := unpack(b, args, kwargs, 1, "text", &text, "first?", &first); err != nil {
		return nil, err
	}
	pairs, err := queryPairs(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	dict := new(starlark.Dict)
	for _, p := range pairs {
		key, value := starlark.String(p.name), starlark.String(p.value)
		known, found, _ := dict.Get(key)
		switch {
		case !found && first:
			err = dict.SetKey(key, value)
		case !found:
			err = dict.SetKey(key, starlark.NewList([]starlark.Value{value}))
		case !first:
			err = known.(*starlark.List).Append(value)
		}
		if err != nil {
			return nil, err
		}
	}
	return dict, nil
}

// parseURL is url.Parse with an error that does not repeat the URL, which may hold secrets.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, e.Err
	}
	return u, err
}
