package cases

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"starling/engine"
)

// find finds the secrets of a tape.
func (m *masker) find(t *engine.Tape, known []string) {
	for _, name := range t.Secret {
		if text, ok := t.Settings[name].(string); ok {
			m.secret(text)
		}
	}
	for _, text := range known {
		for _, line := range append([]string{text}, strings.Split(text, "\n")...) {
			if len(line) >= shortest && !strings.HasPrefix(line, "-----") {
				m.secret(line)
			}
		}
	}
	for _, e := range t.Exchanges {
		m.findHeader(e.Header)
		m.findSigned(e.Header)
		m.findHeader(e.Answer)
		if u, err := url.Parse(e.URL); err == nil {
			m.findValues(u.RawQuery)
			if password, ok := u.User.Password(); ok {
				m.secret(password)
			}
		}
		m.findValues(string(e.Body))
		for _, text := range []string{string(e.Body), string(e.Data)} {
			m.findNamed(text)
		}
	}
	for _, cursor := range t.Before.Cursors {
		m.findNamed(string(cursor))
	}
}

func (m *masker) findHeader(h http.Header) {
	for name, values := range h {
		for _, value := range values {
			if name == "Location" {
				m.findNamed(value)
			}
			if !isSecretName(name) {
				continue
			}
			m.findHeaderValue(name, value)
		}
	}
}

// findSigned takes what no header that everybody knows has for a secret, such as a signature that a script has made.
func (m *masker) findSigned(h http.Header) {
	for name, values := range h {
		for _, v := range values {
			if len(v) >= 16 && !wellKnown.MatchString(name) && !isSecretName(name) {
				m.secret(v)
			}
		}
	}
}

var wellKnown = regexp.MustCompile(`^(?i)(accept.*|content-.*|user-agent|date|x-.*-date|consistencylevel|prefer|if-.*|host|range|cache-control|origin|referer|.*version)$`)

func (m *masker) findHeaderValue(name, value string) {
	switch {
	case strings.Contains(name, "Cookie"):
		for part := range strings.SplitSeq(value, ";") {
			if key, v, ok := strings.Cut(strings.TrimSpace(part), "="); ok && !cookieAttribute.MatchString(key) && len(v) >= shortest {
				m.secret(v)
			}
		}
		return
	case strings.HasSuffix(name, "Authorization"):
		scheme, rest, ok := strings.Cut(value, " ")
		if !ok {
			break
		}
		value = rest
		if plain, err := base64.StdEncoding.DecodeString(rest); err == nil && strings.EqualFold(scheme, "Basic") {
			if _, password, ok := strings.Cut(string(plain), ":"); ok && len(password) >= shortest {
				m.secret(password)
			}
		}
	}
	if len(value) >= shortest {
		m.secret(value)
	}
}

var cookieAttribute = regexp.MustCompile(`(?i)^(path|domain|expires|max-age|samesite)$`)

// findValues finds the secrets in a query or a form.
func (m *masker) findValues(text string) {
	for pair := range strings.SplitSeq(text, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || strings.ContainsAny(name, "{\"<") || !isSecretName(name) && name != "code" {
			continue
		}
		if plain, err := url.QueryUnescape(value); err == nil && len(plain) >= shortest && plain != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			m.secret(plain)
		}
	}
}

var (
	jsonPair = regexp.MustCompile(`"([A-Za-z_-][A-Za-z0-9_. -]{0,60})"\s*:\s*"((?:[^"\\]|\\.){6,}?)"`)
	xmlPair  = regexp.MustCompile(`<(?:[A-Za-z0-9_]+:)?([A-Za-z_][A-Za-z0-9_-]{0,60})(?:\s[^>]*)?>([^<]{6,})</`)
	// urlPair is a parameter of a URL in a text, also where the text escapes it.
	urlPair = regexp.MustCompile(`(?i)(?:[?&;]|\\u0026|%3f|%26)([A-Za-z_][A-Za-z0-9_-]{0,60})(?:=|%3d)((?:[^&#\s"'<>\\%]|%[0-9A-Fa-f]{2}){6,})`)
)

// findNamed finds the values that have the name of a secret, in JSON, XML and URLs.
func (m *masker) findNamed(text string) {
	for _, p := range []*regexp.Regexp{jsonPair, xmlPair, urlPair} {
		for _, found := range p.FindAllStringSubmatch(text, -1) {
			if !isSecretName(found[1]) {
				continue
			}
			value := found[2]
			if p == urlPair {
				value, _, _ = strings.Cut(value, "%26")
				value = m.unescaped(value)
				if len(value) >= shortest {
					m.secret(value)
				}
				continue
			}
			if p == jsonPair {
				value = unquote(value)
			}
			m.secret(value)
		}
	}
}
