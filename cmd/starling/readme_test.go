package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"starling/cmd/internal/sim"
	"starling/engine"
)

func readme(t *testing.T) string { return repositoryFile(t, "README.md") }

func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// between returns the text after from and before to, with every run of white space as one space.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, from)
	part, _, ended := strings.Cut(rest, to)
	if !ok || !ended {
		t.Fatalf("no text between %q and %q", from, to)
	}
	return strings.Join(strings.Fields(part), " ")
}

func TestReadmeGuaranteesWhatTheEngineDoes(t *testing.T) {
	t.Parallel()
	comment := strings.ReplaceAll(repositoryFile(t, "engine/doc.go"), "\n//", "\n")
	want := between(t, comment, "# Guarantees", "package engine")
	if got := between(t, readme(t), "a test compares them. -->", "\n\n"); got != want {
		t.Errorf("README.md says\n%s\nengine/doc.go says\n%s", got, want)
	}
}

// block returns the n-th block of code in a language.
func block(t *testing.T, language string, n int) string {
	t.Helper()
	blocks := regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```\n").FindAllStringSubmatch(readme(t), -1)
	if len(blocks) <= n {
		t.Fatalf("README.md has %d blocks of %s, want %d", len(blocks), language, n+1)
	}
	return blocks[n][1]
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// output runs the program in dir, which must end well, and returns what it printed.
func output(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "starling", args...)
	c.Dir, c.Env = dir, append(os.Environ(), "CLIENT_SECRET=of the test")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("starling %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestConfigurationOfTheReadmeIsInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "config/config.yaml"), block(t, "yaml", 0))
	put(t, filepath.Join(dir, "scripts/empty.star"), "")
	certs, err := sim.NewCerts("my_domain")
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Write(filepath.Join(dir, "certs")); err != nil {
		t.Fatal(err)
	}
	out := output(t, dir, "check", "--config", "config/config.yaml")
	if !strings.Contains(out, "is in order: 1 collector, 1 output") || strings.Contains(out, "(a warning)") {
		t.Errorf("got\n%s", out)
	}
}

func TestReadmeShowsEveryKeyOfOursWithItsDefault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	yaml := strings.ReplaceAll(block(t, "yaml", 0), "${CLIENT_SECRET}", "of the test")
	devo, ours, ok := strings.Cut(yaml, "\nstarling:\n")
	if !ok {
		t.Fatal("the configuration has no section starling")
	}
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	load := func(text string) *engine.Config {
		put(t, filepath.Join(dir, "config.yaml"), text)
		c, err := engine.LoadConfig(filepath.Join(dir, "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	type settings struct {
		scripts, listen, level, format string
		limits                         engine.Limits
	}
	of := func(c *engine.Config) settings {
		return settings{c.ScriptsDir, c.Listen, c.LogLevel, c.LogFormat, c.Limits}
	}
	if got, want := of(load(yaml)), of(load(devo+"\n")); got != want {
		t.Errorf("README.md shows\n%+v\nthe defaults are\n%+v", got, want)
	}
	_, limits, _ := strings.Cut(ours, "limits:")
	shown := len(regexp.MustCompile(`(?m)^    \w+:`).FindAllString(limits, -1))
	if want := reflect.TypeFor[engine.Limits]().NumField(); shown != want {
		t.Errorf("README.md shows %d limits, there are %d", shown, want)
	}
}

func TestScriptOfTheReadmePassesItsTest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "scripts/example_alerts.star"), block(t, "python", 0))
	put(t, filepath.Join(dir, "scripts/example_alerts_test.star"), block(t, "python", 1))
	out := output(t, dir, "test", "--scripts", "scripts")
	if !strings.Contains(out, "ok    example_alerts_test.star (1 test") {
		t.Errorf("got\n%s", out)
	}
}

// TestCommandsOfTheReadmeExist parses every command line as the program does.
func TestCommandsOfTheReadmeExist(t *testing.T) {
	t.Parallel()
	lines := regexp.MustCompile(`(?m)^    (?:\w+=\S+ )*(?:go run \./cmd/)?starling (.*)$`).FindAllStringSubmatch(readme(t)+office365(t), -1)
	if len(lines) < 25 {
		t.Fatalf("found %d command lines, want all of README.md and docs/office365.md", len(lines))
	}
	for _, line := range lines {
		root := newRoot(&program{stdout: os.Stdout, stderr: os.Stderr, getenv: func(string) string { return "" }})
		c, rest, err := root.Find(strings.Fields(line[1]))
		if err == nil && !c.Runnable() {
			t.Errorf("starling %s: not a command", line[1])
			continue
		}
		if err == nil {
			err = c.ParseFlags(rest)
		}
		if err == nil {
			err = c.ValidateArgs(c.Flags().Args())
		}
		if err != nil {
			t.Errorf("starling %s: %v", line[1], err)
		}
	}
}

// TestMetricsOfTheReadmeExist compares its names, which are Prometheus', with those of the reference.
func TestMetricsOfTheReadmeExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	row := regexp.MustCompile("(?m)^\\| `(starling\\.[a-z.]+)` \\| (\\w+) \\| (\\S*) \\|")
	for _, m := range row.FindAllStringSubmatch(repositoryFile(t, "REFERENCE.md"), -1) {
		name := strings.ReplaceAll(m[1], ".", "_")
		if m[3] == "s" {
			name += "_seconds"
		}
		if m[2] == "counter" {
			name += "_total"
		}
		known[name] = true
	}
	names := regexp.MustCompile("`(starling_[a-z_]+)`").FindAllStringSubmatch(readme(t), -1)
	if len(names) < 5 || len(known) < 10 {
		t.Fatalf("found %d names in README.md and %d in REFERENCE.md", len(names), len(known))
	}
	for _, m := range names {
		if !known[m[1]] {
			t.Errorf("%s: no such metric", m[1])
		}
	}
}
