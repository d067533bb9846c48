package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"starling/cmd/internal/bench"
	"starling/cmd/internal/problem"
	"starling/engine"
)

// withoutJSON are the commands that have no --json, and why.
var withoutJSON = map[string]string{
	"starling":                   "without a command it is run",
	"starling run":               "it writes lines of JSON with --log-format json, and /status is JSON",
	"starling lsp":               "it speaks a protocol in JSON",
	"starling mcp":               "it speaks a protocol in JSON",
	"starling schema":            "what it prints is JSON",
	"starling state":             "it holds commands, and prints their list",
	"starling scripts":           "it holds commands, and prints their list",
	"starling " + bench.PartName: "bench starts it, nobody else does",
}

// eachCommand calls f for every command of the program.
func eachCommand(f func(c *cobra.Command)) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		f(c)
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(newRoot(&program{}))
}

func TestEveryCommandHasJSON(t *testing.T) {
	t.Parallel()
	page := repositoryFile(t, "docs/json.md")
	seen := map[string]bool{}
	eachCommand(func(c *cobra.Command) {
		path := c.CommandPath()
		seen[path] = true
		_, exception := withoutJSON[path]
		if has := c.Flags().Lookup("json") != nil; has == exception {
			t.Errorf("%s: --json is there: %v; an exception: %v", path, has, exception)
		}
		if !exception && !strings.Contains(page, "\n| `"+path+"` | ") {
			t.Errorf("docs/json.md does not say what %s prints", path)
		}
	})
	for path := range withoutJSON {
		if !seen[path] {
			t.Errorf("there is no command %s", path)
		}
	}
	if len(seen) < 30 {
		t.Errorf("looked at %d commands only", len(seen))
	}
}

// asks runs a command line, and returns what it prints.
func asks(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, program{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }})
	return code, out.String(), errs.String()
}

// fails runs a command line that fails, and returns the problems that are all that it prints.
func fails(t *testing.T, want int, args ...string) []problem.Problem {
	t.Helper()
	code, stdout, stderr := asks(t, args...)
	var r struct {
		OK       *bool `json:"ok"`
		Problems []problem.Problem
	}
	d := json.NewDecoder(strings.NewReader(stdout))
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%q: %v: %s", args, err, stdout)
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		t.Errorf("%q: more than one object: %s", args, stdout)
	}
	if code != want || r.OK == nil || *r.OK || len(r.Problems) == 0 || stderr != "" {
		t.Fatalf("%q: exit code %d, want %d: %s%s", args, code, want, stdout, stderr)
	}
	for _, one := range r.Problems {
		if one.Code == "" || one.Message == "" || !strings.Contains(one.Text, one.Message) || strings.Contains(one.Message, "\n") {
			t.Errorf("%q: %+v", args, one)
		}
	}
	return r.Problems
}

func TestUnknownFlagIsTold(t *testing.T) {
	t.Parallel()
	eachCommand(func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		if _, exception := withoutJSON[c.CommandPath()]; exception {
			return
		}
		for _, args := range [][]string{append(slices.Clone(path), "--json", "--nonsense"), append(slices.Clone(path), "--nonsense", "--json=true")} {
			found := fails(t, exitUsage, args...)
			if one := found[0]; one.Code != codeUsage || !strings.Contains(one.Message, "unknown flag: --nonsense") || one.Fix != "see: "+c.CommandPath()+" --help" {
				t.Errorf("%q: %+v", args, one)
			}
		}
	})
	if code, stdout, _ := asks(t, "check", "--nonsense", "--json=false"); code != exitUsage || stdout != "" {
		t.Errorf("without JSON: %d %s", code, stdout)
	}
	for _, name := range []string{"chekc", "state lst"} {
		if found := fails(t, exitUsage, append(strings.Fields(name), "--json")...); !strings.Contains(found[0].Message, `unknown command "`) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// TestBrokenConfigurationIsTold: every command that reads a configuration says where it is wrong.
func TestBrokenConfigurationIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{
		"config.yaml":   "globals: {name: test, id: 1}\nstarling:\n  lisen: off\ninputs: {demo: {id: 1, enabled: true, services: {hello: {}}}}\noutputs: {none: {type: discard}}\n",
		"old/something": "",
	})
	file := filepath.Join(dir, "config.yaml")
	positional := map[string][]string{
		"backfill": {"hello", "--from", "2d"}, "pull": {"hello"}, "dev": {"hello"}, "import-devo-state": {filepath.Join(dir, "old")},
		"state show": {"x"}, "state set": {"x", "y", "1"}, "state reset": {"x", "--yes"}, "state repair": {"--yes"},
		"state backup": {filepath.Join(dir, "b")}, "state restore": {filepath.Join(dir, "b")},
	}
	read := 0
	eachCommand(func(c *cobra.Command) {
		if _, exception := withoutJSON[c.CommandPath()]; exception || c.Flag("config") == nil {
			return
		}
		read++
		path := strings.TrimPrefix(c.CommandPath(), "starling ")
		args := append(strings.Fields(path), "--json", "--config", file)
		found := fails(t, exitWrong, append(args, positional[path]...)...)
		if one := found[0]; one.File != file || one.Line != 3 || one.Column != 3 || one.Code != engine.CodeConfig || !strings.Contains(one.Fix, `did you mean "listen"?`) {
			t.Errorf("%s: %+v", path, one)
		}
	})
	if read < 15 {
		t.Errorf("%d commands read a configuration", read)
	}
}

