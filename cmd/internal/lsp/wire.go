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
	"strconv"
	"strings"
)

// Bounds of one message: of its content, in bytes, and of its header, in lines.
const (
	maxMessage = 16 << 20
	maxFields  = 20
)

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

func (e *rpcError) Error() string { return e.Message }

// unreadable is the answer to what cannot be read: nobody knows its id.
func unreadable(err *rpcError) message {
	id := json.RawMessage("null")
	return message{ID: &id, Error: err}
}

// Codes of JSON-RPC and of the protocol.
const (
	parseError     = -32700
	invalidParams  = -32602
	methodNotFound = -32601
	notInitialized = -32002
	invalidRequest = -32600
)

// read reads one message. A content that is no message is an *rpcError, which the connection survives.
func read(r *bufio.Reader) (message, error) {
	n, err := contentLength(r)
	if err != nil {
		return message{}, err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return message{}, err
	}
	var m message
	switch err := json.Unmarshal(data, &m); {
	case err == nil:
		return m, nil
	case json.Valid(data):
		return message{}, &rpcError{invalidRequest, "the message is no request, response or notification: " + err.Error()}
	}
	return message{}, &rpcError{parseError, "the message is no JSON"}
}

// contentLength reads a header, up to the empty line that ends it, and returns how long the message is. Other fields mean nothing.
func contentLength(r *bufio.Reader) (int, error) {
	length := ""
	for n := range maxFields {
		line, err := r.ReadSlice('\n') // of a bounded length
		text := strings.TrimSpace(string(line))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return 0, fmt.Errorf("a line of a header is longer than %d bytes", r.Size())
		case errors.Is(err, io.EOF) && (n > 0 || text != ""):
			return 0, io.ErrUnexpectedEOF
		case err != nil:
			return 0, err
		case text == "":
			n, err := strconv.Atoi(length)
			if err != nil || n < 0 || n > maxMessage {
				return 0, fmt.Errorf("Content-Length: got %q, want a number up to %d", length, maxMessage)
			}
			return n, nil
		}
		if name, value, _ := strings.Cut(text, ":"); strings.EqualFold(name, "Content-Length") {
			length = strings.TrimSpace(value)
		}
	}
	return 0, fmt.Errorf("a header has more than %d lines", maxFields)
}

// write writes one message.
func write(w io.Writer, m message) error {
	m.Version = "2.0"
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "Content-Length: %d\r\n\r\n%s", len(data), data)
	return err
}
