package builtins

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.starlark.net/starlark"

	"starling/engine"
)

// origin returns what must stay the same for credentials to stay safe: scheme, host and port.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// shownOrigin is origin as people write it.
func shownOrigin(u *url.URL) string { return strings.ToLower(u.Scheme + "://" + u.Host) }

// looseURL reads a URL as servers write them into their answers: with spaces, quotes and other
// characters that should have been escaped. It escapes these and leaves everything else, so that the
// server gets back the query it gave. A fragment is dropped.
func looseURL(text string) (*url.URL, error) {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "#")
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		bad := c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 || (c == '%' && !isEscape(text[i:]))
		if bad {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	u, err := url.Parse(b.String())
	if err != nil && !strings.HasPrefix(text, "./") && !strings.Contains(text, "://") {
		// A relative path may have a colon in its first segment, which Parse takes for a scheme.
		u, err = url.Parse("./" + b.String())
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may hold secrets
	}
	return u, err
}

// isEscape reports whether text begins with a percent sign and two hexadecimal digits.
func isEscape(text string) bool {
	return len(text) >= 3 && isHex(text[1]) && isHex(text[2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// A scope is where a client may send requests: the origin of its base, others that the script named,
// and those that the configuration lists.
type scope struct {
	base    *url.URL
	origins []string // besides base's
	network *engine.Network
}

// declare checks that the configuration lets scripts reach the hosts of the scope. At the top level of
// a script it may name any other host; while a pull runs, when an answer of an API could have chosen
// it, only one that the configuration lists.
func (s *scope) declare(thread *starlark.Thread) error {
	env, pulling := envOf(thread)
	if env == nil || env.Network == nil {
		return nil
	}
	s.network = env.Network
	for _, text := range append([]string{origin(s.base)}, s.origins...) {
		u, err := url.Parse(text)
		if err != nil {
			return err
		}
		if err := s.network.CheckURL(u); err != nil {
			return err
		}
		if pulling && !s.network.Listed(u.Hostname()) {
			return fmt.Errorf("%s is named while the pull runs: name it at the top level of the script, or in starling.network.allow_hosts", u.Hostname())
		}
	}
	return nil
}

// declareOrigin is declare for one address, which stays within its origin.
func declareOrigin(thread *starlark.Thread, u *url.URL) error {
	return (&scope{base: u}).declare(thread)
}

// envOf returns the environment of the pull or load that a thread runs, nil if it runs neither.
func envOf(thread *starlark.Thread) (env *engine.Env, pulling bool) {
	if p, err := engine.PullOf(thread); err == nil {
		return p.Env(), true
	}
	if load, err := engine.LoadOf(thread); err == nil {
		return load.Env, false
	}
	return nil, false
}

// resolve returns where a link found at from leads, by RFC 3986. A link to an origin outside the
// scope is an error: following it could hand the credentials, or the choice of what is read, to
// whoever wrote the link.
func (s scope) resolve(from *url.URL, link string) (*url.URL, error) {
	ref, err := looseURL(link)
	if err != nil {
		return nil, fmt.Errorf("link is not a URL: %w", err)
	}
	u := from.ResolveReference(ref)
	if err := s.check(u); err != nil {
		return nil, err
	}
	return u, nil
}

// join returns the URL of a path that a script asks for. The path is appended to the base's; it may
// have a query. An absolute URL must be in the scope.
func (s scope) join(path string) (*url.URL, error) {
	if scheme, _, ok := strings.Cut(path, "://"); ok && !strings.ContainsAny(scheme, "/?# '") {
		return s.resolve(s.base, path)
	}
	// Against the base, not url.JoinPath: what the script wrote, such as "a//b" or "f(x='..')", stays.
	text := strings.TrimRight(s.base.String(), "/")
	if path != "" && path[0] != '/' && path[0] != '?' {
		text += "/"
	}
	return s.resolve(s.base, text+path)
}

func (s scope) check(u *url.URL) error {
	if u.User != nil {
		return errors.New("there is a user name in the URL")
	}
	if s.credentialed(u) {
		return nil
	}
	for _, o := range s.origins {
		if origin(u) == o {
			return nil
		}
	}
	if u.Scheme == "https" && s.network.Listed(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s leaves %s: name the host in hosts of http.client if this is meant", shownOrigin(u), shownOrigin(s.base))
}

// credentialed reports whether requests to u may carry credentials.
func (s scope) credentialed(u *url.URL) bool { return origin(u) == origin(s.base) }

// shownURL returns u for people: without user name, without the values of query parameters that are
// secrets by their name or are masked, and without known secrets.
func shownURL(r *engine.Redactor, u *url.URL, masked []string) string {
	shown := *u
	shown.User = nil
	if path := r.Redact(u.Path); path != u.Path {
		shown.Path, shown.RawPath = path, path
	}
	if u.RawQuery != "" {
		pairs := strings.Split(u.RawQuery, "&")
		for i, pair := range pairs {
			name, value, ok := strings.Cut(pair, "=")
			// However a secret is escaped, it is known by what it means.
			plain, err := url.QueryUnescape(value)
			if ok && (isSecretParam(name, masked) || err == nil && r.Redact(plain) != plain) {
				pairs[i] = name + "=" + engine.Sanitized
			}
		}
		shown.RawQuery = strings.Join(pairs, "&")
	}
	return r.Redact(shown.String())
}

// isSecretParam judges a query parameter by its name. Paging tokens, such as $skiptoken, are shown:
// they open nothing by themselves, and a paging problem cannot be understood without them.
func isSecretParam(name string, masked []string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	for _, m := range masked {
		if name == m {
			return true
		}
	}
	name = strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' {
			return -1
		}
		return r
	}, name))
	switch name {
	case "code", "sig", "token", "key", "pwd", "auth", "jwt", "sas", "session", "sessionid", "authorization", "xamzsecuritytoken":
		return true
	}
	for _, end := range []string{"secret", "password", "passwd", "signature", "apikey", "accesskey", "accesstoken",
		"refreshtoken", "idtoken", "authtoken", "apitoken", "credential", "assertion"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}
