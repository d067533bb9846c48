package lsp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"starling/builtins"
	"starling/cmd/internal/docs"
	"starling/cmd/internal/format"
	"starling/cmd/internal/lint"
	"starling/cmd/internal/source"
	"starling/engine"
)

// diagnostics are what lint and check find. Copies of what is inside of the program have none.
func (s *server) diagnostics(d *document) []any {
	all, told := []any{}, map[int]bool{}
	if s.own(d.file) {
		return all
	}
	reader, _, name := s.reader(d)
	found := lint.File(reader, name, d.file, d.text)
	for _, f := range compileErrors(name, d.text) {
		if !slices.ContainsFunc(found, func(g lint.Finding) bool { return g.Line == f.Line && (g.Column == f.Column || g.Code == f.Code) }) {
			found = append(found, f)
		}
	}
	for _, f := range found {
		severity, text := 2, f.Message
		if f.Code == "syntax" || f.Code == "undefined" || f.Code == "check" {
			severity, told[f.Line] = 1, true
		}
		if f.Fix != "" {
			text += "\n" + f.Fix
		}
		all = append(all, diagnostic(severity, f.Code, text, Range{toPosition(d.text, f.Line, f.Column), toPosition(d.text, f.EndLine, f.EndColumn)}))
	}
	return append(all, s.loadErrors(d, told)...)
}

func diagnostic(severity int, code, text string, at Range) any {
	return map[string]any{"severity": severity, "code": code, "source": "starling", "message": text, "range": at}
}

// compileErrors are what the engine says of a file before anything runs.
func compileErrors(name string, text []byte) []lint.Finding {
	var found []lint.Finding
	for _, e := range engine.CompileErrors(name, text, builtins.All()) {
		found = append(found, lint.Finding{Code: "check", Line: int(e.Pos.Line), Column: int(e.Pos.Col), EndLine: int(e.Pos.Line), EndColumn: int(e.Pos.Col) + 1, Message: e.Msg})
	}
	return found
}

func (s *server) formatting(d *document, _ Position) any {
	formatted, err := format.Source(d.file, d.text)
	if err != nil || bytes.Equal(formatted, d.text) {
		return []any{}
	}
	return []any{map[string]any{"range": whole(d.text), "newText": string(formatted)}}
}

// Kinds of symbols.
const (
	symbolFunction = 12
	symbolVariable = 13
)

func (s *server) symbols(d *document, _ Position) any {
	all := []any{}
	f := s.read(d)
	if f.Tree == nil {
		return all
	}
	for _, stmt := range f.Tree.Stmts {
		switch stmt := stmt.(type) {
		case *syntax.DefStmt:
			all = append(all, symbol(d.text, stmt.Name, stmt, symbolFunction))
		case *syntax.AssignStmt:
			if id, ok := stmt.LHS.(*syntax.Ident); ok {
				all = append(all, symbol(d.text, id, stmt, symbolVariable))
			}
		}
	}
	return all
}

func symbol(text []byte, name *syntax.Ident, all syntax.Node, kind int) any {
	return map[string]any{"name": name.Name, "kind": kind, "range": rangeOf(text, all), "selectionRange": rangeOf(text, name)}
}

// at returns the innermost node at a position, by what is wanted.
func at[N syntax.Node](f *source.File, d *document, p Position, span func(N) (from, to syntax.Position)) (found N) {
	line, column := int32(p.Line+1), int32(toColumn(d.text, p))
	if f.Tree == nil {
		return found
	}
	syntax.Walk(f.Tree, func(n syntax.Node) bool {
		if n, ok := n.(N); ok {
			from, to := span(n)
			after := line > from.Line || line == from.Line && column >= from.Col
			before := line < to.Line || line == to.Line && column <= to.Col
			if after && before {
				found = n
			}
		}
		return true
	})
	return found
}

func identAt(f *source.File, d *document, p Position) *syntax.Ident {
	return at(f, d, p, func(id *syntax.Ident) (syntax.Position, syntax.Position) { return id.Span() })
}

// hover returns what there is to know of the name at a place, in Markdown; nil for nothing.
func (s *server) hover(d *document, p Position) any {
	f := s.read(d)
	id := identAt(f, d, p)
	if id == nil {
		return nil
	}
	text := describe(f, id)
	if text == "" {
		return nil
	}
	return map[string]any{"contents": map[string]any{"kind": "markdown", "value": text}, "range": rangeOf(d.text, id)}
}

