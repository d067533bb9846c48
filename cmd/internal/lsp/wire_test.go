package lsp

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/fstest"
)

// served returns what the server answers to what a client has written, and how it ends.
func served(text string) (string, bool, error) {
	var out bytes.Buffer
	orderly, err := Serve(strings.NewReader(text), &out, Options{Builtin: fstest.MapFS{}})
	return out.String(), orderly, err
}

// TestUnreadableMessagesAreAnswered with the id null, as nobody can know theirs; the next one is read.
func TestUnreadableMessagesAreAnswered(t *testing.T) {
	t.Parallel()
	const exit = "Content-Length: 33\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"exit\"}"
	for text, want := range map[string]string{
		"content-length:3\r\n\r\n{{{":                                 `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the message is no JSON"}}`,
		"Content-Type: x\r\nContent-Length: 12\r\n\r\n[{\"id\": 17}]": `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the message is no request`,
	} {
		got, _, err := served(text + exit)
		if _, body, _ := strings.Cut(got, "\r\n\r\n"); err != nil || !strings.HasPrefix(body, want) {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}

// TestHeadersAreBounded: what is no header ends the connection before it fills the memory.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   io.Reader
		want string
	}{
		"a line without an end": {endless("x"), "a line of a header is longer than 4096 bytes"},
		"fields without an end": {endless("a: b\r\n"), "a header has more than 20 lines"},
		"no length":             {strings.NewReader("a: b\r\n\r\n"), `Content-Length: got "", want a number up to 16777216`},
		"too long":              {strings.NewReader("Content-Length: 16777217\r\n\r\n"), `Content-Length: got "16777217", want a number up to 16777216`},
		"cut off":               {strings.NewReader("Content-Length: 1"), "unexpected EOF"},
	} {
		if _, err := Serve(c.in, io.Discard, Options{Builtin: fstest.MapFS{}}); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// endless is a text that comes again and again.
type endless string

func (e endless) Read(p []byte) (int, error) { return copy(p, e), nil }
