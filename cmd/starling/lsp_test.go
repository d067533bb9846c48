package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An lspClient speaks to the real program, as an editor does.
type lspClient struct {
	t    *testing.T
	in   io.WriteCloser
	out  *bufio.Reader
	wait func() error
	dir  string
	id   int
	told map[string][]lspDiagnostic // by file
	log  string
}

type lspPosition struct{ Line, Character int }

type lspRange struct{ Start, End lspPosition }

type lspDiagnostic struct {
	Code     string
	Message  string
	Severity int
	Range    lspRange
}

func newLSPClient(t *testing.T) *lspClient { return newLSPClientWith(t, nil, nil) }

// newLSPClientWith starts the program in the client's folder, in which files are, with an initialization option for each of options.
func newLSPClientWith(t *testing.T, files map[string]string, options map[string]any, args ...string) *lspClient {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	c := exec.CommandContext(t.Context(), "starling", append([]string{"lsp"}, args...)...)
	c.Stderr, c.Dir, c.Env = os.Stderr, dir, append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	e := &lspClient{t: t, in: in, out: bufio.NewReader(out), wait: c.Wait, dir: dir, told: map[string][]lspDiagnostic{}}
	e.ask("initialize", map[string]any{"capabilities": map[string]any{}, "rootUri": "file://" + dir, "initializationOptions": options}, nil)
	e.send(map[string]any{"method": "initialized", "params": map[string]any{}})
	return e
}

