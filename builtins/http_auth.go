package builtins

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.starlark.net/starlark"

	"starling/engine"
)

// An auth puts credentials on requests. It is a value of scripts; http.client takes it.
type auth interface {
	starlark.Value
	// authorize sets the credentials in h, and returns the version of what it set. Its errors are for
	// the person who reads them, and final.
	authorize(p *engine.Pull, h http.Header) (version int, err error)
	// renew is told that the API refused the credentials of a version. It reports whether others will
	// be used from now on.
	renew(p *engine.Pull, version int) bool
	// identity is the same for the same credentials, and says nothing about them.
	identity() string
}

// A fixedAuth is credentials that do not change: a header.
type fixedAuth struct {
	kind, header string
	value        func() string
}

var _ auth = (*fixedAuth)(nil)

func (a *fixedAuth) String() string        { return a.kind + "(...)" }
func (a *fixedAuth) Type() string          { return a.kind }
func (a *fixedAuth) Freeze()               {}
func (a *fixedAuth) Truth() starlark.Bool  { return true }
func (a *fixedAuth) Hash() (uint32, error) { return 0, errors.New("unhashable: " + a.kind) }

func (a *fixedAuth) authorize(p *engine.Pull, h http.Header) (int, error) {
	value := a.value()
	p.Env().Redactor.Add(strings.TrimPrefix(strings.TrimPrefix(value, "Basic "), "Bearer "))
	h.Set(a.header, value)
	return 0, nil
}

func (a *fixedAuth) renew(*engine.Pull, int) bool { return false }
func (a *fixedAuth) identity() string             { return digest(a.kind, a.header, a.value()) }

func httpBasic(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var user string
	var secret engine.Secret
	if err := unpack(b, args, kwargs, 2, "user", &user, "secret", (*secretArg)(&secret)); err != nil {
		return nil, err
	}
	if strings.Contains(user, ":") {
		return nil, fmt.Errorf("%s: user: a colon cannot be in a user name", b.Name())
	}
	return &fixedAuth{b.Name(), "Authorization", func() string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret.Reveal()))
	}}, nil
}

func httpBearer(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var secret engine.Secret
	if err := unpack(b, args, kwargs, 1, "secret", (*secretArg)(&secret)); err != nil {
		return nil, err
	}
	if err := checkHeader("Authorization", secret.Reveal()); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return &fixedAuth{b.Name(), "Authorization", func() string { return "Bearer " + secret.Reveal() }}, nil
}

func httpAPIKey(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var secret engine.Secret
	header, prefix := "X-Api-Key", ""
	if err := unpack(b, args, kwargs, 1, "secret", (*secretArg)(&secret), "header?", &header, "prefix?", &prefix); err != nil {
		return nil, err
	}
	if err := checkHeader(header, prefix+secret.Reveal()); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return &fixedAuth{b.Name(), header, func() string { return prefix + secret.Reveal() }}, nil
}

// A secretArg takes a secret from the arguments of a builtin, and nothing else: a plain string would
// show up in errors and logs.
type secretArg engine.Secret

func (s *secretArg) Unpack(v starlark.Value) error {
	secret, ok := v.(engine.Secret)
	if !ok {
		return fmt.Errorf("got %s, want a secret, from config.secret", v.Type())
	}
	*s = secretArg(secret)
	return nil
}

// checkHeader refuses what would end a header early. The error does not show the value.
func checkHeader(name, value string) error {
	if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~") != "" {
		return fmt.Errorf("header %q: not a name of a header", name)
	}
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("header %s: there is a line break or another control character in the value", name)
		}
	}
	return nil
}

// digest names a set of texts without showing any of them.
func digest(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
