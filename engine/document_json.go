package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseJSON returns the tree of a JSON text, or nil if there is none. The YAML library
// does not read all of JSON: it stops at tabs, at surrogate pairs and at \/.
func parseJSON(data []byte, ps *problems) *node {
	r := jsonReader{decoder: json.NewDecoder(bytes.NewReader(data)), data: data, problems: ps, line: 1, col: 1}
	r.decoder.UseNumber()
	n, err := r.read("", 0)
	if errors.Is(err, io.EOF) && n == nil && len(bytes.TrimSpace(data)) == 0 {
		return &node{line: 1, col: 1}
	}
	if err == nil {
		at := r.next()
		if _, more := r.decoder.Token(); errors.Is(more, io.EOF) {
			return n
		}
		line, col := r.place(at)
		ps.add(line, col, "", "text after the end of the configuration; put one configuration into one file")
		return n
	}
	line, col := r.place(r.failure(err))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("unexpected end of the file")
	}
	ps.add(line, col, "", "%s (JSON)", strings.ReplaceAll(err.Error(), "\n", " "))
	return nil
}

type jsonReader struct {
	decoder  *json.Decoder
	data     []byte
	problems *problems
	nodes    int

	at        int64 // how far place has counted
	line, col int
}

var errTooMuch = fmt.Errorf("more than %d values or nested more than %d deep", maxConfigNodes, maxConfigDepth)

func (r *jsonReader) read(path string, depth int) (*node, error) {
	n := &node{}
	n.line, n.col = r.place(r.next())
	if r.nodes++; r.nodes > maxConfigNodes || depth > maxConfigDepth {
		return nil, errTooMuch
	}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			n.kind = mappingNode
			return n, r.mapping(n, path, depth)
		}
		n.kind = listNode
		return n, r.list(n, path, depth)
	case json.Number:
		n.text = token.String()
		n.value = r.problems.resolve(n, path)
	case string:
		// JSON has no plain texts, so ${NAME} alone in quotes is how a number comes from the environment.
		n.text, n.value, n.plain = token, token, true
	case bool:
		n.text, n.value = strconv.FormatBool(token), token
	}
	return n, nil
}

func (r *jsonReader) mapping(n *node, path string, depth int) error {
	lines := map[string]int{}
	for r.decoder.More() {
		line, col := r.place(r.next())
		token, err := r.decoder.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		value, err := r.read(join(path, key), depth+1)
		if err != nil {
			return err
		}
		r.problems.insert(n, entry{key, line, col, value}, lines, path)
	}
	_, err := r.decoder.Token()
	return err
}

func (r *jsonReader) list(n *node, path string, depth int) error {
	for r.decoder.More() {
		item, err := r.read(fmt.Sprintf("%s[%d]", path, len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := r.decoder.Token()
	return err
}

// next returns the offset at which the next token begins.
func (r *jsonReader) next() int64 {
	at := r.decoder.InputOffset()
	for at < int64(len(r.data)) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	return at
}

func (r *jsonReader) failure(err error) int64 {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return e.Offset
	}
	return r.next()
}

// place turns an offset, which must not be before the last one, into a line and a column, in
// characters, both from 1.
func (r *jsonReader) place(offset int64) (line, col int) {
	for ; r.at < min(offset, int64(len(r.data))); r.at++ {
		switch {
		case r.data[r.at] == '\n':
			r.line, r.col = r.line+1, 1
		case utf8.RuneStart(r.data[r.at]):
			r.col++
		}
	}
	return r.line, r.col
}
