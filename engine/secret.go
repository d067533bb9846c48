package engine

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.starlark.net/starlark"
)

// Sanitized is what is shown in place of a secret. Devo's collectors print the same text.
const Sanitized = "****SANITIZED****"

// A Secret is a text that never shows itself: printing, formatting and encoding it all give
// ****SANITIZED****. In a script it is a value of type "secret", which can be handed to builtins
// that need one and to nothing else: it has no methods, no operators and no length.
// Two secrets are equal only if one is a copy of the other.
type Secret struct {
	// A pointer, because fmt prints unexported fields without asking their methods.
	text *string
}

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the hidden text, for the one place that puts it on the wire.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s Secret) String() string               { return Sanitized }
func (s Secret) GoString() string             { return Sanitized }
func (s Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, Sanitized) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(Sanitized), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(Sanitized) }

// Type is "secret". It, Freeze, Truth and Hash make a Secret a starlark.Value.
func (s Secret) Type() string          { return "secret" }
func (s Secret) Freeze()               {}
func (s Secret) Truth() starlark.Bool  { return s.Reveal() != "" }
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

// Add makes text a known secret, also as URLs, forms, JSON, HTML and base64 write it, and each line of
// it, if it has several.
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

// Known returns the secrets, for what takes them out of files in a way of its own.
func (r *Redactor) Known() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return sortedKeys(r.known)
}

// rebuild makes the replacer. Longer texts come first: one secret may be the beginning of another.
func (r *Redactor) rebuild() {
	var forms []string
	for s := range r.known {
		forms = append(forms, SecretForms(s)...)
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, form := range forms {
		pairs = append(pairs, form, Sanitized)
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

// SecretForms lists the ways in which a secret can be written, the secret itself first.
func SecretForms(s string) []string {
	forms := []string{s}
	add := func(form string) {
		if len(form) >= minSecret && !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	texts := []string{s}
	if strings.Contains(s, "\n") { // such as a key in PEM, whose armour is no secret
		for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if len(line) >= minSecretLine && !strings.HasPrefix(line, "-----") {
				texts = append(texts, line)
				add(line)
			}
		}
	}
	for _, text := range texts {
		for _, escaped := range []string{url.QueryEscape(text), url.PathEscape(text)} {
			add(escaped)
			add(lowerEscapes.ReplaceAllStringFunc(escaped, strings.ToLower))
		}
		add(jsonEscape(text))
		quoted := strconv.Quote(text)
		add(quoted[1 : len(quoted)-1])
		add(html.EscapeString(text))
		add(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(text)), "="))
		add(strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(text)), "="))
	}
	return forms
}

// minSecretLine is the length from which a line of a secret is searched for alone.
const minSecretLine = 16

// lowerEscapes finds percent escapes, which some servers write in lower case.
var lowerEscapes = regexp.MustCompile(`%[0-9A-F]{2}`)

func jsonEscape(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return string(quoted[1 : len(quoted)-1])
}
