package lsp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// FuzzWire: whatever a client writes, the server ends in order or with an error, and writes whole messages only.
func FuzzWire(f *testing.F) {
	for _, body := range []string{`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"rootUri":"file:///x","initializationOptions":{"config":"a"}}}`,
		`{"id":"x","method":"textDocument/hover","params":{"textDocument":{"uri":"a.star"},"position":{"line":-1,"character":99999999}}}`,
		`{"method":"textDocument/didOpen","params":{"textDocument":{"uri":"a.star","text":"x = 1"}}}`, `[1]`, `{{`} {
		f.Add(fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		Serve(strings.NewReader(text), &out, Options{Builtin: fstest.MapFS{}}) // the error is for a person
		answers(t, out.Bytes())
	})
}

// FuzzTyping: whatever a file holds and wherever the cursor is, everything can be asked for, and the places of diagnostics are in the text.
func FuzzTyping(f *testing.F) {
	f.Add("x = config.int(\"a\", default = 1)\n", 0, 12, "y = [", "load(\"b.star\", \"c\")\n")
	f.Add("api = http.client(\"https://a\")\n\ndef pull():\n    for page in api.pages(\"/x\", next = \"n\"):\n        page.\n", 4, 13, ")", "")
	f.Add("\U0001f600 = \"\r\"\ndef f(a, *b, **c): return a(b=c)[0]", -1, 1<<40, "\n", "\xff\xfe")
	f.Fuzz(func(t *testing.T, text string, line, character int, typed, other string) {
		var in, out bytes.Buffer
		id := 0
		send := func(method string, params map[string]any, answered bool) {
			m := map[string]any{"jsonrpc": "2.0", "method": method, "params": params}
			if answered {
				id++
				m["id"] = id
			}
			data, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&in, "Content-Length: %d\r\n\r\n%s", len(data), data)
		}
		at := map[string]any{"line": line, "character": character}
		send("initialize", nil, true)
		for i, text := range []string{text, other} {
			send("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": "file:///nowhere/" + "ab"[i:i+1] + ".star", "text": text}}, false)
		}
		ask := func() {
			for _, method := range slices.Sorted(maps.Keys(requests)) {
				send(method, map[string]any{"textDocument": map[string]any{"uri": "file:///nowhere/a.star"}, "position": at}, true)
			}
		}
		ask()
		send("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": "file:///nowhere/a.star", "version": 2},
			"contentChanges": []any{map[string]any{"range": map[string]any{"start": at, "end": map[string]any{"line": 1, "character": 1}}, "text": typed}}}, false)
		ask()
		send("shutdown", nil, true)
		send("exit", nil, false)
		orderly, err := Serve(&in, &out, Options{Builtin: fstest.MapFS{}})
		if err != nil || !orderly {
			t.Fatalf("ended with %v", err)
		}
		if got := answers(t, out.Bytes()); got != id {
			t.Errorf("%d answers to %d requests", got, id)
		}
	})
}

// answers reads what the server wrote, all of which must be messages, and counts the answers.
func answers(t *testing.T, written []byte) (n int) {
	t.Helper()
	for len(written) > 0 {
		var size int
		header, rest, _ := bytes.Cut(written, []byte("\r\n\r\n"))
		if _, err := fmt.Sscanf(string(header), "Content-Length: %d", &size); err != nil || size > len(rest) {
			t.Fatalf("no message: %q", written)
		}
		var m struct {
			ID     *json.RawMessage
			Params struct {
				Diagnostics []struct{ Range Range }
			}
		}
		if err := json.Unmarshal(rest[:size], &m); err != nil {
			t.Fatalf("%v in %s", err, rest[:size])
		}
		if m.ID != nil {
			n++
		}
		for _, d := range m.Params.Diagnostics {
			if from, to := d.Range.Start, d.Range.End; from.Line < 0 || from.Character < 0 || to.Line < from.Line || to.Line == from.Line && to.Character < from.Character {
				t.Errorf("a diagnostic is at %v", d.Range)
			}
		}
		written = rest[size:]
	}
	return n
}
