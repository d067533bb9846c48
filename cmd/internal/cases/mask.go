package cases

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"starling/engine"
)

// unescaped is what a part of a URL says.
func (m *masker) unescaped(value string) string {
	if plain, err := url.PathUnescape(value); err == nil && m.masks[plain] != "" {
		return plain
	}
	if plain, err := url.QueryUnescape(value); err == nil {
		return plain
	}
	return value
}

// shortest is the length, in bytes, from which a value is looked for wherever it stands; shorter texts
// occur by chance.
const shortest = 6

// A masker puts masks in the place of secrets and personal values: the same for the same value.
type masker struct {
	personal map[string]bool // names of fields, in small letters
	masks    map[string]string
	secrets  int
	values   int
	numbers  int

	replacer *strings.Replacer // of what is known when it is made
	known    int
	escaped  []escapedSecret
}

// An escapedSecret finds a secret in which characters are written as escapes of whatever kind, also of several kinds in one
// another, as in JSON in a text of HTML.
type escapedSecret struct {
	core, mask string // core is a part that no escape changes
	form       *regexp.Regexp
}

var plainRun = regexp.MustCompile(`[A-Za-z0-9_.~-]+`)

func newEscaped(text, mask string) (escapedSecret, bool) {
	e := escapedSecret{mask: mask}
	for _, run := range plainRun.FindAllString(text, -1) {
		if len(run) > len(e.core) {
			e.core = run
		}
	}
	if len(e.core) < 4 || e.core == text {
		return e, false
	}
	var b strings.Builder
	for _, c := range []byte(text) {
		if plainRun.Match([]byte{c}) {
			b.WriteString(regexp.QuoteMeta(string(c)))
			continue
		}
		fmt.Fprintf(&b, `\\*(?:%s|%%(?:25)*(?i:%02x)|&(?:amp;)*(?:#0*%d|#[xX]0*(?i:%x)%s);|u00(?i:%02x)%s)`, regexp.QuoteMeta(string(rune(c))), c, c, c, entity[c], c, spaces[c])
	}
	form, err := regexp.Compile(b.String())
	e.form = form
	return e, err == nil
}

// entity are the names that HTML has for characters, and spaces what stands for some in forms and in JSON.
var (
	entity = map[byte]string{'&': "|amp", '<': "|lt", '>': "|gt", '"': "|quot", '\'': "|apos"}
	spaces = map[byte]string{' ': `|\+`, '\n': `|n`, '\t': `|t`, '\r': `|r`}
)

func newMasker(personal []string) *masker {
	m := &masker{personal: map[string]bool{}, masks: map[string]string{}}
	for _, name := range personal {
		m.personal[strings.ToLower(name)] = true
	}
	return m
}

var (
	uuidForm   = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	digitsForm = regexp.MustCompile(`^[0-9]+$`)
	emailForm  = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	// secretName is what fields, parameters and headers with secrets are called.
	secretName = regexp.MustCompile(`(?i)^(.*(secret|password|passwd|passphrase|credential|signature|assertion|api[-_]?key|private[-_]?key|access[-_]?key|authorization|cookie|session[-_]?id|[-_]?token)|sig|token|apikey|pwd|code_verifier|x-amz-security-token|x-functions-key)$`)
	// notSecret are names that only look like it: places in lists, and what says which kind a token is.
	notSecret = regexp.MustCompile(`(?i)(page|next|skip|delta|continuation|sync|cursor).?token|token_type|^.*token_(endpoint|url)$`)
)

func isSecretName(name string) bool {
	return secretName.MatchString(name) && !notSecret.MatchString(name)
}

// masked returns what stands for a text already: its mask, or itself if there is nothing to mask.
func (m *masker) masked(text string) (string, bool) {
	if mask, ok := m.masks[text]; ok {
		return mask, true
	}
	return text, text == "" || isMask(text)
}

// secret returns the mask of a secret. It is long enough for where a key must be.
func (m *masker) secret(text string) string {
	if mask, ok := m.masked(text); ok {
		return mask
	}
	m.secrets++
	mask := fmt.Sprintf("masked-secret-%d-", m.secrets)
	switch {
	case uuidForm.MatchString(text):
		mask = fmt.Sprintf("00000000-0000-4000-8000-%012d", m.secrets)
	case digitsForm.MatchString(text):
		mask = fmt.Sprintf("9%0*d", max(len(text)-1, 5), m.secrets)
	default:
		mask += strings.Repeat("x", max(0, 40-len(mask)))
	}
	m.masks[text] = mask
	return mask
}

// value returns the mask of a personal text.
func (m *masker) value(text string) string {
	if mask, ok := m.masked(text); ok {
		return mask
	}
	m.values++
	mask := fmt.Sprintf("masked-%d", m.values)
	switch {
	case uuidForm.MatchString(text):
		mask = fmt.Sprintf("00000000-0000-4000-9000-%012d", m.values)
	case emailForm.MatchString(text):
		mask += "@masked.invalid"
	}
	m.masks[text] = mask
	return mask
}

// number returns the mask of a personal number.
func (m *masker) number(text string) string {
	key := "\x00" + text
	if _, ok := m.masks[key]; !ok {
		m.numbers++
		m.masks[key] = fmt.Sprint(9_000_000 + m.numbers)
	}
	return m.masks[key]
}

func isMask(text string) bool {
	return strings.HasPrefix(text, "masked-") || strings.HasPrefix(text, "00000000-0000-4000-") || text == engine.Sanitized ||
		text == "token-masked" || text == "assertion-masked" || text == "identity-masked"
}

// text masks every value that is known, however it is written.
func (m *masker) text(s string) string {
	if m.replacer == nil || m.known != len(m.masks) {
		m.build()
	}
	s = m.replacer.Replace(s)
	for _, e := range m.escaped {
		if strings.Contains(s, e.core) {
			s = e.form.ReplaceAllLiteralString(s, e.mask)
		}
	}
	return s
}

func (m *masker) build() {
	forms := map[string]string{}
	for text, mask := range m.masks {
		if len(text) < shortest || text[0] == 0 {
			continue
		}
		for _, form := range engine.SecretForms(text) {
			forms[form] = mask
		}
		for _, form := range encoded(text) {
			forms[form] = filler(len(form))
		}
	}
	keys := make([]string, 0, len(forms))
	for form := range forms {
		keys = append(keys, form)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	pairs := make([]string, 0, 2*len(keys))
	for _, form := range keys {
		pairs = append(pairs, form, forms[form])
	}
	m.escaped = nil
	for _, text := range slices.Sorted(maps.Keys(m.masks)) {
		if e, ok := newEscaped(text, m.masks[text]); ok && len(text) >= shortest && strings.Contains(e.mask, "secret") && text[0] != 0 {
			m.escaped = append(m.escaped, e)
		}
	}
	m.replacer, m.known = strings.NewReplacer(pairs...), len(m.masks)
}

// encoded returns what is the same in every text of base64 that text is in, at each of its three places in a group.
func encoded(text string) []string {
	var forms []string
	for before := range 3 {
		padded := strings.Repeat("\x00", before) + text
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			all := encoding.EncodeToString([]byte(padded))
			begin := []int{0, 2, 3}[before]
			end := len(padded) / 3 * 4
			if end-begin >= shortest {
				forms = append(forms, all[begin:end])
			}
		}
	}
	return forms
}

// filler is base64 of so many letters.
func filler(n int) string { return strings.Repeat("bWFza2Vk", n/8+1)[:n] }
