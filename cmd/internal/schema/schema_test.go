package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"starling/cmd/internal/docs"
	"starling/engine"
	"starling/sinks"
)

func compiled(t *testing.T, scripts map[string][]docs.Setting) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(Configuration(scripts, sinks.Keys()))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain makes of what YAML holds what JSON can hold; dates are texts, as for starling.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case map[any]any:
		m := map[string]any{}
		for k := range v {
			m[fmt.Sprint(k)] = plain(v[k])
		}
		return m
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case time.Time:
		return v.Format(time.RFC3339)
	case int:
		return json.Number(fmt.Sprint(v))
	}
	return v
}

// ofSchema are the mistakes that a schema can tell: unknown keys, and values of another type or outside of their bounds.
var ofSchema = regexp.MustCompile(`: unknown key|got .*, want (true or false|a whole number from|a number from|a mapping|a list|one of|filesystem or memory|a time from)`)

// beyond are archives whose mistakes of that kind no schema tells, and why.
var beyond = map[string]string{
	"placeholders_enabled": "what ${NAME} becomes is known when it is read",
	"expansion":            "what ${NAME} becomes is known when it is read",
	"secret_file":          "what ${file:…} becomes is known when it is read",
}

// TestSchemaAgreesWithCheck goes through the configurations that the engine is tested with.
func TestSchemaAgreesWithCheck(t *testing.T) {
	t.Parallel()
	s := compiled(t, nil)
	archives, err := filepath.Glob("../../../engine/testdata/config/*.txtar")
	if err != nil || len(archives) < 60 {
		t.Fatalf("found %d archives: %v", len(archives), err)
	}
	good, bad := 0, 0
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		name = strings.TrimSuffix(filepath.Base(name), ".txtar")
		var config, errors string
		for _, f := range a.Files {
			switch {
			case strings.HasPrefix(f.Name, "config."):
				config = string(f.Data)
			case f.Name == "errors":
				errors = string(f.Data)
			}
		}
		var v any
		if config == "" || yaml.Unmarshal([]byte(strings.TrimPrefix(config, "\ufeff")), &v) != nil {
			continue // of the Collector Server, or no YAML
		}
		invalid := s.Validate(plain(v))
		switch {
		case errors == "":
			good++
			if invalid != nil {
				t.Errorf("%s: check takes it, the schema does not: %v", name, invalid)
			}
		case ofSchema.MatchString(errors):
			bad++
			if reason := beyond[name]; invalid == nil && reason == "" {
				t.Errorf("%s: the schema takes it, check does not:\n%s", name, errors)
			}
		}
	}
	if good < 15 || bad < 15 {
		t.Errorf("compared %d good and %d bad configurations, which cannot be all", good, bad)
	}
}

// TestKeysOfScripts: what a script declares is checked below its service, at the input and in credentials.
func TestKeysOfScripts(t *testing.T) {
	t.Parallel()
	s := compiled(t, map[string][]docs.Setting{"alerts": {
		{Name: "size", Aliases: []string{"page_size"}, Kind: "int", Rules: map[string]any{"min": int64(1), "max": int64(9)}},
		{Name: "mode", Kind: "string", Rules: map[string]any{"choices": []any{"a", "b"}}},
		{Name: "since", Kind: "date"}, {Name: "wait", Kind: "seconds"}, {Name: "kinds", Kind: "list"}, {Name: "token", Kind: "secret"},
	}})
	for _, c := range []struct {
		input string
		want  bool
	}{
		{`{id: 1, services: {alerts: {}}}`, true},
		{`{id: 1, services: {alerts: }}`, true},
		{`{id: 1, services: {alerts: {size: 5, mode: a, since: "2026-01-02", wait: 5m, kinds: [x], token: y}}}`, true},
		{`{id: 1, size: 5, credentials: {token: y}, services: {alerts: {page_size: 2}}}`, true},
		{`{id: 1, services: {alerts: {size: "${SIZE}"}}}`, true},
		{`{id: 1, services: {alerts: {siez: 5}}}`, false},
		{`{id: 1, services: {alerts: {size: 10}}}`, false},
		{`{id: 1, services: {alerts: {size: many}}}`, false},
		{`{id: 1, services: {alerts: {mode: c}}}`, false},
		{`{id: 1, services: {alerts: {since: yesterday}}}`, false},
		{`{id: 1, services: {alerts: {kinds: x}}}`, false},
		{`{id: 1, size: many, services: {alerts: {}}}`, false},
		{`{id: 1, services: {mine: {anything: 5}}}`, true},                     // a script that the schema does not know
		{`{id: 1, services: {alerts: {script: other, anything: 5}}}`, true},    // another script
		{`{id: 1, services: {alerts: {enabled: false, anything: 5}}}`, true},   // nobody looks at it
		{`{id: 1, services: {alerts: {request_period_in_seconds: 0}}}`, false}, // the engine's own key
		{`{services: {alerts: {}}}`, false},
	} {
		text := "globals: {name: a, id: 1}\noutputs: {none: {type: discard}}\ninputs: {test: " + c.input + "}\n"
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(plain(v)); (err == nil) != c.want {
			t.Errorf("%s: got %v, want valid: %v", c.input, err, c.want)
		}
	}
}

