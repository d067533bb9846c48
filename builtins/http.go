package builtins

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// newHTTP makes the module http, with which scripts ask APIs.
//
//	http.client(base, *, auth, headers, retry, rate, timeout, hosts, hints, errors)
//	http.retry(times = 3, *, statuses = [429, 500, 502, 503, 504], backoff = "2s", cap = "60s", reset, remaining)
//	http.rate(n, per = "1s", *, name)
//	http.basic(user, secret)
//	http.bearer(secret)
//	http.api_key(secret, header = "X-Api-Key", *, prefix)
//	http.signed(sign)
//	http.link()
//	http.cursor(key, param)
//	http.offset(param, size, *, rows)
//
// A client is made at the top level of a script and used while a pull runs:
//
//	client.get(path, *, params, headers, share, catch, ok)
//	client.post(path, *, params, json, form, body, headers, share, catch, ok)
//	client.pages(path, *, params, next, json, headers, share, catch, method = "GET", max_pages = 10000, xml, strict, prefetch = True)
//	client.now()
//
// path is appended to base, which is https unless it is a loopback address; a whole URL must have the
// same scheme, host and port, or a host in hosts or in starling.network.allow_hosts. Credentials, and
// headers and parameters that are secrets, go to the base's origin only. A private address must be
// allowed by the configuration. params are encoded in the order written; None leaves one out, a list repeats it.
// Statuses from 200 to 299 are successes, and those in ok.
//
// hints is a dict from status, or from a text in the answer, to what a person can do about it, for what is
// particular to the API; it ends the message of the error.
//
// With catch, a failure that lasts is a response whose .error says what failed. Not caught are what a
// person must act on (401, 403, sign-in, 404 and 410 with a hint), what is told to wait, and the end of the pull's time.
//
// A response has .status, .headers, .text, .url and .error; r["key"] reads its JSON, r.json() is all of it, r.xml() its XML,
// and r.raise_error() ends the pull if it failed.
//
// pages gives one response after the other. next says how to find the next page: the name of the key
// that holds a link ("odata.nextLink", or a path such as "d.__next"); http.link() for the header Link
// (RFC 8288); http.cursor("key", "param") for a value of the answer to send along; http.offset("param",
// size) for a count of rows; or a function that takes the response and returns a URL, a dict of
// params to change, or None at the end. Links may be relative (RFC 3986) and never leave the scope of
// the client. A page without rows is followed as long as there is a link. A link that was seen before,
// or more than max_pages pages, is an error: nothing is cut short silently. With method = "POST" and
// json, cursor, offset and dicts change the JSON instead of the query. The next page is asked for while the
// script has one, see http_ahead.go.
//
// What fails is sent again up to times times: answers with one of statuses, no answer, an answer that
// broke off, and in pages one that is not JSON. POST is sent again as well, because APIs that are read
// by POST search; times = 0 turns that off. When the API asks for less, everybody who shares the quota
// waits, see engine.Quota; beyond the end of the pull, the pull ends and the engine waits.
//
// A rate of n per time holds for any stretch of that time. Those with the same name share it, in the
// whole process and over restarts; without a name it is the client's own. Requests with a share below 1
// use no more than that part of it together.
func newHTTP() *starlarkstruct.Module {
	return module("http", map[string]builtinFunc{
		"client":  httpClient,
		"retry":   httpRetry,
		"rate":    httpRate,
		"basic":   httpBasic,
		"bearer":  httpBearer,
		"api_key": httpAPIKey,
		"signed":  httpSigned,
		"link":    httpLink,
		"cursor":  httpCursor,
		"offset":  httpOffset,
	})
}

// A client asks one API. Nothing of it that a script can see changes once it is made.
type client struct {
	scope   scope
	auth    auth // may be nil
	headers headers
	retry   *retryPolicy
	rate    *rate // may be nil
	timeout time.Duration
	hints   hints
	errors  errorIDs
	last    lastSize
}

var _ starlark.HasAttrs = (*client)(nil)

func (c *client) String() string        { return fmt.Sprintf("http.client(%q)", c.scope.base) }
func (c *client) Type() string          { return "http.client" }
func (c *client) Freeze()               {}
func (c *client) Truth() starlark.Bool  { return true }
func (c *client) Hash() (uint32, error) { return 0, errors.New("unhashable: http.client") }

// Attr gives the client's methods.
func (c *client) Attr(name string) (starlark.Value, error) {
	switch name {
	case "get":
		return starlark.NewBuiltin("client.get", clientGet).BindReceiver(c), nil
	case "post":
		return starlark.NewBuiltin("client.post", clientPost).BindReceiver(c), nil
	case "now":
		return starlark.NewBuiltin("client.now", clientNow).BindReceiver(c), nil
	case "pages":
		return starlark.NewBuiltin("client.pages", clientPages).BindReceiver(c), nil
	}
	return nil, nil
}

// AttrNames lists the methods.
func (c *client) AttrNames() []string { return []string{"get", "now", "pages", "post"} }

func httpClient(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	c := &client{retry: defaultRetry()}
	var base string
	var authArg, retryArg, rateArg, headersArg, timeout starlark.Value
	var hosts *starlark.List
	var hints, ids *starlark.Dict
	err := unpack(b, args, kwargs, 1, "base", &base, "auth??", &authArg, "headers??", &headersArg, "retry??", &retryArg,
		"rate??", &rateArg, "timeout??", &timeout, "hosts??", &hosts, "hints??", &hints, "errors??", &ids)
	if err != nil {
		return nil, err
	}
	if c.scope, err = scopeOf(base, hosts); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if err := c.scope.declare(thread); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if c.headers, err = headersOf(headersArg); err != nil {
		return nil, fmt.Errorf("%s: headers: %w", b.Name(), err)
	}
	if err := argOf(b, "auth", "http.basic, http.bearer, http.api_key, http.signed or one of oauth", authArg, &c.auth); err != nil {
		return nil, err
	}
	if err := argOf(b, "retry", "http.retry", retryArg, &c.retry); err != nil {
		return nil, err
	}
	if err := argOf(b, "rate", "http.rate", rateArg, &c.rate); err != nil {
		return nil, err
	}
	if c.hints, err = hintsOf(b, hints); err != nil {
		return nil, err
	}
	if c.errors, err = errorIDsOf(ids, requestErrors...); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return c, positive(b, "timeout", timeout, &c.timeout)
}

// argOf stores an argument of a type that only other builtins make.
func argOf[T any](b *starlark.Builtin, name, want string, v starlark.Value, to *T) error {
	if v == nil {
		return nil
	}
	t, ok := v.(T)
	if !ok {
		return fmt.Errorf("%s: %s: got %s, want %s", b.Name(), name, v.Type(), want)
	}
	*to = t
	return nil
}

func scopeOf(base string, hosts *starlark.List) (scope, error) {
	u, err := baseURL(base)
	if err != nil {
		return scope{}, fmt.Errorf("base: %w", err)
	}
	names, err := stringsOf("hosts", hosts)
	if err != nil {
		return scope{}, err
	}
	s := scope{base: u}
	for _, name := range names {
		host, err := baseURL(name)
		if err != nil {
			return scope{}, fmt.Errorf("hosts: %w", err)
		}
		if strings.Trim(host.Path, "/") != "" {
			return scope{}, fmt.Errorf("hosts: got %q, want a host without a path", name)
		}
		s.origins = append(s.origins, origin(host))
	}
	return s, nil
}
