package builtins

import (
	"errors"
	"fmt"
	"net/http"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// newOAuth makes the module oauth.
//
//	oauth.client_credentials(token_url, *, client_id, client_secret, certificate, private_key, assertion_file, resource, scope, params, hints, passing, errors)
//	oauth.refresh_token(token_url, *, client_id, refresh_token, key, client_secret, certificate, private_key, assertion_file, resource, scope, params, hints, passing, errors)
//	oauth.managed_identity(resource, *, client_id, hints, passing, errors)
//	oauth.certificate(file, *, key, password, alg = "PS256")
//	oauth.private_key(file, *, kid, alg = "RS256")
//
// The results of all but certificate and private_key are for http.client(auth = ...). The token is got when it is first
// needed, shared by all collectors with the same arguments, and renewed ahead of its end, or when an
// API refuses it.
//
// A client proves who it is by one of four: a secret; a certificate, with which it signs an assertion
// (RFC 7523) for each request; a key alone, which the server knows by an id; or an assertion that somebody else writes into a file, which is read
// anew for each request. resource is for the first version of Microsoft's sign-in, scope for the second
// and for everybody else: give one of them. params are further fields of the form.
//
// hints is a dict from words of the endpoint's errors to what a person can do about them, passing a list
// of words of errors that pass by themselves.
//
// refresh_token is for access in the name of a person who has signed in once. A refresh token that the
// server gives in place of the old one is encrypted with key and made durable before the access token
// that came with it is used. The client may be a public one, which proves nothing.
//
// managed_identity asks the platform that this machine runs on: the metadata service of Azure's virtual
// machines, which scripts themselves cannot reach, or the endpoint that App Service names in the environment.
//
// certificate takes a file with a certificate and its RSA key: PEM, where the key may be in a file of
// its own, or PKCS#12. When a file changes, the script is loaded again with it; a wrong one does not
// take the place of a right one. alg is PS256, which names the certificate by its SHA-256 (x5t#S256), or
// RS256, by its SHA-1 (x5t).
func newOAuth() *starlarkstruct.Module {
	return module("oauth", map[string]builtinFunc{
		"client_credentials": oauthClientCredentials,
		"refresh_token":      oauthRefreshToken,
		"managed_identity":   oauthManagedIdentity,
		"certificate":        oauthCertificate,
		"private_key":        oauthPrivateKey,
	})
}

// A tokenAuth is an auth with the tokens of a grant.
type tokenAuth struct {
	kind  string // the builtin that made it
	where string
	grant grant
}

var _ auth = (*tokenAuth)(nil)

func (a *tokenAuth) String() string        { return fmt.Sprintf("%s(%q)", a.kind, a.where) }
func (a *tokenAuth) Type() string          { return a.kind }
func (a *tokenAuth) Freeze()               {}
func (a *tokenAuth) Truth() starlark.Bool  { return true }
func (a *tokenAuth) Hash() (uint32, error) { return 0, errors.New("unhashable: " + a.kind) }
func (a *tokenAuth) identity() string      { return a.grant.identity() }

func (a *tokenAuth) authorize(p *engine.Pull, h http.Header) (int, error) {
	t, err := sourceOf(p, a.grant).get(p, a.grant)
	if err != nil {
		return 0, err
	}
	h.Set("Authorization", "Bearer "+t.text)
	return t.version, nil
}

func (a *tokenAuth) renew(p *engine.Pull, version int) bool {
	sourceOf(p, a.grant).drop(version)
	return true
}
