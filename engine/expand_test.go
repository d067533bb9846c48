package engine

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExpandedTexts(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	writeFile(t, filepath.Join(base, "run", "secret"), "from file\n")
	writeFile(t, filepath.Join(base, "lines"), "one\r\ntwo\n\n")
	env := map[string]string{"A": "alpha", "EMPTY": "", "DOLLAR": "${A}$$", "MY_TOKEN": "tok-tok"}
	for text, want := range map[string]string{
		"plain":                     "plain",
		"${A}":                      "alpha",
		"<${A}-${A}>":               "<alpha-alpha>",
		"${EMPTY:-}":                "",
		"${EMPTY:-b}":               "b",
		"${NONE:-}":                 "",
		"${NONE:-http://x:1/?a=$b}": "http://x:1/?a=$b",
		"${A:-b}":                   "alpha",
		"$A":                        "$A",
		"pa$word":                   "pa$word",
		"pa$$word":                  "pa$word",
		"$${A}":                     "${A}",
		"$$$${A}":                   "$${A}",
		"100$":                      "100$",
		"${DOLLAR}":                 "${A}$$",
		"${file:run/secret}!":       "from file!",
		"${file:lines}":             "one\r\ntwo",
		"Bearer ${MY_TOKEN}":        "Bearer tok-tok",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			ps := &problems{}
			x := &expander{base: base, env: lookupIn(env), problems: ps}
			n := &node{text: text, value: text}
			x.expand(n, "k", "k")
			if err := ps.err(); err != nil {
				t.Fatal(err)
			}
			if n.text != want || n.value != want {
				t.Errorf("got %q and %v, want %q", n.text, n.value, want)
			}
		})
	}
}

func TestExpansionGathersFilesAndSecrets(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	absolute := filepath.Join(base, "absolute")
	writeFile(t, filepath.Join(base, "relative"), "from-relative")
	writeFile(t, absolute, "from-absolute")
	root := parseYAML([]byte(`
a: ${file:relative}
b: again ${file:relative}
c: ${file:`+absolute+`}
d: ${SERVICE_PASSWORD}@host
e: ${HARMLESS}
client_secret: written-out
clientSecret: also
api-key: 123456789
tokens: [t-one, t-two]
token_url: https://example.org
key: devo.key
`), &problems{})
	ps := &problems{}
	x := &expander{base: base, problems: ps,
		env: lookupIn(map[string]string{"SERVICE_PASSWORD": "pass-word", "HARMLESS": "harm-less"})}
	x.expand(root, "", "")
	if err := ps.err(); err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(base, "relative"), absolute}; !slices.Equal(x.files, want) {
		t.Errorf("got files %q, want %q", x.files, want)
	}
	want := []string{"from-relative", "from-absolute", "pass-word", "written-out", "also", "123456789", "t-one", "t-two"}
	if !slices.Equal(x.secrets, want) {
		t.Errorf("got secrets %q, want %q", x.secrets, want)
	}
}

func TestSecretFilesAreChecked(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	writeFile(t, filepath.Join(base, "largest"), strings.Repeat("x", 64<<10))
	writeFile(t, filepath.Join(base, "large"), strings.Repeat("x", 64<<10+1))
	writeFile(t, filepath.Join(base, "binary"), "\xff\xfe")
	writeFile(t, filepath.Join(base, "blank"), "\n")
	for name, want := range map[string]string{
		"largest":   "",
		"large":     "k: " + base + "/large is longer than 65536 bytes",
		"binary":    "k: " + base + "/binary is not a text in UTF-8",
		"blank":     "k: " + base + "/blank is empty",
		"none":      "k: stat " + base + "/none: no such file or directory; write that file, or correct its name; ${secret:NAME} looks in starling.secrets_folder",
		"/dev/zero": "k: /dev/zero is not a file",
	} {
		ps := &problems{}
		x := &expander{base: base, env: lookupIn(nil), problems: ps}
		text := "${file:" + name + "}"
		x.expand(&node{text: text, value: text}, "k", "k")
		if got := errorText(ps.err()); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
