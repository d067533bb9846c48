package engine

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.yaml.in/yaml/v3"
)

const canary = `c4n4ry"with/odd+chars & more`

// TestSecretsDoNotShowThemselvesInGo goes through the ways in which a Go value becomes text.
func TestSecretsDoNotShowThemselvesInGo(t *testing.T) {
	t.Parallel()
	s := NewSecret(canary)
	type holder struct {
		S      Secret
		P      *Secret
		M      map[string]Secret
		hidden Secret
	}
	h := holder{s, &s, map[string]Secret{"k": s}, s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%t", "%T"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", s, &s, h)
	}
	fmt.Fprintln(&out, s, h, errors.Join(fmt.Errorf("%w %v", errors.New("x"), s)))
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		text, err := marshal(h)
		if err != nil {
			t.Error(err)
		}
		out.Write(text)
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "s", s, "h", h, "p", &s)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", h, "g", slog.GroupValue(slog.Any("s", s)))
	if strings.Contains(out.String(), "c4n4ry") || strings.Contains(out.String(), fmt.Sprintf("%x", "c4n4ry")) {
		t.Errorf("the secret is readable in\n%s", &out)
	}
	if !strings.Contains(out.String(), Sanitized) || s.Reveal() != canary {
		t.Error("a secret is gone")
	}
}

// TestSecretsDoNotShowThemselvesInStarlark goes through what a script can do with a value.
func TestSecretsDoNotShowThemselvesInStarlark(t *testing.T) {
	t.Parallel()
	names := starlark.StringDict{"s": NewSecret(canary)}
	for _, expression := range []string{
		"str(s)", "repr(s)", "'%s' % s", "'%r' % s", "'{}'.format(s)", "'{!r}'.format(s)", "str([s])", "str({'a': s})", "str((s, {1: s}))", "type(s)", "bool(s)", "dir(s)",
		"s + ''", "'' + s", "s + s", "s * 2", "s % 1", "s[0]", "s[1:]", "s in 'c4n4ry'", "'c' in s", "len(s)", "list(s)", "[c for c in s]", "int(s)", "float(s)", "bytes(s)", "hash(s)", "ord(s)",
		"{s: 1}", "s < s", "sorted([s, s])", "min(s, s)", "s.upper()", "getattr(s, 'text')", "hasattr(s, 'text')", "fail(s)", "fail('x', s, [s])", "'x'.join([s])", "'c4n4ry'.find(s)", "''.startswith(s)", "'a'.replace('a', s)",
	} {
		thread := &starlark.Thread{Name: "t", Print: func(*starlark.Thread, string) {}}
		v, err := starlark.EvalOptions(dialect, thread, "t.star", expression, names)
		text := fmt.Sprint(v, err)
		if e, ok := errors.AsType[*starlark.EvalError](err); ok {
			text += e.Backtrace()
		}
		if strings.Contains(strings.ReplaceAll(text, "'c4n4ry'", ""), "c4n4ry") {
			t.Errorf("%s gives %s", expression, text)
		}
	}
}

// TestRedactorKnowsTheFormsOfASecret: other sides write it back in their own way.
func TestRedactorKnowsTheFormsOfASecret(t *testing.T) {
	t.Parallel()
	var r Redactor
	r.Add(canary)
	pem := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("c4n4ryMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n", 2) + "-----END PRIVATE KEY-----\n"
	r.Add(pem)
	r.Add("short")
	quoted, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.ReplaceAll(string(quoted), `\u0026`, "&")
	for name, text := range map[string]string{
		"itself": canary, "query": url.QueryEscape(canary), "path": url.PathEscape(canary), "json": string(quoted), "json of others": plain, "html": html.EscapeString(canary),
		"lower case": strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(canary), "%2F", "%2f"), "%2B", "%2b"), "base64": base64.StdEncoding.EncodeToString([]byte(canary)),
		"base64url": base64.RawURLEncoding.EncodeToString([]byte(canary)), "quoted": fmt.Sprintf("%q", canary), "a key": pem,
		"a key of one line": strings.ReplaceAll(pem, "\n", " "), "a key from Windows": strings.ReplaceAll(pem, "\n", "\r\n"), "a line of a key": strings.Split(pem, "\n")[1],
	} {
		got := r.Redact("before " + text + " after")
		if strings.Contains(got, "c4n4ry") || strings.Contains(got, "YzRuNHJ5") || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if got := r.Redact("short -----BEGIN PRIVATE KEY-----"); got != "short -----BEGIN PRIVATE KEY-----" {
		t.Errorf("got %q: what is no secret by itself was taken out", got)
	}
}

// TestSecretsFolderIsFollowed swaps the folder's link as Kubernetes does.
func TestSecretsFolderIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "word = setting(\"word\")\ndef pull():\n    send(word)\n    commit()\n")
	folder := filepath.Join(w.dir, "secrets")
	w.write("secrets/..one/api_token", "first-token\n")
	w.write("secrets/..two/api_token", "second-token\n")
	swap := func(to string) {
		t.Helper()
		link := filepath.Join(folder, "..data")
		if err := errors.Join(os.Symlink(to, link+"_tmp"), os.Rename(link+"_tmp", link)); err != nil {
			t.Fatal(err)
		}
	}
	swap("..one")
	if err := os.Symlink(filepath.Join("..data", "api_token"), filepath.Join(folder, "api_token")); err != nil {
		t.Fatal(err)
	}
	w.write("config.yaml", strings.Replace(worldConfig, "hello: {}", "hello: {word: \"${secret:api_token}\"}", 1)+"starling: {secrets_folder: secrets}\n")
	w.start()
	w.sink("out").until(t, "the first", func(got []string) bool { return len(got) > 0 && got[0] == "first-token" })
	swap("..two")
	w.sink("out").until(t, "the second", func(got []string) bool { return len(got) > 0 && got[len(got)-1] == "second-token" })
	if got := w.engine.options.Redactor.Redact("first-token second-token"); strings.Contains(got, "token") {
		t.Errorf("the log would show %s", got)
	}
}

func TestShortSecretsAreWarnedAbout(t *testing.T) {
	t.Parallel()
	c := loadGood(t, map[string]string{"PIN_PASSWORD": "12345"}, "client_secret: ${file:secret.txt}", `client_secret: abc
      long_secret: long enough
      dsn: "user:${PIN_PASSWORD}@host"`)
	var short []string
	for _, w := range c.Warnings {
		if strings.Contains(w, "less than 6 bytes") {
			short = append(short, w)
			if strings.Contains(w, "abc") || strings.Contains(w, "12345") {
				t.Errorf("the warning shows it: %s", w)
			}
		}
	}
	if len(short) != 2 || !strings.Contains(short[0], "credentials.client_secret") || !strings.Contains(short[1], "credentials.dsn") {
		t.Errorf("got %q, want one for client_secret and one for dsn", short)
	}
}
