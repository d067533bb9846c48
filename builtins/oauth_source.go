package builtins

import (
	"sync"
	"time"

	"starling/engine"
)

// A token is an access token with its times, which are of this machine's clock and monotonic.
type token struct {
	text    string
	version int // counts the tokens of a source
	renew   time.Time
	expires time.Time
}

// A grant is a way to get a token.
type grant interface {
	// fetch asks for a token, once if early, which says that the old one is still valid. Its errors are
	// for the person who reads them. One fetch of a source runs at a time.
	fetch(p *engine.Pull, s *tokenSource, early bool) (token, error)
	// identity is the same for what gets the same tokens, and says nothing about it.
	identity() string
}

// A tokenSource gets the tokens of one grant and keeps the latest.
type tokenSource struct {
	turn chan struct{} // holds an element while a token is being got, so that only one is
	gate gate

	proof   string // the latest assertion that was sent; for who has the turn
	refresh refreshState

	mu       sync.Mutex
	now      token
	previous string
}

func sourceOf(p *engine.Pull, g grant) *tokenSource {
	return p.Env().Shared.Get("oauth:"+g.identity(), func() any {
		return &tokenSource{turn: make(chan struct{}, 1)}
	}).(*tokenSource)
}

func (s *tokenSource) current() token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// offlineToken stands for tokens of a recording that its pull did not get itself.
const offlineToken = "token-masked"

// given is current, or what a recording has in its place.
func (s *tokenSource) given(p *engine.Pull) token {
	t := s.current()
	renew, expires, other := p.GivenToken(s, t.version, t.renew, t.expires)
	if !other {
		return t
	}
	return s.store(p, token{text: offlineToken, renew: renew, expires: expires})
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
func (s *tokenSource) get(p *engine.Pull, g grant) (token, error) {
	t := s.given(p)
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
	if t := s.given(p); p.Clock().Before(t.renew) {
		return t, nil // it came while this one waited
	}
	fresh, err := g.fetch(p, s, valid)
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
	p.OwnToken(s, t.version)
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

// hide makes text a known secret, in place of the one before it.
func (s *tokenSource) hide(p *engine.Pull, text string) {
	r := p.Env().Redactor
	r.Add(text)
	if s.proof != text {
		r.Remove(s.proof)
	}
	s.proof = text
}
