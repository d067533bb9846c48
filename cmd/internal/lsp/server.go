package lsp

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"starling/cmd/internal/source"
)

// Options are what a server takes from outside.
type Options struct {
	// Builtin are the scripts inside of the program.
	Builtin fs.FS
	// Check loads the scripts that are open; nil: none does.
	Check Check
	// Cache is a folder, which need not be there, for copies of files inside of the program to jump to; "": there are no such jumps.
	Cache string
}

// Serve answers a client until it says exit or the input ends. It reports whether the client had shut it down first, as it should.
func Serve(in io.Reader, out io.Writer, o Options) (orderly bool, err error) {
	s := &server{out: out, builtin: o.Builtin, cache: o.Cache, open: map[string]*document{}, checker: newChecker(o.Check)}
	defer s.end()
	r := bufio.NewReader(in)
	for {
		m, err := read(r)
		over, err := s.next(m, err)
		if over || err != nil {
			return s.down && err == nil, err
		}
	}
}

// next answers what was read. It reports whether it was the last.
func (s *server) next(m message, err error) (over bool, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mistake, survives := errors.AsType[*rpcError](err)
	switch {
	case survives:
		return false, write(s.out, unreadable(mistake))
	case errors.Is(err, io.EOF):
		return true, nil
	case err != nil:
		return true, err
	case m.Method == "exit":
		return true, nil
	}
	return false, s.handle(m)
}

// A document is a file that the client has open.
type document struct {
	uri     string
	file    string // on disk
	text    []byte
	version int
}

type server struct {
	builtin fs.FS
	cache   string

	mu      sync.Mutex // guards all below: checks write too
	out     io.Writer
	checker *checker
	open    map[string]*document // by URI
	started bool
	down    bool
}

// handle answers one message; an error is one of the connection.
func (s *server) handle(m message) error {
	if m.Method == "" {
		return nil // a response: we ask nothing
	}
	result, rpcErr := s.call(m)
	if m.ID == nil {
		return nil
	}
	if rpcErr != nil {
		return write(s.out, message{ID: m.ID, Error: rpcErr})
	}
	if result == nil {
		result = json.RawMessage("null")
	}
	return write(s.out, message{ID: m.ID, Result: result})
}

func (s *server) call(m message) (any, *rpcError) {
	switch {
	case m.Method == "initialize":
		s.started = true
		s.initialize(m.Params)
		return initialized(), nil
	case !s.started && m.ID != nil:
		return nil, &rpcError{notInitialized, "initialize comes first"}
	case s.down && m.ID != nil:
		return nil, &rpcError{invalidRequest, "the server is shut down"}
	case m.Method == "shutdown":
		s.down = true
		return nil, nil
	}
	if f, ok := notifications[m.Method]; ok {
		return nil, f(s, m.Params)
	}
	f, ok := requests[m.Method]
	if !ok {
		if strings.HasPrefix(m.Method, "$/") || m.ID == nil {
			return nil, nil
		}
		return nil, &rpcError{methodNotFound, "there is no method " + m.Method}
	}
	var p positionParams
	if err := json.Unmarshal(m.Params, &p); err != nil {
		return nil, &rpcError{invalidParams, err.Error()}
	}
	d, ok := s.open[p.TextDocument.URI]
	if !ok {
		return nil, &rpcError{invalidParams, p.TextDocument.URI + " is not open"}
	}
	return f(s, d, p.Position), nil
}

func initialized() any {
	return map[string]any{
		"serverInfo": map[string]any{"name": "starling"},
		"capabilities": map[string]any{
			"positionEncoding":           "utf-16",
			"textDocumentSync":           map[string]any{"openClose": true, "change": 2},
			"completionProvider":         map[string]any{"triggerCharacters": []string{".", "("}},
			"hoverProvider":              true,
			"signatureHelpProvider":      map[string]any{"triggerCharacters": []string{"(", ","}},
			"definitionProvider":         true,
			"documentFormattingProvider": true,
			"documentSymbolProvider":     true,
		},
	}
}

type positionParams struct {
	TextDocument struct {
		URI string `json:"uri"`
	} `json:"textDocument"`
	Position Position `json:"position"`
}

// requests are about a document, and most about a place in it.
var requests = map[string]func(*server, *document, Position) any{
	"textDocument/completion":     (*server).completion,
	"textDocument/hover":          (*server).hover,
	"textDocument/signatureHelp":  (*server).signatureHelp,
	"textDocument/definition":     (*server).definition,
	"textDocument/formatting":     (*server).formatting,
	"textDocument/documentSymbol": (*server).symbols,
}

