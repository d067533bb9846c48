package scaffold

import (
	"regexp"
	"strings"
)

var (
	uuidForm = regexp.MustCompile(`(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	jwtForm  = regexp.MustCompile(`^eyJ[A-Za-z0-9_-]*\.`)
	tokenish = regexp.MustCompile(`^[A-Za-z0-9_+/=.~-]{20,}$`)
	timeForm = regexp.MustCompile(`\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?`)
)

// secretName reports whether a parameter, header or field is a secret by its name.
func secretName(name string) bool {
	name = notName.ReplaceAllString(strings.ToLower(name), "")
	switch name {
	case "code", "sig", "token", "key", "pwd", "auth", "jwt", "sas", "session", "sessionid", "authorization", "cookie", "proxyauthorization", "appkey", "pass":
		return true
	}
	for _, part := range []string{"secret", "password", "passwd", "signature", "apikey", "accesskey", "accesstoken", "refreshtoken", "authtoken",
		"apitoken", "privatetoken", "credential", "assertion", "xtoken", "authkey", "subscriptionkey", "sessiontoken", "idtoken"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return strings.HasSuffix(name, "token") && !strings.Contains(name, "page") && !strings.Contains(name, "next") && !strings.Contains(name, "skip") && !strings.Contains(name, "continuation")
}

// secretValue reports whether a value looks like a secret, whatever its name: long, without a meaning, with letters and digits.
func secretValue(value string) bool {
	if jwtForm.MatchString(value) {
		return true
	}
	if !tokenish.MatchString(value) || uuidForm.MatchString(value) || timeForm.MatchString(value) {
		return false
	}
	return strings.ContainsAny(value, "0123456789") && strings.ContainsAny(strings.ToLower(value), "abcdefghijklmnopqrstuvwxyz")
}

var placeholder = regexp.MustCompile(`^(?:\{\{?\s*([A-Za-z][A-Za-z0-9_.-]*)\s*\}?\}|\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?|<([A-Za-z][A-Za-z0-9 _-]*)>|:([A-Za-z][A-Za-z0-9_]*)|(?:YOUR|MY)[-_]?([A-Z][A-Z0-9_-]*))$`)

// placeholderName returns the name in what documents write where a value is to be put: {org}, ${ORG}, <org>, :org, YOUR_ORG.
func placeholderName(text string) string {
	m := placeholder.FindStringSubmatch(text)
	for i := 1; i < len(m); i++ {
		if m[i] != "" {
			return m[i]
		}
	}
	return ""
}