// broken is a script with a mistake in line 3, in a project that is in order else.
var brokenScript = map[string]string{
	"scripts/hello.star":      "\"\"\"Says hello.\"\"\"\n\nx = nonsense\n\ndef pull():\n    pass\n",
	"scripts/hello_test.star": "def test_pull(t):\n    t.pull()\n",
	"config.yaml":             "globals: {name: test, id: 1}\nstarling: {listen: off}\ninputs: {demo: {id: 1, enabled: true, services: {hello: {}}}}\noutputs: {none: {type: discard}}\n",
}

func TestBrokenScriptIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, brokenScript)
	config, script := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "scripts", "hello.star")
	for _, args := range [][]string{
		{"check", "--json", "--config", config},
		{"repl", "--json", "--config", config, "--service", "hello"},
	} {
		found := fails(t, exitWrong, args...)
		if one := found[0]; one.Code != engine.CodeScript || !strings.HasSuffix(one.File, "hello.star") || one.Line != 3 || one.Column != 5 || one.Message != "undefined: nonsense" {
			t.Errorf("%q: %+v", args, one)
		}
	}
	code, stdout, _ := asks(t, "pull", "--json", "--config", config, "--fresh", "hello")
	var last struct{ Problems []problem.Problem }
	if err := json.Unmarshal([]byte(stdout), &last); err != nil || code != exitWrong || len(last.Problems) != 1 || last.Problems[0].Line != 3 {
		t.Errorf("pull: %d %s %v", code, stdout, err)
	}
	code, stdout, _ = asks(t, "dev", "--json", "--saves", "1", "--fresh", "--config", config, "hello")
	var saved struct{ Problem problem.Problem }
	if err := json.Unmarshal([]byte(stdout), &saved); err != nil || code != exitOK || saved.Problem.Line != 3 {
		t.Errorf("dev: %d %s %v", code, stdout, err)
	}
	code, stdout, _ = asks(t, "test", "--json", "--scripts", filepath.Join(dir, "scripts"))
	var tested []struct {
		Tests []struct{ Problems []problem.Problem }
	}
	if err := json.Unmarshal([]byte(stdout), &tested); err != nil || code != exitWrong || tested[0].Tests[0].Problems[0].Code != engine.CodeScript {
		t.Errorf("test: %d %s %v", code, stdout, err)
	}
	nowhere := filepath.Join(dir, "nowhere.case")
	code, stdout, _ = asks(t, "replay", "--json", nowhere)
	var replayed []struct{ Problems []problem.Problem }
	if err := json.Unmarshal([]byte(stdout), &replayed); err != nil || code != exitWrong || !strings.Contains(replayed[0].Problems[0].Message, nowhere) {
		t.Errorf("replay: %d %s %v", code, stdout, err)
	}
	writeTree(t, dir, map[string]string{"scripts/hello.star": "def pull(:\n"})
	if found := fails(t, exitWrong, "fmt", "--json", script); found[0].File != script || found[0].Line != 1 || found[0].Code != engine.CodeScript {
		t.Errorf("fmt: %+v", found)
	}
}

func TestUnknownServiceIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, brokenScript)
	writeTree(t, dir, map[string]string{"scripts/hello.star": "\"\"\"Says hello.\"\"\"\n\ndef pull():\n    checkpoint.set(\"n\", 1)\n"})
	config := filepath.Join(dir, "config.yaml")
	code, stdout, stderr := asks(t, "pull", "--commit", "--json", "--config", config, "hello")
	if code != exitOK || !strings.Contains(stdout, `"after":{"n":1}`) {
		t.Fatalf("%d %s %s", code, stdout, stderr)
	}
	for _, trial := range []struct {
		code int
		args []string
	}{
		{exitWrong, []string{"pull", "nothing", "--json", "--fresh", "--config", config}},
		{exitWrong, []string{"repl", "--service", "nothing", "--json", "--config", config}},
		{exitUsage, []string{"coverage", "nothing", "--json", "--config", config}},
		{exitUsage, []string{"backfill", "nothing", "--from", "2d", "--json", "--config", config}},
		{exitUsage, []string{"state", "show", "nothing", "--json", "--config", config}},
	} {
		found := fails(t, trial.code, trial.args...)
		if one := found[0]; !strings.Contains(one.Message, `"nothing"`) || one.Fix != "there are: demo/1/hello" {
			t.Errorf("%q: %+v", trial.args, one)
		}
	}
	if found := fails(t, exitWrong, "docs", "checkpoint.comit", "--json"); found[0].Fix != "did you mean checkpoint.commit?" {
		t.Errorf("docs: %+v", found)
	}
	if found := fails(t, exitUsage, "state", "reset", "demo/1/hello", "--json", "--config", config); found[0].Fix != "repeat it with --yes" {
		t.Errorf("reset: %+v", found)
	}
}

// answers runs a command line that goes well, and returns the object that is all that it prints.
func answers(t *testing.T, args ...string) map[string]any {
	t.Helper()
	code, stdout, stderr := asks(t, args...)
	var all map[string]any
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || code != exitOK {
		t.Fatalf("%q: exit code %d, %v: %s%s", args, code, err, stdout, stderr)
	}
	return all
}

// has checks the keys of an object, in their order.
func has(t *testing.T, what string, object map[string]any, keys ...string) {
	t.Helper()
	slices.Sort(keys)
	if got := slices.Sorted(maps.Keys(object)); !slices.Equal(got, keys) {
		t.Errorf("%s has %q, want %q", what, got, keys)
	}
}

