package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestBadConfigs walks testdata/config. Each archive holds a configuration, files beside it, the
// environment in env, and the lines that a person is shown in errors, where $BASE is the directory.
func TestBadConfigs(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/config/*.txtar")
	if err != nil || len(archives) < 10 {
		t.Fatalf("found %d archives: %v", len(archives), err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var config, want string
			env := map[string]string{}
			for _, f := range a.Files {
				switch {
				case f.Name == "errors":
					want = strings.TrimSpace(string(f.Data))
				case f.Name == "env":
					for line := range strings.Lines(string(f.Data)) {
						name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
						env[name] = value
					}
				default:
					if strings.HasPrefix(f.Name, "config.") {
						config = filepath.Join(dir, f.Name)
					}
					writeFile(t, filepath.Join(dir, f.Name), string(f.Data))
				}
			}
			_, err = loadConfig(config, lookupIn(env))
			if err == nil {
				t.Fatalf("loaded, want\n%s", want)
			}
			got := strings.ReplaceAll(err.Error(), config, filepath.Base(config))
			got = strings.ReplaceAll(got, dir, "$BASE")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if code := CodeOf(err, ""); code != CodeConfig {
				t.Errorf("got code %q, want config", code)
			}
			for _, value := range env {
				if value != "" && strings.Contains(err.Error(), value) {
					t.Errorf("the error shows what is in the environment: %s", value)
				}
			}
		})
	}
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
