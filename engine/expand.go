package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// An expander fills environment variables and files into the values of a configuration:
//
//	${NAME}            the environment variable NAME, which must be set
//	${NAME:-default}   the same, or default if NAME is unset or empty
//	${file:path}       the content of a file without the line break at its end; a relative path
//	                   starts at the base directory
//	${secret:NAME}     the same for the file NAME in starling.secrets_folder, where Docker and Kubernetes
//	                   put secrets
//	$$                 a dollar sign
//
// A dollar sign before anything else stays as it is. The result is a text and is not expanded
// again. Only where ${NAME} alone is the value, without quotes, the result may also be a number,
// true or false, if it looks like that and its key does not look like a secret's. In JSON, where
// every text has quotes, ${NAME} alone counts as without. Errors name variables and files, and
// never show what is in them.
type expander struct {
	base     string
	env      func(name string) (string, bool)
	problems *problems

	folder string // of secrets
	done   *node  // what was expanded ahead of the rest

	files    []string // absolute paths of what was read
	secrets  []string // values that must not be seen
	warnings []string
}

var (
	variable    = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?$`)
	placeholder = regexp.MustCompile(`^<[a-z0-9_]+>$`)
)

// expand expands every scalar at and below n. key is the key that n stands under.
func (x *expander) expand(n *node, path, key string) {
	for _, e := range n.entries {
		x.expand(e.value, join(path, e.key), e.key)
	}
	for i, item := range n.items {
		x.expand(item, fmt.Sprintf("%s[%d]", path, i), key)
	}
	if n.kind != scalarNode || n.isNull() || n == x.done {
		return
	}
	if _, text := n.value.(string); text {
		x.scalar(n, path)
	}
	if looksSecret(key) {
		if n.loose { // a secret of digits only is no number
			n.value, n.loose = n.text, false
		}
		n.secret = true
		x.hide(n.text)
	}
	if n.secret {
		x.warnIfShort(n, path, n.text)
	}
	if namesIdentity(key) {
		n.secret = true
		x.hide(n.text)
	}
}

// warnIfShort warns about a secret that a Redactor does not look for.
func (x *expander) warnIfShort(n *node, path, text string) {
	if text == "" || len(text) >= minSecret {
		return
	}
	warning := place(x.problems.file, n.line, n.col) +
		fmt.Sprintf("%s: is a secret of less than %d bytes, which is not taken out of logs and errors: it cannot be told from other texts", path, minSecret)
	if !slices.Contains(x.warnings, warning) {
		x.warnings = append(x.warnings, warning)
	}
}

func (x *expander) scalar(n *node, path string) {
	if placeholder.MatchString(n.text) {
		x.problems.add(n.line, n.col, path, "replace the placeholder %s", cut(n.text, 60))
		return
	}
	if !strings.Contains(n.text, "$") {
		return
	}
	var out strings.Builder
	var alone bool // the whole text is one variable
	for rest := n.text; rest != ""; {
		before, after, found := strings.Cut(rest, "$")
		out.WriteString(before)
		switch {
		case !found:
			rest = ""
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			rest = after[1:]
		case strings.HasPrefix(after, "{"):
			inside, left, closed := strings.Cut(after[1:], "}")
			if !closed {
				x.problems.add(n.line, n.col, path, "${ without }; write $${ for the two characters themselves")
				return
			}
			value, secret, err := x.reference(inside)
			if err != nil {
				x.problems.add(n.line, n.col, path, "%v", err)
				return
			}
			alone = len(rest) == len(n.text) && before == "" && left == "" && variable.MatchString(inside)
			if secret {
				x.warnIfShort(n, path, value)
			}
			n.hidden, n.secret = true, n.secret || secret
			out.WriteString(value)
			rest = left
		default:
			out.WriteByte('$')
			rest = after
		}
	}
	n.text = out.String()
	n.value = n.text
	if alone && n.plain && n.text != "" {
		n.loose = true
		if v := x.problems.resolve(n, path); v != nil {
			n.value = v
		}
	}
}

// reference returns what ${inside} stands for, and whether it is a secret.
func (x *expander) reference(inside string) (value string, secret bool, err error) {
	if path, ok := strings.CutPrefix(inside, "file:"); ok {
		value, err := x.file(path)
		x.hide(value)
		return value, true, err
	}
	if name, ok := strings.CutPrefix(inside, "secret:"); ok {
		value, err := x.secretFile(name)
		x.hide(value)
		return value, true, err
	}
	m := variable.FindStringSubmatch(inside)
	if m == nil {
		return "", false, errors.New("${…} is none of ${NAME}, ${NAME:-default}, ${file:path} and ${secret:NAME}; write $${ for the two characters themselves")
	}
	name, hasDefault, def := m[1], m[2] != "", m[3]
	value, set := x.env(name)
	secret = looksSecret(name)
	switch {
	case hasDefault && value == "":
		value = def
	case !set:
		return "", false, fmt.Errorf("the environment variable %s is not set; set it, or write ${%s:-default}", name, name)
	case value == "" && !hasDefault:
		return "", false, fmt.Errorf("the environment variable %s is empty; set it, or write ${%s:-} if nothing is meant", name, name)
	}
	if secret || namesIdentity(name) {
		x.hide(value)
	}
	return value, secret, nil
}

// secretName is what Docker and Kubernetes call a secret. Names that begin with two dots are Kubernetes' own.
var secretName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$`)

func (x *expander) secretFile(name string) (string, error) {
	if !secretName.MatchString(name) {
		return "", errors.New("${secret:NAME} takes a name of letters, digits, -, _ and dots, which is a file in starling.secrets_folder")
	}
	return x.file(filepath.Join(x.folder, name))
}

func (x *expander) file(path string) (string, error) {
	if path == "" {
		return "", errors.New("${file:} names no file")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(x.base, path)
	}
	if !slices.Contains(x.files, path) {
		x.files = append(x.files, path)
	}
	data, err := readSmallFile(path)
	text := strings.TrimRight(string(data), "\r\n")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w; write that file, or correct its name; ${secret:NAME} looks in starling.secrets_folder", err)
	case err != nil:
		return "", err
	case text == "":
		return "", fmt.Errorf("%s is empty", path)
	case !utf8.ValidString(text):
		return "", fmt.Errorf("%s is not a text in UTF-8", path)
	}
	return text, nil
}

func (x *expander) hide(text string) {
	if text != "" && !slices.Contains(x.secrets, text) {
		x.secrets = append(x.secrets, text)
	}
}

var secretSuffixes = []string{"secret", "secrets", "password", "passwords", "passwd", "passphrase", "token", "tokens",
	"apikey", "api_key", "access_key", "account_key", "private_key", "secret_key", "shared_key", "authorization"}

// looksSecret reports whether what stands under key, or in the environment variable key, is a secret
// going by its name. A bare "key" is not: under outputs it is the name of a file.
func looksSecret(key string) bool {
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	return slices.ContainsFunc(secretSuffixes, func(suffix string) bool { return strings.HasSuffix(key, suffix) })
}

// namesIdentity reports whether what stands under key, or in the environment variable key, says who signs
// in. That is no secret; Devo's collectors take it out of logs all the same, and so it is here.
func namesIdentity(key string) bool {
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	return strings.HasSuffix(key, "tenant_id") || strings.HasSuffix(key, "client_id")
}
