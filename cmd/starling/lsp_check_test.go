package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// untilTold reads messages until a file has errors of the code check as wanted: one for each line, "line: a part of the text". Lines count from 1.
func (e *lspClient) untilTold(name string, want ...string) {
	e.t.Helper()
	// The server ends with its input, and receive fails then.
	patience := time.AfterFunc(5*time.Minute, func() {
		e.in.Close()
		e.t.Errorf("%s: want %q", name, want)
	})
	defer patience.Stop()
	for !e.tells(name, want) {
		e.receive()
	}
}

func (e *lspClient) tells(name string, want []string) bool {
	var seen []lspDiagnostic
	for _, d := range e.told[name] {
		if d.Code == "check" {
			seen = append(seen, d)
		}
	}
	for i, w := range want {
		line, text, _ := strings.Cut(w, ": ")
		if i >= len(seen) || fmt.Sprint(seen[i].Range.Start.Line+1) != line || !strings.Contains(seen[i].Message, text) {
			return false
		}
	}
	return len(seen) == len(want)
}

// change replaces the whole text of a document.
func (e *lspClient) change(name, text string) {
	e.t.Helper()
	e.send(map[string]any{"method": "textDocument/didChange", "params": map[string]any{"textDocument": map[string]any{"uri": e.uri(name), "version": 2},
		"contentChanges": []any{map[string]any{"text": text}}}})
}

const lspConfig = `globals: {name: test, id: 1}
outputs: {devo: {type: devo_platform, config: {address: nowhere.example.com}}} # without certificates: nobody asks
starling: {limits: {load_steps: 50000}}
inputs:
  api:
    id: 1
    enabled: true
    credentials: {token: hunter22}
    services:
      mine: {size: 10, siez: 1}
      other: {enabled: false}
`

const lspSettings = `base = config.url("base")
size = config.int("size", max = 9)
token = config.secret("token")
`

// TestLanguageServerChecksSettings: what starling check says of a configuration and a script stands at the script's lines, of the text
// that is open, whatever the disk has, and goes when it is mended.
func TestLanguageServerChecksSettings(t *testing.T) {
	t.Parallel()
	e := newLSPClientWith(t, map[string]string{"config/config.yaml": lspConfig, "scripts/mine.star": "def pull():\n    pass\n"}, nil)
	defer e.quit()
	const pull = "\ndef pull():\n    pass\n"
	e.open("scripts/mine.star", lspSettings+pull)
	e.untilTold("mine.star", "1: config/config.yaml:10:24: inputs.api.services.mine.siez: unknown key, did you mean \"size\"?",
		"1: set base, a url, in the service", "2: got 10, want")
	for text, want := range map[string]string{
		"siez = config.int(\"siez\", default = 0, min = 1)\n": "1: siez: default: got 0, want",
		"siez = config.int(\"siez\")\nx = {}[siez]\n":         "2: key 1 not in dict",
		"siez = 0\n\nx = [siez for i in range(9000000)]\n":    "3: the top level took more steps than it may",
		"def f(x):\n    fail(\"hunter22\")\n\nf(1)\n":         "2: fail: ",
		"pull = 1\n": "1: the script has no function pull()",
	} {
		// All that is set is read, but for what the case reads.
		e.change("scripts/mine.star", text+"_ = [config.secret(\"token\"), config.int(\"size\"), config.int(\"siez\")]\n"+strings.TrimPrefix(pull, "\n"))
		if strings.HasPrefix(text, "pull") {
			e.change("scripts/mine.star", text)
		}
		e.untilTold("mine.star", want)
		if strings.Contains(fmt.Sprint(e.told), "hunter22") {
			t.Errorf("a secret is told: %v", e.told)
		}
	}
	e.change("scripts/mine.star", "_ = [config.secret(\"token\"), config.int(\"size\"), config.int(\"siez\")]\n"+pull)
	e.untilTold("mine.star")
}

// TestLanguageServerChecksWhatIsLoaded: a mistake in a file that is loaded stands there and, where it is called, in the script; if that
// file is not open, where it is loaded.
func TestLanguageServerChecksWhatIsLoaded(t *testing.T) {
	t.Parallel()
	const lib = "def twice(x):\n    return x + None\n"
	e := newLSPClientWith(t, map[string]string{"config.yaml": strings.Replace(lspConfig, "size: 10, siez: 1", "script: main", 1), "scripts/lib/a.star": lib}, nil)
	defer e.quit()
	const main = "load(\"lib/a.star\", \"twice\")\n\ntoken = config.secret(\"token\")\nx = twice(1)\n\ndef pull():\n    pass\n"
	e.open("scripts/main.star", main)
	e.untilTold("main.star", "4: unknown binary op: int + NoneType (")
	e.open("scripts/lib/a.star", lib)
	e.untilTold("a.star", "2: unknown binary op: int + NoneType")
	e.send(map[string]any{"method": "textDocument/didClose", "params": e.at("scripts/lib/a.star", lspPosition{})})
	put(t, filepath.Join(e.dir, "scripts/lib/a.star"), "twice = 1 // 0\n")
	e.change("scripts/main.star", main+"\n")
	e.untilTold("main.star", "1: floored division by zero (")
}

