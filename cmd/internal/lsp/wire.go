// Package lsp is a server of the Language Server Protocol for scripts, over standard input and output: what
// check and lint find, completion, hover, signatures, definitions, formatting and symbols. The protocol's
// framing and the few of its messages that are needed are written here: that is less than a library of the
// whole protocol would bring along.
package lsp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"sync"
)

// maxMessage bounds one message.
const maxMessage = 16 << 20

// A message is a request, a response or a notification of JSON-RPC 2.0.
type message struct {
	Version string           `json:"jsonrpc"`
	ID      *json.RawMessage `json:"id,omitempty"`
	Method  string           `json:"method,omitempty"`
	Params  json.RawMessage  `json:"params,omitempty"`
	Result  any              `json:"result,omitempty"`
	Error   *rpcError        `json:"error,omitempty"`
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Codes of JSON-RPC and of the protocol.
const (
	parseError     = -32700
	invalidParams  = -32602
	methodNotFound = -32601
	notInitialized = -32002
	invalidRequest = -32600
)

// read reads one message. What is no JSON is an error that the connection survives.
func read(r *bufio.Reader) (message, error) {
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return message{}, err
	}
	n, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil || n < 0 || n > maxMessage {
		return message{}, fmt.Errorf("Content-Length: got %q, want a number up to %d", header.Get("Content-Length"), maxMessage)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return message{}, err
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, errNoJSON
	}
	return m, nil
}

var errNoJSON = errors.New("the message is no JSON")

// A writer writes messages, one at a time.
type writer struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *writer) write(m message) error {
	m.Version = "2.0"
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = fmt.Fprintf(w.w, "Content-Length: %d\r\n\r\n%s", len(data), data)
	return err
}
