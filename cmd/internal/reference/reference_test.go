package reference

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func render(t *testing.T) (root, text string) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if text, err = Render(root); err != nil {
		t.Fatal(err)
	}
	return root, text
}

func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	root, want := render(t)
	got, err := os.ReadFile(filepath.Join(root, "REFERENCE.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("REFERENCE.md is not what its sources say: run go generate ./cmd/internal/reference")
	}
}

func TestErrorsAreCurrent(t *testing.T) {
	t.Parallel()
	root, _ := render(t)
	got, err := os.ReadFile(filepath.Join(root, "docs", "errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Errors() {
		t.Error("docs/errors.md is not what its source says: run go generate ./cmd/internal/reference")
	}
}

func TestDevoIsCurrent(t *testing.T) {
	t.Parallel()
	root, _ := render(t)
	want, err := Devo()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "docs", "devo.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/devo.md is not what its source says: run go generate ./cmd/internal/reference")
	}
}

func TestReferenceHasOneOfEachKind(t *testing.T) {
	t.Parallel()
	_, text := render(t)
	for _, want := range []string{
		"| `steps` | 2000000000 | Starlark instructions of one pull, counted by the interpreter |",
		"| `pull_timeout` | 1h | wall time of one pull |",
		"| `event_bytes` | 1 MiB | body of one event |",
		"| `outbox_bytes` | 1 GiB | compressed events waiting for delivery |",
		"| `starling.events.sent` | counter | {event} | Events acknowledged by a sink. |",
		"| `starling.commit.duration` | histogram | s | How long commits took, disk included. |",
		"| `starling.throttled` | counter | s | Time waited because the API or a rate limit asked for it. |",
		"| `starling.outbox.bytes` | gauge | By | Compressed events that wait for a sink. |",
		"| `throttled` | the API asks to wait: retried after Wait |",
		"| `sink` | name of the output |",
		"| `client_secret` | secret | none | The client secret's value, not its ID. This or another way to sign in must be set. |",
		"| `override_delay_in_seconds`, `override_time_delay_in_seconds` | seconds | `90000` |",
		"| `override_base_url` | url | depends | Where the API is, if not where cloud says. |",
		"| `mode` | string | depends | ",
		"#### `time.parse(text, format=None, *, default=…)`",
		"#### `value.pages(path, *, next, params=None, json=None, headers=None, share=None, catch=False, method=\"GET\", max_pages=10000, xml=False, strict=False, prefetch=True)`",
		"#### `math.pi`",
		"A sink of the types devo\\_platform and relay.",
		"${file:path}",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
}

// TestEveryConfigurationKeyIsDescribed finds the keys that the engine reads from a configuration.
func TestEveryConfigurationKeyIsDescribed(t *testing.T) {
	t.Parallel()
	root, text := render(t)
	_, text, _ = strings.Cut(text, "## Configuration")
	text, _, _ = strings.Cut(text, "## Built-in scripts")
	text = strings.ReplaceAll(text, `\_`, "_")
	reads := map[string]bool{"Text": true, "Required": true, "Int": true, "Float": true, "Bool": true, "Seconds": true,
		"Bytes": true, "Choice": true, "Path": true, "File": true, "sub": true, "list": true}
	found := 0
	for _, file := range []string{"engine/config.go", "engine/config_sections.go", "engine/config_network.go", "engine/config_status.go", "sinks/devo.go", "sinks/syslog.go", "sinks/credentials.go", "sinks/relp.go", "sinks/http.go",
		"sinks/file.go", "sinks/file_rotate.go", "sinks/kafka.go", "sinks/kafka_producer.go", "sinks/nats.go", "sinks/nats_identity.go", "sinks/client_tls.go", "sinks/console.go", "sinks/lines.go"} {
		f, err := parseGo(root, file)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !reads[name(call.Fun)] || len(call.Args) == 0 {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			found++
			key := strings.Trim(lit.Value, `"`)
			if !regexp.MustCompile(`\b` + key + `\b`).MatchString(text) {
				t.Errorf("%s reads the key %s, which REFERENCE.md does not have: describe it in config.go, or in the comment of the sink", file, key)
			}
			return true
		})
	}
	if found < 40 {
		t.Errorf("found %d keys, which cannot be all", found)
	}
}
