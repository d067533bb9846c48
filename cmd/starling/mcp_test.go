package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"starling/cmd/internal/dev"
	"starling/engine"
)

// mcpSession starts starling mcp in a folder and connects a client to it.
func mcpSession(t *testing.T, dir string, args ...string) *mcp.ClientSession {
	t.Helper()
	command := exec.Command("starling", append([]string{"mcp"}, args...)...)
	command.Dir, command.Stderr = dir, os.Stderr
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: command}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil { // the program ends when its input does
			t.Error(err)
		}
	})
	return session
}

// callTool calls a tool and returns the result, whose output is JSON again.
func callTool(t *testing.T, session *mcp.ClientSession, name string, arguments map[string]any) (code int, output, messages string) {
	t.Helper()
	found, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	text, err := json.Marshal(found.StructuredContent)
	if err != nil || found.IsError {
		t.Fatalf("%s: %v, %v", name, err, found.Content[0].(*mcp.TextContent).Text)
	}
	var r struct {
		ExitCode int `json:"exit_code"`
		Output   json.RawMessage
		Messages string
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r.ExitCode, string(r.Output), r.Messages
}

// writeTree writes files, and the folders that they are in.
func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMCPSession goes through a session as an assistant does that mends a script: every tool is used, over standard input
// and output of the real program.
func TestMCPSession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) { writeTree(t, dir, map[string]string{name: text}) }
	write("scripts/example.star", "\"\"\"An example.\"\"\"\n\ntable = devo.table('my.app.example', fields.map({\"n\": field(\"n\")}))\n\ndef pull():\n    devo.send(table, [{\"n\": 1}])\n    checkpoint.comit()\n")
	write("scripts/example_test.star", "def test_pull(t):\n    t.equal(1, 1)\n")
	write("config.yaml", "globals: {name: example, id: 1}\ninputs:\n  example:\n    id: 1\n    enabled: true\n    services:\n      example: {request_period_in_seconds: 60}\noutputs:\n  out: {type: console}\n")
	session := mcpSession(t, dir)

	listed, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
		if len(tool.Description) < 40 {
			t.Errorf("%s: the description says too little: %q", tool.Name, tool.Description)
		}
	}
	slices.Sort(names)
	if want := []string{"certify", "check", "dev", "docs", "fmt", "lint", "replay", "test"}; !slices.Equal(names, want) {
		t.Errorf("got the tools %q, want %q: none that uses the network", names, want)
	}

	code, output, _ := callTool(t, session, "lint", map[string]any{"files": []string{"scripts/example.star"}})
	if code != exitWrong || !strings.Contains(output, `"line":7`) || !strings.Contains(output, "did you mean commit") {
		t.Errorf("lint: %d %s", code, output)
	}
	code, output, _ = callTool(t, session, "docs", map[string]any{"name": "checkpoint.commit"})
	if code != exitOK || !strings.Contains(output, "durable") {
		t.Errorf("docs: %d %s", code, output)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "scripts/example.star"))
	write("scripts/example.star", strings.Replace(string(text), "comit", "commit", 1))
	code, output, _ = callTool(t, session, "fmt", map[string]any{"files": []string{"scripts/example.star"}})
	if text, _ := os.ReadFile(filepath.Join(dir, "scripts/example.star")); code != exitOK || !strings.Contains(string(text), `devo.table("my.app.example"`) {
		t.Errorf("fmt: %d %s; the file is\n%s", code, output, text)
	}
	for tool, arguments := range map[string]map[string]any{"lint": {}, "test": {}, "check": {}} {
		if code, output, messages := callTool(t, session, tool, arguments); code != exitOK {
			t.Errorf("%s: %d %s %s", tool, code, output, messages)
		}
	}
	code, output, _ = callTool(t, session, "certify", map[string]any{"script": "github_organization_audit", "only": "empty-page"})
	if code != exitOK || !strings.Contains(output, "empty-page") {
		t.Errorf("certify: %d %s", code, output)
	}
	devSaves(t, session, dir)
	code, output, messages := callTool(t, session, "replay", map[string]any{"cases": []string{"none.case"}})
	if code == exitOK || !strings.Contains(output+messages, "none.case") {
		t.Errorf("replay: %d %s %s", code, output, messages)
	}
	// What looks like a flag, or like standard input, which is this session, is a file that is not there.
	for _, name := range []string{"--list", "-"} {
		if code, output, messages := callTool(t, session, "lint", map[string]any{"files": []string{name}}); code == exitOK || !strings.Contains(output+messages, strings.TrimPrefix(name, "--")) {
			t.Errorf("a file called %s: %d %s %s", name, code, output, messages)
		}
	}
	if code, output, messages := callTool(t, session, "fmt", map[string]any{"files": []string{}, "check": true}); code != exitOK || !strings.Contains(output, "scripts") {
		t.Errorf("fmt of no files: %d %s %s", code, output, messages)
	}
	if found, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "test", Arguments: map[string]any{"files": 5}}); err == nil && !found.IsError {
		t.Error("a wrong argument is accepted")
	}
}

