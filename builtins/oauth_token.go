package builtins

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"starling/engine"
)

const (
	// assumedLifetime is that of a token whose answer does not say: short, but no loop.
	assumedLifetime = 5 * time.Minute
	maxLifetime     = 30 * 24 * time.Hour
)

// parseToken reads the answer of a token endpoint, RFC 6749 section 5.1. Microsoft's first version
// writes numbers as strings and adds expires_on, in seconds since 1970; the shorter life counts.
func parseToken(body []byte, now time.Time) (text string, lifetime time.Duration, err error) {
	var fields struct {
		AccessToken any `json:"access_token"`
		TokenType   any `json:"token_type"`
		ExpiresIn   any `json:"expires_in"`
		ExpiresOn   any `json:"expires_on"`
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		// Not the error, which can repeat a part of the token.
		return "", 0, fmt.Errorf("the answer is not a JSON object with a token, but %d bytes of something else", len(body))
	}
	text, _ = fields.AccessToken.(string)
	if text == "" {
		return "", 0, errors.New("there is no access_token in the answer")
	}
	if checkHeader("Authorization", text) != nil {
		return "", 0, errors.New("the access_token has control characters in it")
	}
	if kind, ok := fields.TokenType.(string); ok && !strings.EqualFold(kind, "bearer") {
		return "", 0, fmt.Errorf("got a token of type %q, want Bearer", clip(kind, 40))
	}
	lifetime = positiveSeconds(secondsIn(fields.ExpiresIn))
	// A clock that is wrong here can make expires_on lie in the past; then it says nothing.
	left := positiveSeconds(secondsIn(fields.ExpiresOn) - float64(now.Unix()))
	if lifetime == 0 || left > 0 && left < lifetime {
		lifetime = left
	}
	if lifetime == 0 {
		lifetime = assumedLifetime
	}
	return text, lifetime, nil
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

// tokenFailure explains an answer without a token, RFC 6749 section 5.2. What happens next depends on
// the status and on error, which are stable; Microsoft's AADSTS codes give hints only, and the few
// that are known to pass.
func tokenFailure(p *engine.Pull, r *request, a *answer) *failure {
	e := &engine.Error{Code: codeOf(a.status), Op: r.op(p) + ": " + a.statusText(), Err: excerptError(p, a)}
	f := &failure{err: e}
	var fields struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
		TraceID     string `json:"trace_id"`
	}
	known := json.Unmarshal(a.body, &fields) == nil && fields.Error != ""
	codes := fields.Codes
	if known {
		text := fields.Error + ": " + fields.Description
		if fields.TraceID != "" && !strings.Contains(text, fields.TraceID) {
			text += " Trace ID: " + fields.TraceID
		}
		e.Err = errors.New(clip(p.Env().Redactor.Redact(text), 600))
		codes = append(codes, codesIn(fields.Description)...)
	}
	passing := slices.ContainsFunc(codes, func(c int) bool { return slices.Contains(passingCodes, c) })
	f.again = a.status >= 500 || a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout ||
		fields.Error == "temporarily_unavailable" || passing
	if !f.again {
		e.Code = engine.CodeAuth
		e.Hint = "check the sign-in address, client_id and client_secret"
	}
	for _, code := range codes {
		if hint, ok := signInHints[code]; ok {
			e.Hint = hint
			break
		}
	}
	return f
}

var aadsts = regexp.MustCompile(`AADSTS(\d{4,9})`)

func codesIn(text string) (codes []int) {
	for _, m := range aadsts.FindAllStringSubmatch(text, 5) {
		if n, err := strconv.Atoi(m[1]); err == nil {
			codes = append(codes, n)
		}
	}
	return codes
}

// passingCodes are AADSTS codes of trouble inside Microsoft's sign-in that passes by itself.
var passingCodes = []int{50000, 90006, 90012, 90024, 90033, 90055, 90090, 90091}

// signInHints says what a person can do about an AADSTS code.
var signInHints = map[int]string{
	7000215: "the client secret is wrong: client_secret needs the secret's value, not its id; a new secret takes some minutes to work",
	7000222: "the client secret has expired: make a new one in the app registration and put its value into client_secret",
	700016:  "the tenant does not know this client_id: check tenant_id and client_id, and that an administrator has consented",
	7000112: "the application is disabled in the tenant: an administrator can enable it under enterprise applications",
	7000218: "the application wants a client secret or an assertion that it did not get: check that it is not set up as a public client",
	7000229: "the application has no service principal in the tenant: an administrator must consent to it there",
	700022:  "scope names more than one resource: a token is for one only",
	700024:  "the assertion is not valid at this time: check the clock of this machine",
	700027:  "the certificate of the assertion is not known: upload it to the app registration",
	70011:   "scope is not valid: it is the address of the resource with /.default at its end",
	90002:   "there is no such tenant: check tenant_id, and that the sign-in address is that of its cloud",
	900023:  "tenant_id is neither a GUID nor a domain of a tenant",
	90038:   "the tenant is in another national cloud: set the sign-in address of that cloud",
	900382:  "the tenant is in another national cloud: set the sign-in address of that cloud",
	900432:  "the tenant is in another national cloud: set the sign-in address of that cloud",
	500011:  "the tenant does not know the resource: check its address, and that its service is set up in the tenant",
	500014:  "the service principal of the resource is disabled in the tenant",
	901002:  "this sign-in address takes scope, not resource: use the address without /v2.0, or give scope",
	65001:   "nobody has consented to the application's permissions: an administrator can grant them in the app registration",
	650052:  "the tenant has no subscription to the service that the token is for, or has not set it up",
	650057:  "the application does not ask for permissions of this resource: add them in the app registration",
	53003:   "a conditional access policy blocks the application: an administrator can exclude it",
}
