package builtins

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.starlark.net/starlark"

	"starling/engine"
)

// A privateKey signs for a client of which the server knows the public key, under an id. It is a value of scripts.
type privateKey struct {
	file, kid, alg string
	key            *rsa.PrivateKey // nil if its file is wrong, which fails the load
}

func (k *privateKey) String() string        { return fmt.Sprintf("oauth.private_key(%q)", k.file) }
func (k *privateKey) Type() string          { return "oauth.private_key" }
func (k *privateKey) Freeze()               {}
func (k *privateKey) Truth() starlark.Bool  { return true }
func (k *privateKey) Hash() (uint32, error) { return 0, errors.New("unhashable: oauth.private_key") }

func oauthPrivateKey(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	k := &privateKey{alg: "RS256"}
	var fileArg starlark.Value
	if err := unpack(b, args, kwargs, 1, "file", &fileArg, "kid", &k.kid, "alg?", &k.alg); err != nil {
		return nil, err
	}
	var file engine.File
	if err := argOf(b, "file", "config.file", fileArg, &file); err != nil {
		return nil, err
	}
	if _, ok := assertionMethods[k.alg]; !ok {
		return nil, fmt.Errorf("%s: alg: got %q, want RS256 or PS256", b.Name(), k.alg)
	}
	load, err := engine.LoadOf(thread)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if err := k.load(load, file); err != nil {
		load.Problem(thread, &engine.Error{Code: engine.CodeConfig, Op: load.Place, Err: fmt.Errorf("private key %s: %w", file.Path, err)}) // of the operator, not of the script
	}
	return k, nil
}

// load reads the key and has its file followed.
func (k *privateKey) load(load *engine.Load, file engine.File) error {
	k.file = file.Path
	if load.Env.Offline {
		return nil
	}
	data, err := file.Read()
	if err != nil {
		return err
	}
	key, err := readKey(data)
	if err != nil {
		return err
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return fmt.Errorf("the key is of type %T, want RSA, which RS256 and PS256 sign with", key)
	}
	k.key = private
	load.Env.Redactor.Add(string(pemKeys(data)))
	load.Follow(file, time.Time{})
	return nil
}

// A keyAssertion proves a client by what it signs with a key that the server knows by its id: RFC 7523.
type keyAssertion struct {
	clientID string
	key      *privateKey
}

func (a *keyAssertion) identity() string {
	if a.key.key == nil {
		return ""
	}
	return digest("private key", string(x509.MarshalPKCS1PublicKey(&a.key.key.PublicKey)), a.key.kid, a.key.alg)
}

func (a *keyAssertion) fields(p *engine.Pull, audience *url.URL) (params, string, error) {
	if p.Env().Offline {
		return assertionFields(offlineProof), offlineProof, nil
	}
	text, err := signAssertion(a.key.alg, "kid", a.key.kid, a.key.key, a.clientID, audience.String(), p.APINow())
	if err != nil {
		return nil, "", &engine.Error{Code: engine.CodeAuth, Err: fmt.Errorf("sign with %s: %w", a.key.file, err)}
	}
	return assertionFields(text), text, nil
}

var assertionMethods = map[string]jwt.SigningMethod{"RS256": jwt.SigningMethodRS256, "PS256": jwt.SigningMethodPS256}

// signAssertion makes an assertion of clientID for the endpoint audience; the header name tells the server with what it is signed.
func signAssertion(alg, name, value string, key *rsa.PrivateKey, clientID, audience string, now time.Time) (string, error) {
	t := jwt.NewWithClaims(assertionMethods[alg], jwt.MapClaims{
		"iss": clientID,
		"sub": clientID,
		"aud": audience,
		"jti": randomUUID(),
		"nbf": now.Add(-assertionAround).Unix(),
		"exp": now.Add(assertionAround).Unix(),
	})
	t.Header[name] = value
	return t.SignedString(key)
}