var notifications = map[string]func(*server, json.RawMessage) *rpcError{
	"textDocument/didOpen":   (*server).didOpen,
	"textDocument/didChange": (*server).didChange,
	"textDocument/didClose":  (*server).didClose,
	"textDocument/didSave":   func(*server, json.RawMessage) *rpcError { return nil },
}

func (s *server) didOpen(data json.RawMessage) *rpcError {
	var p struct {
		TextDocument struct {
			URI     string `json:"uri"`
			Version int    `json:"version"`
			Text    string `json:"text"`
		} `json:"textDocument"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return &rpcError{invalidParams, err.Error()}
	}
	d := &document{uri: p.TextDocument.URI, file: fileOf(p.TextDocument.URI), text: []byte(p.TextDocument.Text), version: p.TextDocument.Version}
	s.open[d.uri] = d
	s.publishAll()
	return nil
}

func (s *server) didChange(data json.RawMessage) *rpcError {
	var p struct {
		TextDocument struct {
			URI     string `json:"uri"`
			Version int    `json:"version"`
		} `json:"textDocument"`
		ContentChanges []struct {
			Range *Range `json:"range"`
			Text  string `json:"text"`
		} `json:"contentChanges"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return &rpcError{invalidParams, err.Error()}
	}
	d, ok := s.open[p.TextDocument.URI]
	if !ok {
		return &rpcError{invalidParams, p.TextDocument.URI + " is not open"}
	}
	for _, c := range p.ContentChanges {
		if c.Range == nil {
			d.text = []byte(c.Text)
			continue
		}
		from, to := offset(d.text, c.Range.Start), offset(d.text, c.Range.End)
		d.text = []byte(string(d.text[:from]) + c.Text + string(d.text[max(from, to):]))
	}
	d.version = p.TextDocument.Version
	s.publishAll()
	return nil
}

func (s *server) didClose(data json.RawMessage) *rpcError {
	var p positionParams
	if err := json.Unmarshal(data, &p); err != nil {
		return &rpcError{invalidParams, err.Error()}
	}
	delete(s.open, p.TextDocument.URI)
	s.notify("textDocument/publishDiagnostics", map[string]any{"uri": p.TextDocument.URI, "diagnostics": []any{}})
	s.publishAll()
	return nil
}

func (s *server) notify(method string, params any) {
	data, err := json.Marshal(params)
	if err == nil {
		write(s.out, message{Method: method, Params: data})
	}
}

// publishAll tells what is wrong with every open file: a change of one may concern those that load it. What loading them finds comes later.
func (s *server) publishAll() {
	for _, d := range s.open {
		s.publish(d)
	}
	s.recheck()
}

func (s *server) publish(d *document) {
	s.notify("textDocument/publishDiagnostics", map[string]any{"uri": d.uri, "version": d.version, "diagnostics": s.diagnostics(d)})
}

// reader returns a reader of the folder that a document is in, in which open files are as the client has them, and the document's name there.
func (s *server) reader(d *document) (r *source.Reader, root, name string) {
	root, name = source.Root(d.file, d.text, s.builtin)
	r, err := source.NewReader(s.texts(root))
	if err != nil { // the stubs are part of the program, and a test reads them
		panic(err)
	}
	return r, root, name
}

func (s *server) texts(root string) func(string) ([]byte, bool) {
	disk := source.Folder(root, s.builtin)
	return func(name string) ([]byte, bool) {
		file := filepath.Join(root, filepath.FromSlash(path.Clean(name)))
		if d := s.openFile(file); d != nil {
			return d.text, true
		}
		return disk(name)
	}
}

// read returns the document as it is read by the rest.
func (s *server) read(d *document) *source.File {
	r, _, _ := s.reader(d)
	return r.Read(d.file, d.text)
}

// fileOf returns the file that a URI names.
func fileOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" {
		return uri
	}
	name := u.Path
	if len(name) > 2 && name[0] == '/' && name[2] == ':' { // file:///c:/x
		name = name[1:]
	}
	return filepath.FromSlash(name)
}

func uriOf(file string) string {
	name := filepath.ToSlash(file)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	return (&url.URL{Scheme: "file", Path: name}).String()
}