func TestAnswersAreObjects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, brokenScript)
	writeTree(t, dir, map[string]string{"scripts/hello.star": "\"\"\"Says hello.\"\"\"\n\ntable = devo.table(\"my.app.hello\")\n\ndef pull():\n    devo.send(table, [{\"n\": 1}, {\"n\": 2}])\n    checkpoint.set(\"n\", 1)\n"})
	state, backup := filepath.Join(dir, "state"), filepath.Join(dir, "backup")
	config := []string{"--json", "--config", filepath.Join(dir, "config.yaml")}
	with := func(args ...string) []string { return append(args, config...) }

	has(t, "version", answers(t, "version", "--json"), "version", "commit", "go", "os", "arch")
	healthy := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(healthy.Close)
	if found := fails(t, exitWrong, "health", "--json", "--url", healthy.URL); found[0].Code != codeWrong || !strings.Contains(found[0].Message, "404") {
		t.Errorf("health: %+v", found)
	}
	listed := answers(t, "scripts", "list", "--json")["scripts"].([]any)
	has(t, "a script", listed[0].(map[string]any), "file", "doc")
	if copied := answers(t, "scripts", "copy", "--json", filepath.Join(dir, "copy"))["files"].([]any); len(copied) < len(listed) {
		t.Errorf("copied %v", copied)
	}
	fails(t, exitWrong, "scripts", "copy", "--json", filepath.Join(dir, "copy"))

	code, stdout, _ := asks(t, with("pull", "hello", "--limit", "1", "--fresh")...)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	var event, end map[string]any
	if err := errors.Join(json.Unmarshal([]byte(lines[0]), &event), json.Unmarshal([]byte(lines[len(lines)-1]), &end)); err != nil || code != exitOK || len(lines) != 2 {
		t.Fatalf("pull: %d %v %s", code, err, stdout)
	}
	has(t, "an event", event, "tag", "body")
	if end["ok"] != true || end["stopped"] != true || end["more_events"] != 1. || end["kept"] != false {
		t.Errorf("pull ends with %v", end)
	}
	if code, stdout, stderr := asks(t, with("pull", "hello", "--commit")...); code != exitOK {
		t.Fatal(stdout, stderr)
	}
	set := answers(t, with("state", "set", "demo/1/hello", "n", "7")...)
	has(t, "state set", set, "collector", "cursor", "value")
	if shown := answers(t, with("state", "show", "demo/1/hello")...); shown["n"] != 7. {
		t.Errorf("state show: %v", shown)
	}
	has(t, "state list", answers(t, with("state", "list")...), "collectors", "sinks")
	if made := answers(t, "state", "backup", "--json", "--state", state, backup); made["file"] != backup || made["commits"] == 0. {
		t.Errorf("state backup: %v", made)
	}
	if put := answers(t, "state", "restore", "--json", "--replace", "--state", state, backup); put["state"] != state || put["replaced"] == nil {
		t.Errorf("state restore: %v", put)
	}
	checked := answers(t, "state", "check", "--json", "--state", state)
	if checked["ok"] != true || len(checked["problems"].([]any)) != 0 {
		t.Errorf("state check: %v", checked)
	}
	if forgotten := answers(t, with("state", "reset", "--yes", "demo/1/hello")...)["forgotten_cursors"].([]any); len(forgotten) != 1 || forgotten[0] != "n" {
		t.Errorf("state reset: %v", forgotten)
	}
	if none, ok := answers(t, with("state", "reset", "--yes", "demo/1/hello")...)["forgotten_cursors"].([]any); !ok || len(none) != 0 {
		t.Errorf("state reset, where there is nothing: %v", none)
	}
}

// TestSecretsAreNotInEvents that pull prints with --json: an API may send back what it was asked with.
func TestSecretsAreNotInEvents(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "[{\"who\": %q}]", r.Header.Get("Authorization"))
	}))
	t.Cleanup(api.Close)
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{
		"scripts/pulled.star": strings.Replace(pulledScript, "default = None)", "default = None), auth = http.bearer(config.secret(\"token\"))", 1),
		"config.yaml":         strings.Replace(mcpConfig("pulled", api.URL), "base_url:", "token: hunter2hunter2, base_url:", 1),
	})
	code, stdout, stderr := asks(t, "pull", "pulled", "--json", "--fresh", "--config", filepath.Join(dir, "config.yaml"))
	if code != exitOK || strings.Contains(stdout+stderr, "hunter2") || !strings.Contains(stdout, `"body":"{\"name\":\"Bearer `+engine.Sanitized) {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
}

// TestSecretsAreNotInJSON: whatever a secret looks like, what is printed stays JSON.
func TestSecretsAreNotInJSON(t *testing.T) {
	t.Parallel()
	const number, text = "1234567", `a"b\nfoo`
	p := &program{redactor: &engine.Redactor{}, asJSON: true}
	p.redactor.Add(number)
	p.redactor.Add(text)
	p.redactor.Add("nbar-bar")
	told := map[string]any{"n": 1234567, "f": 1.5, "with": "it is " + text + ".", "line": "\nbar-bar", "key " + number: true, "left": "a\\\"b"}
	want := map[string]any{"n": engine.Sanitized, "f": 1.5, "with": "it is " + engine.Sanitized + ".", "line": "\nbar-bar", "key " + engine.Sanitized: true, "left": "a\\\"b"}
	var lines, whole bytes.Buffer
	p.stdout = &lines
	if err := p.printLine(told); err != nil {
		t.Fatal(err)
	}
	p.stdout, p.answer = &whole, told
	p.finishJSON(nil)
	for _, out := range []string{lines.String(), whole.String()} {
		var got map[string]any
		if err := json.Unmarshal([]byte(out), &got); err != nil || !maps.Equal(got, want) {
			t.Errorf("%v: got %v, want %v: %s", err, got, want, out)
		}
	}
}