func describe(f *source.File, id *syntax.Ident) string {
	if dot, ok := f.Parents[id].(*syntax.DotExpr); ok && dot.Name == id {
		owner, m := f.Member(dot)
		if m == nil {
			return ""
		}
		owner = strings.TrimPrefix(owner, "module ")
		return shown(docs.OfMember(owner+"."+m.Name, docs.Modules, *m))
	}
	if kv, ok := f.Parents[id].(*syntax.BinaryExpr); ok && kv.Op == syntax.EQ && kv.X == syntax.Expr(id) {
		return describeArgument(f, kv, id)
	}
	if source.Variable(id) == nil {
		if m := source.Member(f.Stub("names"), id.Name); m != nil && source.Scope(id) == resolve.Predeclared {
			return shown(docs.OfMember(m.Name, docs.Modules, *m))
		}
		if stub := f.Stub(id.Name); stub != nil && source.Scope(id) == resolve.Predeclared {
			return stub.Doc
		}
		return ""
	}
	if def, in := f.Function(id); def != nil {
		return describeFunction(def, in)
	}
	if kind := f.Kind(id); kind != "" {
		return fmt.Sprintf("`%s`: %s", id.Name, kind)
	}
	return ""
}

func describeArgument(f *source.File, kv syntax.Node, id *syntax.Ident) string {
	if call, ok := f.Parents[kv].(*syntax.CallExpr); ok {
		if name, m := f.Callee(call); m != nil {
			if a, ok := m.Argument(id.Name); ok {
				return fmt.Sprintf("`%s` of `%s`: %s", a.Name, name, a.Doc)
			}
		}
	}
	return ""
}

func shown(e docs.Entry) string {
	return fmt.Sprintf("```python\n%s%s\n```\n\n%s", e.Name, e.Signature, e.Body(true))
}

func describeFunction(def *syntax.DefStmt, in *source.File) string {
	text := fmt.Sprintf("```python\n%s\n```", signature(def, in))
	if e, ok := def.Body[0].(*syntax.ExprStmt); ok {
		if lit, ok := e.X.(*syntax.Literal); ok && lit.Token == syntax.STRING {
			text += "\n\n" + strings.TrimSpace(strings.ReplaceAll(lit.Value.(string), "\n    ", "\n"))
		}
	}
	return text
}

// signature returns a function's name and parameters as they are written.
func signature(def *syntax.DefStmt, in *source.File) string {
	return def.Name.Name + "(" + strings.Join(params(def, in), ", ") + ")"
}

func params(def *syntax.DefStmt, in *source.File) []string {
	var all []string
	for _, p := range def.Params {
		r := rangeOf(in.Text, p)
		text := string(in.Text[offset(in.Text, r.Start):offset(in.Text, r.End)])
		all = append(all, strings.Join(strings.Fields(text), " "))
	}
	return all
}

func (s *server) definition(d *document, p Position) any {
	reader, root, _ := s.reader(d)
	f := reader.Read(d.file, d.text)
	if lit := at(f, d, p, func(l *syntax.Literal) (syntax.Position, syntax.Position) { return l.Span() }); lit != nil {
		if load, ok := f.Parents[lit].(*syntax.LoadStmt); ok && load.Module == lit {
			return s.inFile(root, load.ModuleName(), nil, nil)
		}
	}
	id := identAt(f, d, p)
	if id == nil {
		return nil
	}
	if load, ok := f.Parents[id].(*syntax.LoadStmt); ok {
		return s.loaded(f, load, id, root)
	}
	if place := s.ofBuiltin(f, id); place != nil {
		return place
	}
	defs := f.Defs[source.Variable(id)]
	if len(defs) == 0 {
		return nil
	}
	if load, ok := defs[0].By.(*syntax.LoadStmt); ok {
		return s.loaded(f, load, defs[0].Ident, root)
	}
	return Location{d.uri, rangeOf(d.text, defs[0].Ident)}
}

// loaded returns where a loaded name is defined.
func (s *server) loaded(f *source.File, load *syntax.LoadStmt, id *syntax.Ident, root string) any {
	for i, to := range load.To {
		if to == id || load.From[i] == id {
			in := f.Load(load)
			if in == nil {
				return nil
			}
			if there := in.Global(load.From[i].Name); there != nil {
				return s.inFile(root, load.ModuleName(), in.Text, there.Ident)
			}
		}
	}
	return nil
}
