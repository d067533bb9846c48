package builtins

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// newOAuth makes the module oauth.
//
//	oauth.client_credentials(token_url, *, client_id, client_secret, resource, scope, params)
//
// The result is for http.client(auth = ...). resource is for the first version of Microsoft's sign-in,
// scope for the second and for everybody else: give one of them. params are further fields of the
// form. The token is got when it is first needed, shared by all collectors with the same arguments,
// and renewed ahead of its end, or when an API refuses it.
func newOAuth() *starlarkstruct.Module {
	return module("oauth", map[string]builtinFunc{"client_credentials": oauthClientCredentials})
}

// A clientCredentials is the credentials of an application: RFC 6749 section 4.4.
type clientCredentials struct {
	url    *url.URL
	form   params
	secret engine.Secret
}

var _ auth = (*clientCredentials)(nil)

func (c *clientCredentials) String() string {
	return fmt.Sprintf("oauth.client_credentials(%q)", c.url)
}
func (c *clientCredentials) Type() string         { return "oauth.client_credentials" }
func (c *clientCredentials) Freeze()              {}
func (c *clientCredentials) Truth() starlark.Bool { return true }
func (c *clientCredentials) Hash() (uint32, error) {
	return 0, errors.New("unhashable: oauth.client_credentials")
}

func oauthClientCredentials(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var tokenURL, clientID, resource, scope string
	var secret engine.Secret
	var more starlark.Value
	err := unpack(b, args, kwargs, 1, "token_url", &tokenURL, "client_id", &clientID, "client_secret", (*secretArg)(&secret),
		"resource??", &resource, "scope??", &scope, "params??", &more)
	if err != nil {
		return nil, err
	}
	c := &clientCredentials{secret: secret}
	if c.url, err = baseURL(tokenURL); err != nil {
		return nil, fmt.Errorf("%s: token_url: %w", b.Name(), err)
	}
	if err := declareOrigin(thread, c.url); err != nil {
		return nil, fmt.Errorf("%s: token_url: %w", b.Name(), err)
	}
	c.form = params{{name: "grant_type", value: "client_credentials"}, {name: "client_id", value: clientID},
		{name: "client_secret", value: secret.Reveal(), secret: true}}
	switch {
	case (resource == "") == (scope == ""):
		return nil, fmt.Errorf("%s: give either resource or scope", b.Name())
	case resource != "":
		c.form = append(c.form, param{name: "resource", value: resource})
	default:
		c.form = append(c.form, param{name: "scope", value: scope})
	}
	extra, err := paramsOf("params", more)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	c.form = append(c.form, extra...)
	return c, nil
}

func (c *clientCredentials) identity() string { return digest("oauth", c.url.String(), c.form.form()) }

func (c *clientCredentials) source(p *engine.Pull) *tokenSource {
	return p.Env().Shared.Get("oauth:"+c.identity(), func() any {
		return &tokenSource{turn: make(chan struct{}, 1)}
	}).(*tokenSource)
}

func (c *clientCredentials) authorize(p *engine.Pull, h http.Header) (int, error) {
	t, err := c.source(p).get(p, c)
	if err != nil {
		return 0, err
	}
	h.Set("Authorization", "Bearer "+t.text)
	return t.version, nil
}

func (c *clientCredentials) renew(p *engine.Pull, version int) bool {
	c.source(p).drop(version)
	return true
}

// A token is an access token with its times, which are of this machine's clock and monotonic.
type token struct {
	text    string
	version int // counts the tokens of a source
	renew   time.Time
	expires time.Time
}

// A tokenSource gets the tokens for one set of credentials and keeps the latest.
type tokenSource struct {
	turn chan struct{} // holds an element while a token is being got, so that only one is
	gate gate

	mu       sync.Mutex
	now      token
	previous string
}

func (s *tokenSource) current() token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// drop forgets the token of a version, if it is still that one.
func (s *tokenSource) drop(version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.version == version {
		s.now.expires, s.now.renew = time.Time{}, time.Time{}
	}
}

// get returns a token that is valid, and gets a new one if it must.
func (s *tokenSource) get(p *engine.Pull, c *clientCredentials) (token, error) {
	t := s.current()
	if p.Clock().Before(t.renew) {
		return t, nil
	}
	valid := p.Clock().Before(t.expires)
	select {
	case s.turn <- struct{}{}:
	default:
		if valid { // somebody else renews it
			return t, nil
		}
		select {
		case s.turn <- struct{}{}:
		case <-p.Context().Done():
			return token{}, stopped(p, "wait for a token", nil)
		}
	}
	defer func() { <-s.turn }()
	if t := s.current(); p.Clock().Before(t.renew) {
		return t, nil // it came while this one waited
	}
	fresh, err := c.fetch(p, &s.gate, valid)
	switch {
	case err == nil:
		return s.store(p, fresh), nil
	case valid && p.Context().Err() == nil:
		p.Logger().Warn("token is not renewed; the old one is still valid", "error", err.Error())
		s.postpone(p.Clock().Add(time.Minute))
		return t, nil
	}
	return token{}, err
}

func (s *tokenSource) store(p *engine.Pull, t token) token {
	r := p.Env().Redactor
	r.Add(t.text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.previous != t.text && s.previous != s.now.text {
		r.Remove(s.previous) // or a process that runs for years would know thousands
	}
	t.version = s.now.version + 1
	s.previous, s.now = s.now.text, t
	return t
}

// postpone puts off the next try to renew a token that is still valid.
func (s *tokenSource) postpone(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.renew = until
	if until.After(s.now.expires) {
		s.now.renew = s.now.expires
	}
}

// tokenRetry bounds how often a token is asked for; an early renewal is tried once.
func tokenRetry(early bool) *retryPolicy {
	r := defaultRetry()
	r.statuses = append(r.statuses, http.StatusRequestTimeout)
	if early {
		r.times = 0
	}
	return r
}

// fetch asks for a token. Early means that the old one is still valid.
func (c *clientCredentials) fetch(p *engine.Pull, g *gate, early bool) (token, error) {
	r := &request{span: "token", method: http.MethodPost, url: c.url, scope: scope{base: c.url}, body: []byte(c.form.form()), secretBody: true,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
	var text string
	var lifetime time.Duration
	x := &exchange{retry: tokenRetry(early), gate: g, judge: tokenFailure,
		accept: func(status int) bool { return status == http.StatusOK },
		check: func(a *answer) (err error) {
			if text, lifetime, err = parseToken(a.body, p.Now()); err != nil {
				return &engine.Error{Code: engine.CodeUpstream, Op: r.op(p) + ": " + a.statusText(), Err: cleanError(p.Env().Redactor, err)}
			}
			return nil
		}}
	if _, err := x.do(p, r); err != nil {
		return token{}, err
	}
	now := p.Clock()
	return token{text: text, expires: now.Add(lifetime), renew: now.Add(lifetime - renewAhead(lifetime))}, nil
}
