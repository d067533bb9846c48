package builtins

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A refreshGrant gets tokens for somebody who has signed in once and left a refresh token: RFC 6749
// section 6. Servers may replace the refresh token at each use, so the newest is kept, encrypted, before
// the access token that came with it is used. The one before it is kept along: a server that has not
// seen the new one used still takes it.
type refreshGrant struct {
	client *tokenClient
	first  engine.Secret // what the operator set
	name   string        // under which the newest is kept
	box    cipher.AEAD
}

// A refreshState is the refresh tokens of a source, newest first. It is for who has the turn.
type refreshState struct {
	tokens []string
	unkept bool // the newest is not on disk yet
}

const minRefreshKey = 32 // bytes

func oauthRefreshToken(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	c := clientArgs{remedy: "sign in again, and set the refresh token that this gives"}
	var first, key engine.Secret
	if err := c.unpack(b, args, kwargs, "refresh_token", (*secretArg)(&first), "key", (*secretArg)(&key)); err != nil {
		return nil, err
	}
	client, err := c.client(thread)
	if err == nil && len(key.Reveal()) < minRefreshKey {
		err = fmt.Errorf("key: is shorter than %d bytes: make a random one, such as with openssl rand -base64 32", minRefreshKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	g := &refreshGrant{client: client, first: first, name: "oauth.refresh_token " + digest(client.url.String(), c.clientID, first.Reveal())}
	if g.box, err = boxOf(key.Reveal()); err != nil {
		return nil, fmt.Errorf("%s: key: %w", b.Name(), err)
	}
	return &tokenAuth{b.Name(), client.url.String(), g}, nil
}

// boxOf makes a box that only the same key opens.
func boxOf(key string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, []byte(key), nil, "starling refresh token", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (g *refreshGrant) identity() string { return digest("refresh token", g.name, g.client.identity()) }

func (g *refreshGrant) fetch(p *engine.Pull, s *tokenSource, early bool) (token, error) {
	if err := g.prepare(p, s); err != nil {
		return token{}, err
	}
	var t tokenAnswer
	var used string
	var err error
	for _, used = range slices.Clone(s.refresh.tokens) {
		t, err = g.client.ask(p, s, early, params{{name: "grant_type", value: "refresh_token"}, {name: "refresh_token", value: used, secret: true}})
		if e, ok := errors.AsType[*refusalError](err); !ok || e.kind != "invalid_grant" {
			break // for all other reasons an older one would not help
		}
	}
	if err != nil {
		return token{}, err
	}
	if t.refresh != "" && t.refresh != used {
		g.rotate(p, s, t.refresh, used)
	}
	return t.token(p.Now()), nil
}

// prepare fills the state of the source with what is kept, and with what the operator set, and keeps what
// could not be kept before.
func (g *refreshGrant) prepare(p *engine.Pull, s *tokenSource) error {
	if s.refresh.unkept {
		g.keep(p, s)
	}
	if s.refresh.tokens != nil {
		return nil
	}
	tokens, err := g.kept(p)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		p.Env().Redactor.Add(t)
	}
	if !slices.Contains(tokens, g.first.Reveal()) {
		tokens = append(tokens, g.first.Reveal())
	}
	s.refresh.tokens = tokens
	return nil
}

// kept returns the refresh tokens on disk, none if there are none.
func (g *refreshGrant) kept(p *engine.Pull) (tokens []string, err error) {
	value, found, err := p.Kept(g.name)
	if err != nil || !found {
		return nil, err
	}
	var sealed, plain []byte
	if err = json.Unmarshal(value, &sealed); err == nil {
		if plain, err = g.box.Open(nil, nil, sealed, []byte(g.name)); err == nil {
			err = json.Unmarshal(plain, &tokens)
		}
	}
	if err != nil || slices.Contains(tokens, "") {
		return nil, &engine.Error{Code: engine.CodeAuth, Op: "open the refresh token in the state directory", Err: errors.New("the key does not fit"),
			Hint: "put back the key that it was kept with; without it, sign in again and set the refresh token that this gives"}
	}
	return tokens, nil
}

// rotate puts a new refresh token in the place of the one that was used, which stays behind it.
func (g *refreshGrant) rotate(p *engine.Pull, s *tokenSource, fresh, used string) {
	r := p.Env().Redactor
	r.Add(fresh)
	for _, old := range s.refresh.tokens {
		if old != used && old != g.first.Reveal() {
			r.Remove(old)
		}
	}
	s.refresh.tokens = []string{fresh, used}
	if first := g.first.Reveal(); used != first {
		s.refresh.tokens = append(s.refresh.tokens, first)
	}
	g.keep(p, s)
}

// keep makes the refresh tokens durable. What is not kept stays in memory, to be kept the next time.
func (g *refreshGrant) keep(p *engine.Pull, s *tokenSource) {
	err := g.seal(p, s.refresh.tokens)
	s.refresh.unkept = err != nil
	switch {
	case err != nil:
		p.Logger().Error("a new refresh token is not kept on disk yet; if the process ends now, the one before it has to do", "error", err.Error())
	case !p.KeepsForGood():
		p.Logger().Warn("a new refresh token is kept in memory only; without a state directory the next start uses the configured one")
	}
}

func (g *refreshGrant) seal(p *engine.Pull, tokens []string) error {
	plain, err := json.Marshal(tokens[:2])
	if err != nil {
		return err
	}
	value, err := json.Marshal(g.box.Seal(nil, nil, plain, []byte(g.name)))
	if err != nil {
		return err
	}
	return p.Keep(g.name, value)
}
