package lsp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/builtins"
	"starling/cmd/internal/docs"
	"starling/cmd/internal/source"
)

// inFile returns a place in a file of a folder, or in the built-in one, if it is there; the start of the file without a name.
func (s *server) inFile(root, name string, text []byte, id *syntax.Ident) any {
	file := filepath.Join(root, filepath.FromSlash(name))
	uri := uriOf(file)
	if i := s.openFile(file); i != nil {
		uri = i.uri
	} else if _, err := os.Stat(file); err != nil {
		copied := s.ofScript(name)
		if copied == "" {
			return nil
		}
		uri = uriOf(copied)
	}
	if id == nil {
		return Location{URI: uri}
	}
	return Location{uri, rangeOf(text, id)}
}

func (s *server) openFile(file string) *document {
	for _, d := range s.open {
		if d.file == file {
			return d
		}
	}
	return nil
}

// standIn is the name that is put where a person is typing, so that what is not finished parses.
const standIn = "starling_is_typed_here"

// mended returns the document with a name at the cursor; if that does not parse, the rest of the line is left out and brackets are closed.
func (s *server) mended(d *document, p Position) *source.File {
	r, _, _ := s.reader(d)
	i := offset(d.text, p)
	before, after := string(d.text[:i]), string(d.text[i:])
	rest, below := after, ""
	if n := strings.IndexByte(after, '\n'); n >= 0 {
		rest, below = after[:n], after[n:]
	}
	closers := open(before[strings.LastIndexByte(before, '\n')+1:])
	for _, text := range []string{
		before + after,
		before + standIn + after,
		before + standIn + closers + below,
		before + standIn + closers + ":\n        pass" + below,
		before + standIn + closers + rest + below,
	} {
		if f := r.Read(d.file, []byte(text)); f.Tree != nil && (strings.Contains(text, standIn) || !typing(before)) {
			return f
		}
	}
	return r.Read(d.file, d.text)
}

// typing reports whether something must follow what stands before the cursor.
func typing(before string) bool {
	line := strings.TrimRight(before[strings.LastIndexByte(before, '\n')+1:], " \t")
	return line == "" || strings.ContainsAny(line[len(line)-1:], ".(,=[{:+-*/%<>|&")
}

// open returns what closes the brackets that a line leaves open, and its text.
func open(line string) string {
	var stack []byte
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#':
			i = len(line)
		case strings.IndexByte("([{", c) >= 0:
			stack = append(stack, ")]}"[strings.IndexByte("([{", c)])
		case strings.IndexByte(")]}", c) >= 0 && len(stack) > 0:
			stack = stack[:len(stack)-1]
		}
	}
	slices.Reverse(stack)
	return string(stack)
}

// Kinds of completions.
const (
	kindMethod   = 2
	kindFunction = 3
	kindVariable = 6
	kindModule   = 9
	kindProperty = 10
	kindKeyword  = 14
	kindConstant = 21
)

type item struct {
	Label         string `json:"label"`
	Kind          int    `json:"kind"`
	Detail        string `json:"detail,omitempty"`
	Documentation any    `json:"documentation,omitempty"`
	InsertText    string `json:"insertText,omitempty"`
	SortText      string `json:"sortText,omitempty"`
}

func markdown(text string) any { return map[string]any{"kind": "markdown", "value": text} }

func (s *server) completion(d *document, p Position) any {
	f := s.mended(d, p)
	if dot := at(f, d, p, func(dot *syntax.DotExpr) (syntax.Position, syntax.Position) {
		_, end := dot.Name.Span()
		return dot.NamePos, end
	}); dot != nil {
		return members(f, dot)
	}
	items := []item{}
	if call := callAt(f, d, p); call != nil {
		items = append(items, argumentsOf(f, call)...)
	}
	return append(items, names(f, p)...)
}

func members(f *source.File, dot *syntax.DotExpr) []item {
	items := []item{}
	kind := f.Kind(dot.X)
	if stub := f.StubOf(kind); stub != nil {
		for _, m := range stub.Members {
			items = append(items, ofMember(strings.TrimPrefix(kind, "module "), m))
		}
		return items
	}
	for _, name := range source.OwnMembers(kind) {
		items = append(items, item{Label: name, Kind: kindMethod})
	}
	return items
}

func ofMember(owner string, m builtins.StubMember) item {
	e := docs.OfMember(owner+"."+m.Name, docs.Modules, m)
	kind := kindProperty
	if m.Function() {
		kind = kindFunction
	}
	return item{Label: m.Name, Kind: kind, Detail: m.Name + m.Signature, Documentation: markdown(e.Body(true))}
}

// callAt returns the innermost call in whose brackets a position is.
func callAt(f *source.File, d *document, p Position) *syntax.CallExpr {
	return at(f, d, p, func(c *syntax.CallExpr) (syntax.Position, syntax.Position) {
		from := c.Lparen
		from.Col++
		return from, c.Rparen
	})
}

