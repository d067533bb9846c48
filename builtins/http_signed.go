package builtins

import (
	"errors"
	"fmt"
	"net/http"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// A signedAuth is credentials that a function of the script works out for each attempt of each request, such as a signature
// of it with its date.
type signedAuth struct{ function starlark.Callable }

var _ auth = (*signedAuth)(nil)

func (a *signedAuth) String() string        { return "http.signed(" + a.function.Name() + ")" }
func (a *signedAuth) Type() string          { return "http.signed" }
func (a *signedAuth) Freeze()               { a.function.Freeze() }
func (a *signedAuth) Truth() starlark.Bool  { return true }
func (a *signedAuth) Hash() (uint32, error) { return 0, errors.New("unhashable: http.signed") }

// authorize does nothing: sign does it, as late as it can.
func (a *signedAuth) authorize(*engine.Pull, http.Header) (int, error) { return 0, nil }
func (a *signedAuth) renew(*engine.Pull, int) bool                     { return false }

// identity is that of everybody who signs: what a function signs with is not known.
func (a *signedAuth) identity() string { return digest("signed") }

func httpSigned(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var function starlark.Callable
	if err := unpack(b, args, kwargs, 1, "sign", &function); err != nil {
		return nil, err
	}
	return &signedAuth{function}, nil
}

// sign asks the function for the headers of r, sets them in h, and keeps them out of what people read until done is called: a process
// that runs for years would know thousands.
func (a *signedAuth) sign(p *engine.Pull, thread *starlark.Thread, r *request, h http.Header) (done func(), err error) {
	arg, err := signable(p, r)
	if err != nil {
		return nil, err
	}
	v, err := starlark.Call(thread, a.function, starlark.Tuple{arg}, nil)
	if err != nil {
		return nil, &engine.Error{Code: engine.CodeOf(err, engine.CodeScript), Op: "sign " + r.op(p), Err: err}
	}
	signed, err := headersOf(v)
	if err != nil {
		return nil, &engine.Error{Code: engine.CodeScript, Op: "sign " + r.op(p), Err: fmt.Errorf("%s: %w", a.function.Name(), err)}
	}
	addHeader(h, signed.open)
	addHeader(h, signed.private)
	signed.open.Del("Date") // is no secret, and common
	redactor := p.Env().Redactor
	for _, values := range signed.open {
		redactor.Add(values[0])
	}
	return func() {
		for _, values := range signed.open {
			redactor.Remove(values[0])
		}
	}, nil
}

// signable is what a function that signs gets to know of a request.
func signable(p *engine.Pull, r *request) (starlark.Value, error) {
	pairs, err := queryPairs("?" + r.url.RawQuery)
	if err != nil {
		return nil, err
	}
	var params []starlark.Value
	for _, pair := range pairs {
		params = append(params, starlark.Tuple{starlark.String(pair.name), starlark.String(pair.value)})
	}
	return starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
		"method": starlark.String(r.method),
		"host":   starlark.String(r.url.Host),
		"path":   starlark.String(r.url.EscapedPath()),
		"query":  starlark.String(r.url.RawQuery),
		"params": starlark.NewList(params),
		"body":   starlark.Bytes(r.body),
		"time":   timeValue(p.APINow()),
	}), nil
}
