package builtins

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.starlark.net/starlark"

	"starling/engine"
)

// tokenErrors is what a script knows about the errors of its token endpoint, by words that occur in
// them: the standard's error, such as "invalid_client", or a code, such as "AADSTS7000222".
type tokenErrors struct {
	hints   map[string]string // what a person can do
	passing []string          // trouble that passes by itself
	remedy  string            // what a person can do if no hint fits
	ids     errorIDs
}

// take reads the arguments hints and passing of a builtin.
func (t *tokenErrors) take(hints *starlark.Dict, passing *starlark.List) (err error) {
	if t.passing, err = stringsOf("passing", passing); err != nil || hints == nil {
		return err
	}
	t.hints = map[string]string{}
	for _, item := range hints.Items() {
		word, ok := starlark.AsString(item[0])
		text, textOK := starlark.AsString(item[1])
		if !ok || !textOK {
			return fmt.Errorf("hints: got %s: %s, want a text for each word of an error", engine.Show(item[0]), engine.Show(item[1]))
		}
		t.hints[word] = text
	}
	return nil
}

// A refusal is an answer without a token, RFC 6749 section 5.2, and what Microsoft adds to it.
type refusal struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	TraceID     string `json:"trace_id"`
}

// A refusalError is a refusal for a person, and what a program goes by.
type refusalError struct{ kind, text string }

func (r *refusalError) Error() string { return r.text }

// words are what hints and passing are looked up by: the error, the words of its description, and the
// numbers in error_codes.
func (r *refusal) words() []string {
	words := append([]string{r.Error}, strings.FieldsFunc(r.Description, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '_' && c != '-'
	})...)
	for _, code := range r.Codes {
		words = append(words, strconv.Itoa(code))
	}
	return words
}

// text is the refusal as a person reads it.
func (r *refusal) text() string {
	text := r.Error
	if r.Description != "" {
		text += ": " + r.Description
	}
	if r.TraceID != "" && !strings.Contains(text, r.TraceID) {
		text += " Trace ID: " + r.TraceID
	}
	return text
}

// failure explains an answer without a token. What happens next depends on the status and on error,
// which are stable, and on the words that the script knows to pass; hints only choose the text.
func (t *tokenErrors) failure(p *engine.Pull, r *request, a *answer) *failure {
	e := &engine.Error{Code: codeOf(a.status), Op: r.op(p) + ": " + a.statusText(), Err: excerptError(p, a)}
	var said refusal
	if json.Unmarshal(a.body, &said) == nil && said.Error != "" {
		e.Err = &refusalError{said.Error, clip(p.Env().Redactor.Redact(said.text()), 600)}
	}
	words := said.words()
	again := a.status >= 500 || a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout ||
		said.Error == "temporarily_unavailable" || slices.ContainsFunc(words, func(w string) bool { return slices.Contains(t.passing, w) })
	if !again {
		e.Code = engine.CodeAuth
		e.Hint = t.remedy
	}
	for _, word := range words {
		if hint, ok := t.hints[word]; ok {
			e.Hint = hint
			break
		}
	}
	if skew := clockSkew(a.header, p.Now()); skew != "" && !again {
		e.Hint += fmt.Sprintf("; the clock of this machine is %v, which can be the reason", skew)
	}
	return &failure{err: e, again: again}
}

// smallSkew is how far clocks may be apart: signing in allows about as much.
const smallSkew = 2 * time.Minute

// clockSkew says how far this machine's clock is from the server's, for a person; "" if not far.
func clockSkew(h http.Header, now time.Time) string {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return ""
	}
	switch skew := now.Sub(at).Round(time.Second); {
	case skew > smallSkew:
		return fmt.Sprintf("%v ahead of the server's", skew)
	case skew < -smallSkew:
		return fmt.Sprintf("%v behind the server's", -skew)
	}
	return ""
}
