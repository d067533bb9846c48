package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"starling/cmd/internal/scaffold"
)

// TestInitMakesScriptsThatPass makes a script of each case of testdata/init. It must load, pass its test and have neither findings
// of lint nor another form than fmt gives it; be in order with the piece of configuration that is shown; have what the case wants; and nothing of what it must never have, in any file. Those that say so are certified too.
func TestInitMakesScriptsThatPass(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/init/*.txtar")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range archive.Files {
				part[f.Name] = string(f.Data)
			}
			dir := t.TempDir()
			args := initArgs(t, dir, name, part)
			out := output(t, dir, args...)
			var all strings.Builder
			all.WriteString(out)
			for _, written := range []string{name + ".star", name + "_test.star", "testdata/" + name + ".json"} {
				text, err := os.ReadFile(filepath.Join(dir, "scripts", written))
				if err != nil {
					t.Fatal(err)
				}
				all.Write(text)
			}
			script, _ := os.ReadFile(filepath.Join(dir, "scripts", name+".star"))
			wantLines(t, string(script), part["script"])
			wantLines(t, out, part["todos"])
			for line := range strings.Lines(part["never"]) {
				if line = strings.TrimSpace(line); strings.Contains(all.String(), line) {
					t.Errorf("%q is in what was written", line)
				}
			}
			put(t, filepath.Join(dir, "config.yaml"), initConfig(t, out))
			for _, command := range [][]string{{"check", "--config", "config.yaml"}, {"test", "--scripts", "scripts", name + "*"}, {"lint", "scripts"}, {"fmt", "--check", "scripts"}} {
				output(t, dir, command...)
			}
			if _, ok := part["certified"]; ok {
				output(t, dir, "certify", "scripts/"+name+".star")
			}
			output(t, dir, append(args, "--force")...)
			if t.Failed() {
				t.Logf("%s\n%s", out, script)
			}
		})
	}
}

// initConfig is a configuration with the piece that init shows, in which the operator has put what only the operator knows.
func initConfig(t *testing.T, out string) string {
	t.Helper()
	_, rest, _ := strings.Cut(out, "\n    inputs:\n")
	piece, _, ok := strings.Cut(rest, "\n\n")
	if !ok {
		t.Fatalf("no piece of configuration in\n%s", out)
	}
	piece = strings.ReplaceAll(piece+"\n", "base_url: TODO", "base_url: https://api.example.com")
	piece = regexp.MustCompile(`\$\{\w+\}`).ReplaceAllString(piece, "not-a-real-one")
	return "globals: {name: test, id: 1}\noutputs: {console_1: {type: console}}\ninputs:\n" + piece
}

// initArgs writes the parts of a case into dir and returns the command line for them.
func initArgs(t *testing.T, dir, name string, part map[string]string) []string {
	t.Helper()
	args := []string{"init", name}
	if line, ok := part["curl"]; ok {
		args = append(args, "--curl", line)
	}
	for _, flag := range []string{"openapi", "sample"} {
		if text, ok := part[flag]; ok {
			put(t, filepath.Join(dir, flag), text)
			args = append(args, "--"+flag, flag)
		}
	}
	more, err := scaffold.Words(strings.TrimSpace(part["args"]))
	if err != nil {
		t.Fatal(err)
	}
	return append(args, more...)
}

func wantLines(t *testing.T, text, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
}