func argumentsOf(f *source.File, call *syntax.CallExpr) []item {
	var items []item
	add := func(name, doc string) {
		for _, arg := range call.Args {
			if kv, ok := arg.(*syntax.BinaryExpr); ok && kv.Op == syntax.EQ && kv.X.(*syntax.Ident).Name == name {
				return
			}
		}
		items = append(items, item{Label: name + " =", Kind: kindProperty, InsertText: name + " = ", Documentation: markdown(doc), SortText: "0" + name})
	}
	if _, m := f.Callee(call); m != nil {
		for _, a := range m.Arguments {
			if a.Prefix == "" {
				add(a.Name, a.Doc)
			}
		}
		return items
	}
	if id, ok := call.Fn.(*syntax.Ident); ok {
		if def, _ := f.Function(id); def != nil {
			for _, p := range def.Params {
				if name := source.ParamName(p); name != nil {
					if _, star := p.(*syntax.UnaryExpr); !star {
						add(name.Name, "")
					}
				}
			}
		}
	}
	return items
}

var keywords = []string{"and", "break", "continue", "def", "elif", "else", "for", "if", "in", "lambda", "load", "not", "or", "pass", "return", "True", "False", "None"}

// names returns all names that can be used at a place.
func names(f *source.File, p Position) []item {
	items := []item{}
	for v, defs := range f.Defs {
		if v.Name != standIn && visible(f, defs[0], p) {
			kind := kindVariable
			if f.Kind(v) == "function" {
				kind = kindFunction
			}
			items = append(items, item{Label: v.Name, Kind: kind, Detail: f.Kind(v)})
		}
	}
	for name := range builtins.All() {
		if m := source.Member(f.Stub("names"), name); m != nil {
			items = append(items, ofMember("", *m))
		} else if stub := f.Stub(name); stub != nil {
			items = append(items, item{Label: name, Kind: kindModule, Documentation: markdown(stub.Doc)})
		}
	}
	for name := range starlark.Universe {
		if name != "True" && name != "False" && name != "None" {
			items = append(items, item{Label: name, Kind: kindFunction})
		}
	}
	for _, k := range keywords {
		items = append(items, item{Label: k, Kind: kindKeyword})
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.Label, b.Label) })
	return slices.CompactFunc(items, func(a, b item) bool { return a.Label == b.Label })
}

// visible reports whether a variable is one of the file, or of a function that a place is in.
func visible(f *source.File, d source.Definition, p Position) bool {
	var n syntax.Node = d.Ident
	for n = f.Parents[n]; n != nil; n = f.Parents[n] {
		switch n.(type) {
		case *syntax.DefStmt, *syntax.LambdaExpr, *syntax.Comprehension:
			if def, ok := n.(*syntax.DefStmt); ok && def.Name == d.Ident {
				continue // the name of a function is of what is around it
			}
			start, end := n.Span()
			return int(start.Line) <= p.Line+1 && p.Line+1 <= int(end.Line)+1
		}
	}
	return true
}

func (s *server) signatureHelp(d *document, p Position) any {
	f := s.mended(d, p)
	call := callAt(f, d, p)
	if call == nil {
		return nil
	}
	var label, doc string
	var list, plain []string
	var docsOf []string
	if name, m := f.Callee(call); m != nil {
		label, doc = name+m.Signature, m.Doc
		for _, a := range m.Arguments {
			list, plain, docsOf = append(list, a.Prefix+a.Name), append(plain, a.Name), append(docsOf, a.Doc)
		}
	} else if id, ok := call.Fn.(*syntax.Ident); ok {
		def, in := f.Function(id)
		if def == nil {
			return nil
		}
		label, list = signature(def, in), params(def, in)
		for _, p := range def.Params {
			name := ""
			if id := source.ParamName(p); id != nil {
				name = id.Name
			}
			plain, docsOf = append(plain, name), append(docsOf, "")
		}
	} else {
		return nil
	}
	parameters := []any{} // never null
	for i := range list {
		parameters = append(parameters, map[string]any{"label": list[i], "documentation": docsOf[i]})
	}
	return map[string]any{"activeSignature": 0, "activeParameter": active(call, d, p, plain),
		"signatures": []any{map[string]any{"label": label, "documentation": markdown(doc), "parameters": parameters}}}
}

// active returns which parameter the cursor is at.
func active(call *syntax.CallExpr, d *document, p Position, params []string) int {
	line, column := int32(p.Line+1), int32(toColumn(d.text, p))
	n := 0
	for _, arg := range call.Args {
		_, end := arg.Span()
		if kv, ok := arg.(*syntax.BinaryExpr); ok && kv.Op == syntax.EQ {
			start, _ := arg.Span()
			if !(line < start.Line || line == start.Line && column < start.Col) && !(line > end.Line || line == end.Line && column > end.Col) {
				return max(0, slices.Index(params, kv.X.(*syntax.Ident).Name))
			}
			continue
		}
		if end.Line < line || end.Line == line && end.Col < column {
			n++
		}
	}
	return n
}