func (e *lspClient) send(m map[string]any) {
	e.t.Helper()
	m["jsonrpc"] = "2.0"
	data, err := json.Marshal(m)
	if err != nil {
		e.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(e.in, "Content-Length: %d\r\n\r\n%s", len(data), data); err != nil {
		e.t.Fatal(err)
	}
}

type lspMessage struct {
	ID     *int
	Method string
	Params struct {
		URI         string
		Diagnostics []lspDiagnostic
		Message     string
	}
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
}

func (e *lspClient) receive() lspMessage {
	e.t.Helper()
	header, err := textproto.NewReader(e.out).ReadMIMEHeader()
	if err != nil {
		e.t.Fatalf("%v; told so far: %+v %s", err, e.told, e.log)
	}
	n, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil {
		e.t.Fatal(err)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(e.out, data); err != nil {
		e.t.Fatal(err)
	}
	var m lspMessage
	if err := json.Unmarshal(data, &m); err != nil {
		e.t.Fatalf("%v in %s", err, data)
	}
	if m.Method == "textDocument/publishDiagnostics" {
		e.told[filepath.Base(m.Params.URI)] = m.Params.Diagnostics
	}
	if m.Method == "window/logMessage" {
		e.log += m.Params.Message + "\n"
	}
	return m
}

// ask sends a request and reads up to its answer.
func (e *lspClient) ask(method string, params any, result any) lspMessage {
	e.t.Helper()
	e.id++
	e.send(map[string]any{"id": e.id, "method": method, "params": params})
	for {
		m := e.receive()
		if m.ID == nil || *m.ID != e.id {
			continue
		}
		if result != nil {
			if m.Error != nil {
				e.t.Fatalf("%s: %s", method, m.Error.Message)
			}
			if err := json.Unmarshal(m.Result, result); err != nil {
				e.t.Fatalf("%s: %v in %s", method, err, m.Result)
			}
		}
		return m
	}
}

func (e *lspClient) uri(name string) string { return "file://" + filepath.Join(e.dir, name) }

// open opens a file with a text, which is not on disk, and returns where the mark | was in it.
func (e *lspClient) open(name, text string) lspPosition {
	e.t.Helper()
	before, after, marked := strings.Cut(text, "|")
	e.send(map[string]any{"method": "textDocument/didOpen", "params": map[string]any{
		"textDocument": map[string]any{"uri": e.uri(name), "languageId": "starlark", "version": 1, "text": before + after}}})
	if !marked {
		return lspPosition{}
	}
	return lspPosition{strings.Count(before, "\n"), utf16Length(before[strings.LastIndex(before, "\n")+1:])}
}

func utf16Length(text string) (n int) {
	for _, r := range text {
		if n++; r > 0xffff {
			n++
		}
	}
	return n
}

func (e *lspClient) at(name string, p lspPosition) map[string]any {
	return map[string]any{"textDocument": map[string]any{"uri": e.uri(name)}, "position": map[string]any{"line": p.Line, "character": p.Character}}
}

func (e *lspClient) quit() {
	e.t.Helper()
	e.ask("shutdown", nil, nil)
	e.send(map[string]any{"method": "exit"})
	if err := e.wait(); err != nil {
		e.t.Error(err)
	}
}

const lspHead = "table = devo.table(\"my.app.x\")\napi = http.client(\"https://api.example.com\")\n"

func TestLanguageServerCompletes(t *testing.T) {
	t.Parallel()
	e := newLSPClient(t)
	defer e.quit()
	for i, c := range []struct {
		text      string
		want, not []string
	}{
		{"x = checkpoint.|\n", []string{"commit", "windows"}, []string{"get_or_set", "len", "api"}},
		{lspHead + "\ndef pull():\n    for page in api.pages(\"/x\", next = \"n\"):\n        page.|\n", []string{"json", "error", "status"}, []string{"pages"}},
		{lspHead + "\ndef pull():\n    devo.send(table, api.|\n\ndef more():\n    pass\n", []string{"get", "pages", "post"}, []string{"json"}},
		{lspHead + "\ndef pull():\n    api.pages(\"/x\", |)\n", []string{"next =", "params =", "table", "checkpoint", "len"}, nil},
		{"def f(alpha, beta = 1):\n    gamma = 1\n    return |\n", []string{"alpha", "beta", "gamma", "f"}, []string{"next ="}},
		{"def f(alpha):\n    return alpha\n\nx = f(|)\n", []string{"alpha ="}, []string{"alpha"}},
		{"x = \"😀\".|\n", []string{"upper", "split"}, []string{"checkpoint"}},
	} {
		name := fmt.Sprintf("complete%d.star", i)
		p := e.open(name, c.text)
		var items []struct{ Label string }
		e.ask("textDocument/completion", e.at(name, p), &items)
		got := map[string]bool{}
		for _, item := range items {
			got[item.Label] = true
		}
		for _, want := range c.want {
			if !got[want] {
				t.Errorf("%q: no %s among %v", c.text, want, items)
			}
		}
		for _, not := range c.not {
			if got[not] {
				t.Errorf("%q: %s is offered", c.text, not)
			}
		}
	}
}

func TestLanguageServerTellsMistakes(t *testing.T) {
	t.Parallel()
	e := newLSPClient(t)
	defer e.quit()
	e.open("a.star", lspHead+"s = \"😀\" + checkpoint.comit\n\ndef pull():\n    devo.send(tabel, [])\n")
	e.ask("textDocument/documentSymbol", e.at("a.star", lspPosition{}), nil) // what comes before its answer is there then
	var seen []string
	for _, d := range e.told["a.star"] {
		seen = append(seen, fmt.Sprintf("%d:%d-%d %s", d.Range.Start.Line, d.Range.Start.Character, d.Range.End.Character, d.Code))
	}
	for _, want := range []string{"2:22-27 unknown-member", "5:14-15 undefined", "4:4-8 missing-test"} {
		if !strings.Contains(strings.Join(seen, "\n"), want) {
			t.Errorf("got %q, want %s", seen, want)
		}
	}
	// The client mends it without saving: only that part of the text is sent.
	e.send(map[string]any{"method": "textDocument/didChange", "params": map[string]any{"textDocument": map[string]any{"uri": e.uri("a.star"), "version": 2},
		"contentChanges": []any{map[string]any{"range": lspRangeJSON(2, 22, 2, 27), "text": "commit"}, map[string]any{"range": lspRangeJSON(5, 14, 5, 19), "text": "table"}}}})
	e.ask("textDocument/documentSymbol", e.at("a.star", lspPosition{}), nil)
	for _, d := range e.told["a.star"] {
		if d.Code == "unknown-member" || d.Code == "undefined" {
			t.Errorf("still told: %+v", d)
		}
	}
}

func lspRangeJSON(l1, c1, l2, c2 int) any {
	return map[string]any{"start": map[string]any{"line": l1, "character": c1}, "end": map[string]any{"line": l2, "character": c2}}
}

func TestLanguageServerExplains(t *testing.T) {
	t.Parallel()
	e := newLSPClient(t)
	defer e.quit()
	for i, c := range []struct{ text, want string }{
		{"x = checkpoint.win|dows\n", "The time ranges to ask for"},
		{"x = check|point\n", "The durable place of cursors"},
		{lspHead + "y = api.pages(\"/x\", ne|xt = \"n\")\n", "how to find the next page"},
		{"def f(a):\n    \"\"\"Does it.\"\"\"\n\nf|(1)\n", "Does it."},
		{lspHead + "a|pi\n", "client"},
	} {
		name := fmt.Sprintf("hover%d.star", i)
		p := e.open(name, c.text)
		var hover struct{ Contents struct{ Value string } }
		e.ask("textDocument/hover", e.at(name, p), &hover)
		if !strings.Contains(hover.Contents.Value, c.want) {
			t.Errorf("%q: got %q, want %q in it", c.text, hover.Contents.Value, c.want)
		}
	}
	for i, c := range []struct {
		text, label string
		active      int
	}{
		{lspHead + "x = api.get(|)\n", "client.get(path", 0},
		{lspHead + "x = api.get(\"/x\", params = |\n", "client.get(path", 1},
		{"def f(a, b = 2):\n    pass\n\nf(1, |)\n", "f(a, b = 2)", 1},
	} {
		name := fmt.Sprintf("signature%d.star", i)
		p := e.open(name, c.text)
		var help struct {
			ActiveParameter int
			Signatures      []struct{ Label string }
		}
		e.ask("textDocument/signatureHelp", e.at(name, p), &help)
		if len(help.Signatures) != 1 || !strings.HasPrefix(help.Signatures[0].Label, c.label) || help.ActiveParameter != c.active {
			t.Errorf("%q: got %+v, want %s and argument %d", c.text, help, c.label, c.active)
		}
	}
}

func TestLanguageServerFollowsLoads(t *testing.T) {
	t.Parallel()
	e := newLSPClient(t)
	defer e.quit()
	put(t, filepath.Join(e.dir, "lib/names.star"), "def old():\n    pass\n")
	e.open("lib/names.star", "# not saved\n\ndef clean(text):\n    return text\n")
	p := e.open("main.star", "load(\"lib/names.star\", \"clean\")\n\nx = cl|ean(1)\n")
	var there struct {
		URI   string
		Range lspRange
	}
	e.ask("textDocument/definition", e.at("main.star", p), &there)
	if there.URI != e.uri("lib/names.star") || there.Range.Start != (lspPosition{2, 4}) {
		t.Errorf("got %+v", there)
	}
	e.ask("textDocument/definition", e.at("main.star", lspPosition{0, 10}), &there)
	if there.URI != e.uri("lib/names.star") || there.Range.Start != (lspPosition{}) {
		t.Errorf("the file itself: got %+v", there)
	}
}

func TestLanguageServerFormatsAndLists(t *testing.T) {
	t.Parallel()
	e := newLSPClient(t)
	defer e.quit()
	e.open("f.star", "x=1\ndef f( a ):\n  return a\n")
	var edits []struct {
		Range   lspRange
		NewText string
	}
	e.ask("textDocument/formatting", e.at("f.star", lspPosition{}), &edits)
	if len(edits) != 1 || edits[0].NewText != "x = 1\n\ndef f(a):\n    return a\n" || edits[0].Range.End != (lspPosition{3, 0}) {
		t.Errorf("got %+v", edits)
	}
	var symbols []struct {
		Name string
		Kind int
	}
	e.ask("textDocument/documentSymbol", e.at("f.star", lspPosition{}), &symbols)
	if fmt.Sprint(symbols) != "[{x 13} {f 12}]" {
		t.Errorf("got %v", symbols)
	}
}

// TestLanguageServerSurvivesNonsense: what makes no sense is an error, and the next request is answered.
func TestLanguageServerSurvivesNonsense(t *testing.T) {
	t.Parallel()
	e := newLSPClient(t)
	defer e.quit()
	fmt.Fprintf(e.in, "Content-Length: 3\r\n\r\n{{{")
	if m := e.receive(); m.Error == nil || m.Error.Code != -32700 {
		t.Errorf("got %+v", m)
	}
	if m := e.ask("nonsense/nothing", map[string]any{}, nil); m.Error == nil || m.Error.Code != -32601 {
		t.Errorf("got %+v", m)
	}
	if m := e.ask("textDocument/hover", e.at("nowhere.star", lspPosition{}), nil); m.Error == nil {
		t.Error("a file that is not open has a hover")
	}
	e.open("n.star", "def (((\n")
	var items []struct{ Label string }
	e.ask("textDocument/completion", e.at("n.star", lspPosition{99, 99}), &items)
	began := time.Now()
	e.ask("textDocument/hover", e.at("n.star", lspPosition{0, 500}), nil)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