// pulledScript asks for rows, and keeps a cursor.
const pulledScript = `"""Rows."""

api = http.client(config.url("base_url", default = None))
table = devo.table("my.app.pulled", fields.map({"name": field("who")}))

def pull():
    devo.send(table, api.get("/rows").json())
    checkpoint.set("last", 2)
`

// A devAnswer is what the tool dev says.
type devAnswer struct {
	OK       bool
	Problem  struct{ Line int }
	Requests []struct {
		Status int
		From   string
	}
	Stats         struct{ Rows, Events, Steps int }
	Before, After map[string]int
	First         []struct{ Row, Event string }
	Changes       struct {
		First  bool
		Added  int
		Fields []struct{ Name, Was, Is string }
	}
}

func callDev(t *testing.T, session *mcp.ClientSession, arguments map[string]any) (a devAnswer) {
	t.Helper()
	code, output, messages := callTool(t, session, "dev", arguments)
	if err := json.Unmarshal([]byte(output), &a); err != nil || code != exitOK {
		t.Fatalf("dev: %d %v %s %s", code, err, output, messages)
	}
	return a
}

// devSaves edits a script, and asks after each save what a recording gives with it.
func devSaves(t *testing.T, session *mcp.ClientSession, dir string) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `[{"n":1,"who":"a"},{"n":2,"who":"b"}]`)
	}))
	other := t.TempDir()
	writeTree(t, other, map[string]string{"scripts/pulled.star": pulledScript, "config.yaml": mcpConfig("pulled", api.URL)})
	recording := filepath.Join(dir, "pulled.case")
	if code, _, stderr := asks(t, "pull", "pulled", "--config", filepath.Join(other, "config.yaml"), "--fresh", "--record", recording); code != exitOK {
		t.Fatal(stderr)
	}
	api.Close() // from now on nobody can be asked
	script, arguments := "scripts/pulled.star", map[string]any{"recording": "pulled.case", "script": "scripts/pulled.star", "first": 1}
	save := func(text string) devAnswer {
		writeTree(t, dir, map[string]string{script: text})
		return callDev(t, session, arguments)
	}
	a := save(pulledScript)
	if !a.OK || !a.Changes.First || a.Stats.Rows != 2 || a.Stats.Events != 2 || a.Stats.Steps == 0 || a.After["last"] != 2 {
		t.Errorf("dev: %+v", a)
	}
	if len(a.Requests) != 1 || a.Requests[0].Status != http.StatusOK || a.Requests[0].From != "recording" {
		t.Errorf("dev asked for %+v", a.Requests)
	}
	if len(a.First) != 1 || !strings.Contains(a.First[0].Row, `"who":"a"`) || a.First[0].Event != `{"name":"a"}` {
		t.Errorf("dev shows %+v", a.First)
	}
	if a = save(strings.Replace(pulledScript, `"name"`, `"person"`, 1)); a.Changes.First || a.Changes.Added != 2 || len(a.Changes.Fields) != 2 || a.Changes.Fields[0].Name != "name" {
		t.Errorf("dev after an edit: %+v", a.Changes)
	}
	if a = save(strings.Replace(pulledScript, "field(", "feild(", 1)); a.OK || a.Problem.Line != 4 {
		t.Errorf("dev of a broken script: %+v", a)
	}
	if a = save(pulledScript); !a.OK || a.Changes.First || a.Changes.Added != 2 {
		t.Errorf("dev of the mended script is compared with the last one that worked: %+v", a.Changes)
	}
	if code, output, _ := callTool(t, session, "dev", map[string]any{"recording": "", "script": "pulled"}); code != exitUsage || !strings.Contains(output, "name a case") {
		t.Errorf("dev without a recording: %d %s", code, output)
	}
}