// TestLanguageServerChecksWithSettingsOfTests where no configuration has the script, or it cannot be read.
func TestLanguageServerChecksWithSettingsOfTests(t *testing.T) {
	t.Parallel()
	const test = "settings = {\"base\": \"https://api.example.com\", \"size\": 10}\n\ndef test_it(t):\n    t.pull()\n"
	e := newLSPClientWith(t, map[string]string{"scripts/mine_test.star": test}, nil)
	defer e.quit()
	e.open("scripts/mine.star", lspSettings+"\ndef pull():\n    pass\n")
	e.untilTold("mine.star", "2: mine_test.star: settings: size: got 10, want at most 9", "3: set token")
	put(t, filepath.Join(e.dir, "config.yaml"), "globals: {name: test, id: 1}\noutputs: [\n")
	e.open("scripts/mine_test.star", strings.Replace(test, "}", ", \"token\": \"x\"}", 1))
	e.untilTold("mine.star", "2: got 10, want")
	for !strings.Contains(e.log, "config.yaml is wrong, so scripts are loaded with the settings of their tests only") {
		e.receive()
	}
	e.change("scripts/mine_test.star", "settings = {}[1]\n\ndef test_it(t):\n    t.pull()\n")
	e.untilTold("mine_test.star", "1: key 1 not in dict")
	e.untilTold("mine.star")
}

// TestLanguageServerIsToldTheConfiguration by its flag and by an option of the client, which is stronger.
func TestLanguageServerIsToldTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options map[string]any
		args    []string
	}{
		"option":          {map[string]any{"config": "there/mine.yaml"}, nil},
		"flag":            {nil, []string{"--config", "there/mine.yaml"}},
		"option and flag": {map[string]any{"config": "there/mine.yaml"}, []string{"--config", "config.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newLSPClientWith(t, map[string]string{"config.yaml": lspConfig, "there/scripts/x.star": "",
				"there/mine.yaml": strings.Replace(lspConfig, "siez: 1", "token: y", 1)}, c.options, c.args...)
			defer e.quit()
			e.open("there/scripts/mine.star", lspSettings+"\ndef pull():\n    pass\n")
			e.untilTold("mine.star", "1: set base", "2: got 10, want")
		})
	}
}

// TestLanguageServerAnswersWhileScriptsLoad: a top level that runs for long ends when the text changes, and nobody waits for it.
func TestLanguageServerAnswersWhileScriptsLoad(t *testing.T) {
	t.Parallel()
	e := newLSPClientWith(t, map[string]string{"config.yaml": strings.Replace(lspConfig, "50000", "9000000000", 1), "scripts/mine.star": ""}, nil)
	defer e.quit()
	e.open("scripts/mine.star", "def f():\n    for i in range(1000000000):\n        pass\n\nf()\n\ndef pull():\n    pass\n")
	var symbols []any
	if e.ask("textDocument/documentSymbol", e.at("scripts/mine.star", lspPosition{}), &symbols); len(symbols) != 2 {
		t.Errorf("got %v", symbols)
	}
	e.change("scripts/mine.star", "x = 1 // 0\n")
	e.untilTold("mine.star", "1: floored division by zero")
}

// TestLanguageServerJumpsIntoTheProgram: built-in scripts and the stubs of builtins are copied out, read-only, and have no mistakes there.
func TestLanguageServerJumpsIntoTheProgram(t *testing.T) {
	t.Parallel()
	e := newLSPClient(t)
	defer e.quit()
	for i, c := range []struct{ text, file, line string }{
		{"load(\"lib/micro|soft.star\", \"default\")\n", "lib/microsoft.star", ""},
		{"load(\"lib/microsoft.star\", \"default\")\n\nx = de|fault(1)\n", "lib/microsoft.star", "def default("},
		{"x = checkpoint.win|dows\n", "stubs/checkpoint.star", "def windows("},
		{"x = check|point\n", "stubs/checkpoint.star", ""},
		{"x = fie|ld(\"a\")\n", "stubs/names.star", "def field("},
		{lspHead + "x = api.pa|ges(\"/x\")\n", "stubs/values/client.star", "def pages("},
		{lspHead + "x = api.pages(\"/x\", ne|xt = \"n\")\n", "stubs/values/client.star", "def pages("},
	} {
		name := fmt.Sprintf("jump%d.star", i)
		p := e.open(name, c.text)
		var there struct {
			URI   string
			Range lspRange
		}
		e.ask("textDocument/definition", e.at(name, p), &there)
		file := strings.TrimPrefix(there.URI, "file://")
		text, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(file, filepath.Join(e.dir, "cache/starling")) || !strings.HasSuffix(file, "/"+c.file) {
			t.Errorf("%q: got %s, %v, want %s", c.text, file, err, c.file)
			continue
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o222 != 0 {
			t.Errorf("%s is not read-only: %v, %v", file, info.Mode(), err)
		}
		if line := strings.Split(string(text), "\n")[there.Range.Start.Line]; c.line != "" && !strings.HasPrefix(line, c.line) {
			t.Errorf("%q: got line %s, want %s", c.text, line, c.line)
		}
		in, err := filepath.Rel(e.dir, file)
		if err != nil {
			t.Fatal(err)
		}
		e.open(in, string(text))
		e.ask("textDocument/documentSymbol", e.at(in, lspPosition{}), nil)
		if told := e.told[filepath.Base(file)]; len(told) > 0 {
			t.Errorf("%s: %v", file, told)
		}
	}
}
