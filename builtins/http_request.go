package builtins

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"go.starlark.net/starlark"

	"starling/engine"
)

// headers are the headers that a script asks for; those in private are secrets.
type headers struct{ open, private http.Header }

func headersOf(v starlark.Value) (headers, error) {
	h := headers{http.Header{}, http.Header{}}
	ps, err := paramsOf("headers", v)
	if err != nil {
		return h, err
	}
	for _, p := range ps {
		if err := checkHeader(p.name, p.value); err != nil {
			return h, err
		}
		if p.secret {
			h.private.Set(p.name, p.value)
		} else {
			h.open.Add(p.name, p.value)
		}
	}
	return h, nil
}

// A call is what a script asks a client for.
type call struct {
	client  *client
	method  string
	path    string
	params  params
	headers headers
	json    starlark.Value // nil without
	form    params
	text    []byte
	ok      []int
	share   shareArg // of the rate; 0 means all of it
	catch   bool     // a failure that lasts is an answer
}

// request makes the request of the call.
func (c *call) request() (*request, error) {
	u, err := c.client.scope.join(c.path)
	if err != nil {
		return nil, err
	}
	r := &request{span: "request", method: c.method, url: appendQuery(u, c.params), header: http.Header{}, private: http.Header{},
		timeout: c.client.timeout, scope: c.client.scope, last: &c.client.last, masked: c.params.secrets()}
	if secrets := append(c.params.secrets(), c.form.secrets()...); len(secrets) > 0 && !r.scope.credentialed(u) {
		return nil, fmt.Errorf("%s is a secret, which may go to %s only, and not to %s", secrets[0], shownOrigin(r.scope.base), shownOrigin(u))
	}
	if err := c.setBody(r); err != nil {
		return nil, err
	}
	for _, h := range []headers{c.client.headers, c.headers} {
		addHeader(r.header, h.open)
		addHeader(r.private, h.private)
	}
	return r, nil
}

func (c *call) setBody(r *request) (err error) {
	switch {
	case c.json != nil:
		r.header.Set("Content-Type", "application/json")
		if r.body, err = appendJSON(nil, c.json); err != nil {
			return fmt.Errorf("json: %w", err)
		}
	case c.form != nil:
		r.header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.body, r.secretBody = []byte(c.form.form()), len(c.form.secrets()) > 0
	case c.text != nil:
		r.header.Set("Content-Type", "text/plain; charset=utf-8")
		r.body = c.text
	}
	return nil
}

func (c *call) accept(status int) bool {
	return status >= 200 && status <= 299 || slices.Contains(c.ok, status)
}

// send sends the call and returns the response.
func (c *call) send(p *engine.Pull, thread *starlark.Thread, r *request, check func(*answer) error) (*response, error) {
	for _, param := range c.params {
		if param.secret { // in the form that an answer may repeat
			p.Env().Redactor.Add(escape(param.value, querySafe))
		}
	}
	g, err := c.client.gate(p)
	if err != nil {
		return nil, err
	}
	x := &exchange{auth: c.client.auth, retry: c.client.retry, gate: g, pace: c.client.pace(float64(c.share)), accept: c.accept, check: check, judge: c.client.judge, errors: c.client.errors}
	if s, ok := c.client.auth.(*signedAuth); ok {
		x.sign = func(r *request, h http.Header) (func(), error) { return s.sign(p, thread, r, h) }
	}
	a, f := x.try(p, r)
	switch {
	case f == nil:
		return &response{pull: p, request: r, answer: a}, nil
	case c.catch && f.catchable(p):
		return caught(p, r, f), nil
	}
	return nil, f.err
}

// unpack reads the arguments that get, post and pages have in common, and pairs.
func (c *call) unpack(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, pairs ...any) (err error) {
	var ps, hs starlark.Value
	pairs = append([]any{"path", &c.path, "params??", &ps, "headers??", &hs, "share??", &c.share, "catch??", &c.catch}, pairs...)
	if err := unpack(b, args, kwargs, 1, pairs...); err != nil {
		return err
	}
	if c.params, err = paramsOf("params", ps); err != nil {
		return fmt.Errorf("%s: %w", b.Name(), err)
	}
	if c.headers, err = headersOf(hs); err != nil {
		return fmt.Errorf("%s: %w", b.Name(), err)
	}
	if c.share != 0 && c.client.rate == nil {
		return fmt.Errorf("%s: share: the client has no rate to have a share of", b.Name())
	}
	return nil
}

func clientGet(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	c := &call{client: b.Receiver().(*client), method: http.MethodGet}
	var ok *starlark.List
	if err := c.unpack(b, args, kwargs, "ok??", &ok); err != nil {
		return nil, err
	}
	return c.once(thread, b, ok)
}

func clientPost(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	c := &call{client: b.Receiver().(*client), method: http.MethodPost}
	var form, body starlark.Value
	var ok *starlark.List
	if err := c.unpack(b, args, kwargs, "json??", &c.json, "form??", &form, "body??", &body, "ok??", &ok); err != nil {
		return nil, err
	}
	if err := c.takeBody(form, body); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return c.once(thread, b, ok)
}

func (c *call) takeBody(form, body starlark.Value) (err error) {
	given := 0
	for _, v := range []starlark.Value{c.json, form, body} {
		if v != nil {
			given++
		}
	}
	if given > 1 {
		return errors.New("json, form and body: give one of them")
	}
	switch v := body.(type) {
	case nil:
	case starlark.String:
		c.text = []byte(v)
	case starlark.Bytes:
		c.text = []byte(v)
	default:
		return fmt.Errorf("body: got %s, want string or bytes", v.Type())
	}
	c.form, err = paramsOf("form", form)
	return err
}

// once sends the call of a script and returns its response.
func (c *call) once(thread *starlark.Thread, b *starlark.Builtin, ok *starlark.List) (starlark.Value, error) {
	p, err := engine.PullOf(thread)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if ok != nil {
		if c.ok, err = statusList(ok); err != nil {
			return nil, fmt.Errorf("%s: ok: %w", b.Name(), err)
		}
	}
	r, err := c.request()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	response, err := c.send(p, thread, r, nil)
	if err != nil {
		return nil, err // not response, which is nil but would not be a nil Value
	}
	return response, nil
}
