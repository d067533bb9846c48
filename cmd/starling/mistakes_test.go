package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"starling/cmd/internal/lint"
	"starling/cmd/internal/source"
	"starling/scripts"
)

// A mistake is a script of testdata/mistakes, with what its first line says of it.
type mistake struct {
	file, name, text string
	by               []string // "check", "certify", or "lint" and the lint's name
	line             int
}

var mistakeHead = regexp.MustCompile(`^# mistake: ([^;\n]+) ; found by: ([a-z0-9, -]+) ; line: (\d+)\n`)

func mistakes(t *testing.T) []mistake {
	t.Helper()
	files, err := filepath.Glob("testdata/mistakes/*.star")
	if err != nil {
		t.Fatal(err)
	}
	var all []mistake
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.star") {
			continue
		}
		m := mistakeHead.FindStringSubmatch(string(text))
		if m == nil {
			t.Errorf("%s: its first line is not # mistake: WHAT ; found by: lint NAME|check|certify ; line: N", file)
			continue
		}
		line, _ := strconv.Atoi(m[3])
		all = append(all, mistake{file, filepath.Base(file), string(text), strings.Split(m[2], ", "), line})
	}
	return all
}

// TestMistakesAreFound runs check and lint over scripts that each have one mistake, and wants the line of it.
func TestMistakesAreFound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range mistakes(t) {
		t.Run(m.name, func(t *testing.T) {
			for _, by := range m.by {
				way, name, _ := strings.Cut(by, " ")
				switch way {
				case "lint":
					lintFinds(t, m, name)
					seen[name] = true
				case "check":
					checkFinds(t, m)
				case "certify":
				default:
					t.Errorf("found by %q: want lint NAME, check or certify", by)
				}
			}
		})
	}
	for _, l := range lint.Lints() {
		if !seen[l.Name] {
			t.Errorf("no script of testdata/mistakes is found by the lint %s", l.Name)
		}
	}
}

// lintFinds wants the lint to find the line of the mistake, and nothing else but that the script has no tests.
func lintFinds(t *testing.T, m mistake, name string) {
	t.Helper()
	reader, err := source.NewReader(source.Folder(t.TempDir(), scripts.FS()))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range lint.File(reader, m.name, m.name, []byte(m.text)) {
		switch {
		case f.Code == name && f.Line == m.line:
			found = true
		case f.Code != "missing-test" && name != "bad-ignore":
			t.Errorf("%s:%d:%d: %s (%s), which is no mistake", f.File, f.Line, f.Column, f.Message, f.Code)
		}
	}
	if !found {
		t.Errorf("%s does not find the mistake of line %d", name, m.line)
	}
}

// checkFinds checks a configuration with the script.
func checkFinds(t *testing.T, m mistake) {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "scripts", m.name), m.text)
	service := strings.TrimSuffix(m.name, ".star")
	put(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf("globals: {name: test, id: 1}\nstarling: {listen: off}\noutputs: {none: {type: discard}}\ninputs: {test: {id: 1, enabled: true, services: {%s: {}}}}\n", service))
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"check", "--config", filepath.Join(dir, "config.yaml")}, program{stdout: &stdout, stderr: &stderr, getenv: os.Getenv})
	want := fmt.Sprintf("%s:%d:", m.name, m.line)
	if code != exitWrong || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit code %d, want 1 and %s in\n%s", code, want, &stderr)
	}
}

// TestNothingIsFoundInOurScripts: the built-in scripts and their tests have no finding.
func TestNothingIsFoundInOurScripts(t *testing.T) {
	t.Parallel()
	looked := 0
	err := eachBuiltin(func(display, name string, text []byte, reader *source.Reader) {
		looked++
		for _, f := range lint.File(reader, name, display, text) {
			t.Errorf("%s:%d:%d: %s (%s)", f.File, f.Line, f.Column, f.Message, f.Code)
		}
	})
	if err != nil || looked < 7 {
		t.Errorf("looked at %d files: %v", looked, err)
	}
}

// TestLintsSayWhatToDo: each has a name in kebab-case and two sentences.
func TestLintsSayWhatToDo(t *testing.T) {
	t.Parallel()
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`)
	for _, l := range lint.Lints() {
		if !kebab.MatchString(l.Name) || strings.Count(l.Doc, ". ") != 1 || !strings.HasSuffix(l.Doc, ".") {
			t.Errorf("%s: %q, want a name in kebab-case and two sentences", l.Name, l.Doc)
		}
	}
	if !slices.ContainsFunc(lint.Lints(), func(l lint.Lint) bool { return l.Name == "bad-ignore" }) {
		t.Error("no lint looks at the comments that keep lints quiet")
	}
}
