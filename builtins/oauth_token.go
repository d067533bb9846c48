package builtins

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	// assumedLifetime is that of a token whose answer does not say: short, but no loop.
	assumedLifetime = 5 * time.Minute
	maxLifetime     = 30 * 24 * time.Hour
)

// A tokenAnswer is what a token endpoint gave.
type tokenAnswer struct {
	text     string
	lifetime time.Duration
	refresh  string // a new refresh token, if there is one
}

// token is the token of an answer that came now.
func (t tokenAnswer) token(now time.Time) token {
	return token{text: t.text, expires: now.Add(t.lifetime), renew: now.Add(t.lifetime - renewAhead(t.lifetime))}
}

// parseToken reads the answer of a token endpoint, RFC 6749 section 5.1. Microsoft's first version
// writes numbers as strings and adds expires_on, in seconds since 1970; the shorter life counts.
func parseToken(body []byte, now time.Time) (tokenAnswer, error) {
	none := tokenAnswer{}
	var fields struct {
		AccessToken any `json:"access_token"`
		TokenType   any `json:"token_type"`
		ExpiresIn   any `json:"expires_in"`
		ExpiresOn   any `json:"expires_on"`
		Refresh     any `json:"refresh_token"`
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		// Not the error, which can repeat a part of the token.
		return none, fmt.Errorf("the answer is not a JSON object with a token, but %d bytes of something else", len(body))
	}
	text, _ := fields.AccessToken.(string)
	if text == "" {
		return none, errors.New("there is no access_token in the answer")
	}
	if checkHeader("Authorization", text) != nil {
		return none, errors.New("the access_token has control characters in it")
	}
	if kind, ok := fields.TokenType.(string); ok && !strings.EqualFold(kind, "bearer") {
		return none, fmt.Errorf("got a token of type %q, want Bearer", clip(kind, 40))
	}
	lifetime := positiveSeconds(secondsIn(fields.ExpiresIn))
	// A clock that is wrong here can make expires_on lie in the past; then it says nothing.
	left := positiveSeconds(secondsIn(fields.ExpiresOn) - float64(now.Unix()))
	if lifetime == 0 || left > 0 && left < lifetime {
		lifetime = left
	}
	if lifetime == 0 {
		lifetime = assumedLifetime
	}
	refresh, _ := fields.Refresh.(string)
	return tokenAnswer{text, lifetime, refresh}, nil
}

// secondsIn reads a number, also one written as a string; anything else is 0.
func secondsIn(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		if n, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil && !math.IsNaN(n) {
			return n
		}
	}
	return 0
}

func positiveSeconds(n float64) time.Duration {
	if !(n > 0) {
		return 0
	}
	return min(time.Duration(seconds(n)), maxLifetime)
}

// renewAhead returns how long before its end a token is renewed.
func renewAhead(lifetime time.Duration) time.Duration {
	return min(max(5*time.Minute, lifetime/10), lifetime/2)
}