// TestKeysOfOutputs: of every key of any type, and of one that none has, the schema and the check of each type say the same.
func TestKeysOfOutputs(t *testing.T) {
	t.Parallel()
	s := compiled(t, nil)
	all := map[string]bool{"adress": true}
	for _, keys := range sinks.Keys() {
		for _, key := range keys {
			all[key] = true
		}
	}
	env := sinks.Env{Logger: slog.New(slog.DiscardHandler), Stdout: io.Discard}
	dir := t.TempDir()
	for kind, keys := range sinks.Keys() {
		told := 0
		for key := range all {
			for _, over := range []string{"SSL", "TCP"} {
				config := map[string]any{key: "x"}
				if slices.Contains(keys, "type") {
					config["type"] = over
				}
				sink, err := sinks.New(engine.Output{Name: "a", Type: kind, Config: engine.NewSection("", dir, config)}, env)
				if err == nil {
					sink.Close()
				}
				unknown := err != nil && strings.Contains(err.Error(), key+": unknown key")
				invalid := s.Validate(map[string]any{"globals": map[string]any{"name": "a", "id": "1"},
					"outputs": map[string]any{"a": map[string]any{"type": kind, "config": config}},
					"inputs":  map[string]any{"a": map[string]any{"enabled": false}}})
				if unknown != (invalid != nil) {
					t.Errorf("%s, %v: check says %v, the schema %v", kind, config, err, invalid)
				}
				if unknown {
					told++
				}
			}
		}
		if told < 2 || (told == 2*len(all)) != (len(keys) == 0) {
			t.Errorf("%s: %d of %d keys are unknown, which cannot be", kind, told, 2*len(all))
		}
	}
	for output, want := range map[string]bool{"{type: discard}": true, "{type: discard, config: }": true, "{type: discard, config: {x: 1}}": false,
		`{type: "${KIND}", config: {x: 1}}`: true, `{type: console, config: "${CONFIG}"}`: true, "{type: console, config: {x: 1}}": false} {
		var v any
		if err := yaml.Unmarshal([]byte("{globals: {name: a, id: 1}, inputs: {a: {enabled: false}}, outputs: {a: "+output+"}}"), &v); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(plain(v)); (err == nil) != want {
			t.Errorf("%s: got %v, want valid: %v", output, err, want)
		}
	}
}

// FuzzScripts: whatever scripts say of their settings, what is made of it is a schema, which editors would else refuse as a whole.
func FuzzScripts(f *testing.F) {
	f.Add("a = config.int(\"a\", min = 1, max = \"x\", default = 1.5, doc = \"b\")\nconfig.string(\"b\", pattern = \"[a\", choices = [1, \"c\", [True]])")
	f.Add("config.list(\"a\", min_length = -1, max_length = 1e300, choices = [], aliases = [\"enabled\", \"a\", 1])\nconfig.float(\"\", default = 9999999999999999999)")
	f.Fuzz(func(t *testing.T, text string) {
		_, settings, err := docs.Script(func(string) ([]byte, bool) { return []byte(text), true }, "a.star")
		if err == nil {
			compiled(t, map[string][]docs.Setting{"a": settings})
		}
	})
}

// TestEveryKeyOfTheEngineIsInTheSchema: each key that REFERENCE.md names below starling and its limits.
func TestEveryKeyOfTheEngineIsInTheSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := json.Marshal(Configuration(nil, sinks.Keys()))
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "### starling\n")
	part, _, _ = strings.Cut(part, "\n#### ")
	found := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)`").FindAllStringSubmatch(part, -1) {
		found++
		key := m[1][strings.LastIndex(m[1], ".")+1:]
		if !strings.Contains(string(schema), `"`+key+`":`) {
			t.Errorf("the schema does not know %s", m[1])
		}
	}
	if found < 30 {
		t.Errorf("found %d keys", found)
	}
}