// TestNoPartOfASecretIsLeftWhereAResultIsCut holds that what the tool dev cuts off a text is no end of a secret.
func TestNoPartOfASecretIsLeftWhereAResultIsCut(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("hunter2", 20)
	long := func(most int) string {
		return strings.Repeat("x", most-len(secret)/2) + secret + strings.Repeat("y", len(secret))
	}
	r := &dev.Result{
		Requests: []dev.Request{{URL: long(mostDevText / 4)}},
		First:    []dev.Pair{{Row: long(mostDevText), Event: long(mostDevText)}},
		Changes:  dev.Changes{Fields: []dev.FieldChange{{Was: long(mostDevText / 8), Is: long(mostDevText / 8)}}, Diff: long(mostDevDiff)},
	}
	var out bytes.Buffer
	p := &program{stdout: &out, asJSON: true, devs: &devMemory{}, redactor: &engine.Redactor{}}
	p.redactor.Add(secret)
	p.showDev(nil, r, devFlags{})
	if text := out.String(); strings.Contains(text, "hunter2") || strings.Count(text, "more bytes") != 6 {
		t.Errorf("got %s", strings.ReplaceAll(strings.ReplaceAll(text, "x", ""), "y", ""))
	}
}

func mcpConfig(service, url string) string {
	return "globals: {name: example, id: 1}\ninputs:\n  example:\n    id: 1\n    enabled: true\n    services:\n      " + service + ": {request_period_in_seconds: 60, base_url: '" + url + "'}\noutputs:\n  out: {type: console}\n"
}

// TestMCPLive: only with --live there is a tool that uses the network.
func TestMCPLive(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `[{"n":1,"who":"a"},{"n":2,"who":"b"}]`)
	}))
	t.Cleanup(api.Close)
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{
		"scripts/example.star": "\"\"\"An example.\"\"\"\n\napi = http.client(config.url(\"base_url\", default = None))\ntable = devo.table(\"my.app.example\", fields.map({}, rest = fields.keep))\n\ndef pull():\n    devo.send(table, api.get(\"/rows\").json())\n    checkpoint.commit()\n",
		"config.yaml":          mcpConfig("example", api.URL),
	})
	session := mcpSession(t, dir, "--live")
	code, output, messages := callTool(t, session, "pull", map[string]any{"service": "example", "limit": 2})
	for _, want := range []string{`"tag":"my.app.example"`, `\"who\":\"b\"`} {
		if code != exitOK || !strings.Contains(output, want) {
			t.Errorf("pull: %d %s %s, want %s in it", code, output, messages, want)
		}
	}
	for _, what := range []string{"example", "scripts/example.star"} {
		if a := callDev(t, session, map[string]any{"script": what}); !a.OK || len(a.Requests) != 1 || a.Requests[0].From != "api" || a.Stats.Events != 2 {
			t.Errorf("dev: %+v", a)
		}
	}
	if code, output, _ := callTool(t, session, "dev", map[string]any{"script": "nothing"}); code != exitOK || !strings.Contains(output, "there are: example/1/example") {
		t.Errorf("dev of a service that is not there: %d %s", code, output)
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("it has kept state")
	}
}
