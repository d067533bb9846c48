package builtins

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A tokenClient is a client of a token endpoint: RFC 6749 section 2.
type tokenClient struct {
	url    *url.URL
	form   params // of every request
	proof  proof  // nil for a public client
	errors tokenErrors
}

// A proof is how a client proves who it is.
type proof interface {
	// fields returns the fields of a form for one request, and the text in them that is a secret. Its
	// errors are final.
	fields(p *engine.Pull, audience *url.URL) (fields params, secret string, err error)
	// identity is the same for the same proof, and says nothing about it.
	identity() string
}

// clientArgs are the arguments that builtins which use a token endpoint have in common.
type clientArgs struct {
	tokenURL, clientID, resource, scope string

	secret    engine.Secret
	secretSet bool
	cert      *certificate
	key       *privateKey
	file      engine.File

	remedy string // what a person can do when the endpoint refuses, if no hint says it

	more    starlark.Value
	hints   *starlark.Dict
	passing *starlark.List
	errors  *starlark.Dict
}

func (c *clientArgs) unpack(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, pairs ...any) error {
	var secret, cert, key, file starlark.Value
	pairs = append([]any{"token_url", &c.tokenURL, "client_id", &c.clientID, "client_secret??", &secret, "certificate??", &cert, "private_key??", &key, "assertion_file??", &file,
		"resource??", &c.resource, "scope??", &c.scope, "params??", &c.more, "hints??", &c.hints, "passing??", &c.passing, "errors??", &c.errors}, pairs...)
	if err := unpack(b, args, kwargs, 1, pairs...); err != nil {
		return err
	}
	if secret != nil {
		c.secretSet = true
		if err := (*secretArg)(&c.secret).Unpack(secret); err != nil {
			return fmt.Errorf("%s: client_secret: %w", b.Name(), err)
		}
	}
	if err := argOf(b, "certificate", "oauth.certificate", cert, &c.cert); err != nil {
		return err
	}
	if err := argOf(b, "private_key", "oauth.private_key", key, &c.key); err != nil {
		return err
	}
	return argOf(b, "assertion_file", "config.file", file, &c.file)
}

// client makes the client, which is a public one if it has nothing that proves who it is.
func (c *clientArgs) client(thread *starlark.Thread) (*tokenClient, error) {
	t := &tokenClient{form: params{{name: "client_id", value: c.clientID}}, errors: tokenErrors{remedy: c.remedy}}
	if err := t.errors.take(c.hints, c.passing); err != nil {
		return nil, err
	}
	var err error
	if t.errors.ids, err = errorIDsOf(c.errors, requestErrors...); err != nil {
		return nil, err
	}
	if t.url, err = baseURL(c.tokenURL); err == nil {
		err = declareOrigin(thread, t.url)
	}
	if err != nil {
		return nil, fmt.Errorf("token_url: %w", err)
	}
	if t.proof, err = c.proof(); err != nil {
		return nil, err
	}
	if c.resource != "" {
		t.form = append(t.form, param{name: "resource", value: c.resource})
	}
	if c.scope != "" {
		t.form = append(t.form, param{name: "scope", value: c.scope})
	}
	extra, err := paramsOf("params", c.more)
	t.form = append(t.form, extra...)
	return t, err
}

func (c *clientArgs) proof() (proof, error) {
	var proofs []proof
	if c.secretSet {
		proofs = append(proofs, clientSecret(c.secret))
	}
	if c.cert != nil {
		proofs = append(proofs, &signedAssertion{c.clientID, c.cert})
	}
	if c.key != nil {
		proofs = append(proofs, &keyAssertion{c.clientID, c.key})
	}
	if c.file.Path != "" {
		proofs = append(proofs, assertionFile(c.file))
	}
	switch len(proofs) {
	case 0:
		return nil, nil
	case 1:
		return proofs[0], nil
	}
	return nil, errors.New("client_secret, certificate, private_key and assertion_file: give one of them")
}

func (c *tokenClient) identity() string {
	proof := ""
	if c.proof != nil {
		proof = c.proof.identity()
	}
	return digest("oauth", c.url.String(), c.form.form(), proof)
}

// ask sends one request for a token, again if that may help. Each has a proof of its own, because an
// assertion is good for one.
func (c *tokenClient) ask(p *engine.Pull, s *tokenSource, early bool, fields params) (tokenAnswer, error) {
	r := &request{span: "token", method: http.MethodPost, url: c.url, scope: scope{base: c.url}, secretBody: true,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
	r.makeBody = func() ([]byte, error) {
		form := append(append(params{}, fields...), c.form...)
		if c.proof != nil {
			more, secret, err := c.proof.fields(p, c.url)
			if err != nil {
				return nil, err
			}
			s.hide(p, secret)
			form = append(form, more...)
		}
		return []byte(form.form()), nil
	}
	return askForToken(p, r, &exchange{retry: tokenRetry(early), gate: &s.gate, judge: c.errors.failure, errors: c.errors.ids})
}

// askForToken sends r by x and reads the token in the answer.
func askForToken(p *engine.Pull, r *request, x *exchange) (t tokenAnswer, err error) {
	x.accept = func(status int) bool { return status == http.StatusOK }
	x.check = func(a *answer) (err error) {
		if t, err = parseToken(a.body, p.Now()); err != nil {
			return &engine.Error{Code: engine.CodeUpstream, Op: r.op(p) + ": " + a.statusText(), Err: cleanError(p.Env().Redactor, err)}
		}
		return nil
	}
	if _, err := x.do(p, r); err != nil {
		return tokenAnswer{}, err
	}
	return t, nil
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

// A clientCredentials is the credentials of an application: RFC 6749 section 4.4.
type clientCredentials struct{ client *tokenClient }

func (c clientCredentials) identity() string {
	return digest("client_credentials", c.client.identity())
}

func (c clientCredentials) fetch(p *engine.Pull, s *tokenSource, early bool) (token, error) {
	t, err := c.client.ask(p, s, early, params{{name: "grant_type", value: "client_credentials"}})
	return t.token(p.Clock()), err
}

func oauthClientCredentials(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	c := clientArgs{remedy: "check the sign-in address, client_id and what proves it"}
	if err := c.unpack(b, args, kwargs); err != nil {
		return nil, err
	}
	client, err := c.client(thread)
	switch {
	case err != nil:
	case client.proof == nil:
		err = errors.New("give one of client_secret, certificate, private_key and assertion_file")
	case (c.resource == "") == (c.scope == ""):
		err = errors.New("give either resource or scope")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return &tokenAuth{b.Name(), client.url.String(), clientCredentials{client}}, nil
}
