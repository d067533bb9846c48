package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestConfigs walks testdata/config. Each archive holds a configuration, in one file or, as job.json and
// collector.json, in two; files beside it; the environment in env; and either the lines that a person is
// shown in errors, or what it comes to in loaded. $BASE is the directory of the files.
func TestConfigs(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/config/*.txtar")
	if err != nil || len(archives) < 60 {
		t.Fatalf("found %d archives: %v", len(archives), err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c := configCase{dir: t.TempDir(), env: map[string]string{}}
			c.unpack(t, a)
			config, err := c.files.load(lookupIn(c.env))
			if err != nil {
				c.wantErrors(t, err)
				return
			}
			if got := c.shorten(shownConfig(config)); got != c.loaded {
				t.Errorf("got\n%s\nwant\n%s", got, c.loaded)
			}
		})
	}
}

type configCase struct {
	dir            string
	env            map[string]string
	files          ConfigFiles
	errors, loaded string
}

func (c *configCase) unpack(t *testing.T, a *txtar.Archive) {
	t.Helper()
	for _, f := range a.Files {
		path := filepath.Join(c.dir, f.Name)
		switch {
		case f.Name == "errors":
			c.errors = strings.TrimSpace(string(f.Data))
			continue
		case f.Name == "loaded":
			c.loaded = strings.TrimSpace(string(f.Data))
			continue
		case f.Name == "env":
			for line := range strings.Lines(string(f.Data)) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				c.env[name] = value
			}
			continue
		case strings.HasPrefix(f.Name, "config."):
			c.files.Config = path
		case f.Name == "job.json":
			c.files.Job = path
		case f.Name == "collector.json":
			c.files.Collector = path
		}
		writeFile(t, path, string(f.Data))
	}
}

func (c *configCase) shorten(text string) string {
	here, _ := os.Getwd()
	return strings.NewReplacer(c.dir+"/config.", "config.", c.dir+"/job.json", "job.json", c.dir+"/collector.json", "collector.json", c.dir, "$BASE", here, "$HERE").Replace(text)
}

func (c *configCase) wantErrors(t *testing.T, err error) {
	t.Helper()
	if got := c.shorten(err.Error()); got != c.errors {
		t.Errorf("got\n%s\nwant\n%s", got, c.errors)
	}
	if code := CodeOf(err, ""); code != CodeConfig {
		t.Errorf("got code %q, want config", code)
	}
	for _, value := range c.env {
		if value != "" && strings.Contains(err.Error(), value) {
			t.Errorf("the error shows what is in the environment: %s", value)
		}
	}
}

// shownConfig is what a configuration comes to, as far as it differs from one to another.
func shownConfig(c *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name %s, id %s, debug %v, state %s\n", c.Name, c.ID, c.Debug, cmp.Or(c.StateDir, "in memory"))
	for _, o := range c.Outputs {
		fmt.Fprintf(&b, "output %s %s %s\n", o.Name, o.Type, shownNode(o.Config.mapping))
	}
	for _, k := range c.Collectors {
		fmt.Fprintf(&b, "collector %s every %v by %s", k.Key(), k.Period, k.Script)
		for _, l := range k.Settings.levels() {
			fmt.Fprintf(&b, " %s", shownNode(l.mapping))
		}
		for _, l := range k.Limits {
			fmt.Fprintf(&b, " at most %d requests in %v", l.N, l.Per)
		}
		b.WriteString("\n")
	}
	for _, key := range c.Disabled {
		fmt.Fprintf(&b, "disabled %s\n", key)
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning %s\n", w)
	}
	return strings.TrimSpace(b.String())
}

func shownNode(n *node) string {
	if n == nil {
		return "{}"
	}
	text, err := json.Marshal(n.object())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}
