package engine

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/starlark"
)

// sanitized is what is shown in place of a secret. Devo's collectors print the same text.
const sanitized = "****SANITIZED****"

// A Secret is a text that never shows itself: printing, formatting and encoding it all give
// ****SANITIZED****. In a script it is a value of type "secret", which can be handed to builtins
// that need one and to nothing else: it has no methods, no operators and no length.
type Secret struct{ text string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the hidden text, for the one place that puts it on the wire.
func (s Secret) Reveal() string { return s.text }

func (s Secret) String() string               { return sanitized }
func (s Secret) GoString() string             { return sanitized }
func (s Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, sanitized) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(sanitized), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(sanitized) }

// Type is "secret". It, Freeze, Truth and Hash make a Secret a starlark.Value.
func (s Secret) Type() string          { return "secret" }
func (s Secret) Freeze()               {}
func (s Secret) Truth() starlark.Bool  { return s.text != "" }
func (s Secret) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: secret") }

var _ starlark.Value = Secret{}

// A Redactor takes every known secret out of texts that people or machines will read. It is the
// second line of defence, for texts that come from outside: an error page that repeats the request,
// a URL inside an error. The zero Redactor is ready to use; all methods may be called at any time
// from any goroutine.
type Redactor struct {
	mu       sync.RWMutex
	known    map[string]bool
	replacer *strings.Replacer
}

// minSecret is the length, in bytes, below which a secret is not searched for: shorter texts occur by chance.
const minSecret = 6

// Add makes text a known secret, also in its URL-escaped and JSON-escaped forms.
func (r *Redactor) Add(text string) {
	if len(text) < minSecret {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[text] {
		return
	}
	if r.known == nil {
		r.known = map[string]bool{}
	}
	r.known[text] = true
	r.rebuild()
}

// Remove makes text no longer a known secret: a token that has expired.
func (r *Redactor) Remove(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[text] {
		delete(r.known, text)
		r.rebuild()
	}
}

// rebuild makes the replacer. Longer texts come first: one secret may be the beginning of another.
func (r *Redactor) rebuild() {
	var forms []string
	for s := range r.known {
		forms = append(forms, secretForms(s)...)
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, form := range forms {
		pairs = append(pairs, form, sanitized)
	}
	r.replacer = strings.NewReplacer(pairs...)
}

// Redact returns text with every known secret replaced.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.replacer == nil {
		return text
	}
	return r.replacer.Replace(text)
}

// secretForms lists the ways in which a secret can be written in a URL, a form or JSON.
func secretForms(s string) []string {
	forms := []string{s}
	for _, f := range []string{url.QueryEscape(s), url.PathEscape(s), jsonEscape(s)} {
		if !slices.Contains(forms, f) {
			forms = append(forms, f)
		}
	}
	return forms
}

func jsonEscape(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return string(quoted[1 : len(quoted)-1])
}
