// Package source reads scripts without running them: what each name stands for, what kind of value an
// expression gives, and what a call may be given. The linter and the language server stand on it. It
// knows no more than what is certain: of everything else it says nothing.
package source

import (
	"errors"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/builtins"
	"starling/engine"
)

// A Reader reads files of one scripts folder.
type Reader struct {
	// Text returns a file by its name in the folder; it may be nil.
	Text func(name string) ([]byte, bool)

	stubs map[string]*builtins.Stub // "http", "values/client"
	files map[string]*File
}

// NewReader returns a reader of the files that text returns.
func NewReader(text func(name string) ([]byte, bool)) (*Reader, error) {
	list, err := builtins.Stubs()
	if err != nil {
		return nil, err
	}
	r := &Reader{Text: text, stubs: map[string]*builtins.Stub{}, files: map[string]*File{}}
	for i, s := range list {
		key := s.Name
		if s.Value {
			key = "values/" + key
		}
		r.stubs[key] = &list[i]
	}
	return r, nil
}

// A File is one script, parsed and resolved as far as it can be.
type File struct {
	Name   string // in errors
	Text   []byte
	Tree   *syntax.File    // nil if it does not parse
	Errors []resolve.Error // of the parser, or of the resolver

	Parents map[syntax.Node]syntax.Node
	Defs    map[*syntax.Ident][]Definition    // by the first identifier of a variable
	Uses    map[*syntax.Ident][]*syntax.Ident // that read it
	reader  *Reader
	kinds   map[kindKey]string
	globals map[string]*syntax.Ident // variables of the top level
}

// A Definition is a place where a variable gets a value.
type Definition struct {
	Ident *syntax.Ident
	By    syntax.Node // the statement, the comprehension's clause, or the function whose parameter it is
	Value syntax.Expr // of an assignment to one name; of a loop with one variable, what it goes through
}

// Read parses a file that has a text.
func (r *Reader) Read(name string, text []byte) *File {
	f := &File{Name: name, Text: text, reader: r, Parents: map[syntax.Node]syntax.Node{},
		Defs: map[*syntax.Ident][]Definition{}, Uses: map[*syntax.Ident][]*syntax.Ident{}, kinds: map[kindKey]string{}, globals: map[string]*syntax.Ident{}}
	tree, err := engine.ParseScript(name, text)
	if err != nil {
		if e, ok := errors.AsType[syntax.Error](err); ok {
			f.Errors = []resolve.Error{{Pos: e.Pos, Msg: e.Msg}}
		} else {
			f.Errors = []resolve.Error{{Pos: syntax.MakePosition(&name, 1, 1), Msg: err.Error()}}
		}
		return f
	}
	f.Tree = tree
	known := builtins.All()
	if err := resolve.File(tree, known.Has, starlark.Universe.Has); err != nil {
		if list, ok := errors.AsType[resolve.ErrorList](err); ok {
			f.Errors = list
		}
	}
	f.index()
	return f
}

// Load returns the file that a load statement names, or nil.
func (f *File) Load(stmt *syntax.LoadStmt) *File { return f.reader.load(stmt.ModuleName()) }

func (r *Reader) load(name string) *File {
	if r.Text == nil {
		return nil
	}
	if f, ok := r.files[name]; ok {
		return f
	}
	r.files[name] = nil // ends circles
	if text, ok := r.Text(name); ok {
		r.files[name] = r.Read(name, text)
	}
	return r.files[name]
}

// index notes parents, definitions and uses.
func (f *File) index() {
	var stack []syntax.Node
	syntax.Walk(f.Tree, func(n syntax.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		if len(stack) > 0 {
			f.Parents[n] = stack[len(stack)-1]
		}
		stack = append(stack, n)
		f.define(n)
		return true
	})
	defined := map[*syntax.Ident]bool{}
	for v, list := range f.Defs {
		if Scope(v) == resolve.Global {
			f.globals[v.Name] = v
		}
		for _, d := range list {
			defined[d.Ident] = true
		}
	}
	syntax.Walk(f.Tree, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok && !defined[id] {
			if v := Variable(id); v != nil {
				f.Uses[v] = append(f.Uses[v], id)
			}
		}
		return true
	})
}

func (f *File) define(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.AssignStmt:
		if n.Op == syntax.EQ {
			f.bind(n.LHS, n, n.RHS)
		}
	case *syntax.ForStmt:
		f.bind(n.Vars, n, n.X)
	case *syntax.ForClause:
		f.bind(n.Vars, n, n.X)
	case *syntax.LoadStmt:
		for _, id := range n.To {
			f.bind(id, n, nil)
		}
	case *syntax.DefStmt:
		f.bind(n.Name, n, nil)
		f.params(n, n.Params)
	case *syntax.LambdaExpr:
		f.params(n, n.Params)
	}
}

func (f *File) params(by syntax.Node, params []syntax.Expr) {
	for _, p := range params {
		if id := ParamName(p); id != nil {
			f.bind(id, by, nil)
		}
	}
}

// ParamName returns the name of a parameter; nil for the star that stands alone.
func ParamName(p syntax.Expr) *syntax.Ident {
	switch p := p.(type) {
	case *syntax.Ident:
		return p
	case *syntax.BinaryExpr:
		return p.X.(*syntax.Ident)
	case *syntax.UnaryExpr:
		id, _ := p.X.(*syntax.Ident)
		return id
	}
	return nil
}

func (f *File) bind(target syntax.Expr, by syntax.Node, value syntax.Expr) {
	switch t := Inner(target).(type) {
	case *syntax.Ident:
		if v := Variable(t); v != nil {
			f.Defs[v] = append(f.Defs[v], Definition{t, by, value})
		}
	case *syntax.TupleExpr:
		for _, e := range t.List {
			f.bind(e, by, nil)
		}
	case *syntax.ListExpr:
		for _, e := range t.List {
			f.bind(e, by, nil)
		}
	}
}

// Variable returns the identifier that stands for the variable that id names, or nil: a builtin, the
// name of an argument or a member.
func Variable(id *syntax.Ident) *syntax.Ident {
	if b, ok := id.Binding.(*resolve.Binding); ok {
		return b.First
	}
	return nil
}

// Scope returns where a name is from; resolve.Undefined for what is no variable.
func Scope(id *syntax.Ident) resolve.Scope {
	if b, ok := id.Binding.(*resolve.Binding); ok {
		return b.Scope
	}
	return resolve.Undefined
}

// Inner returns what brackets hold.
func Inner(e syntax.Expr) syntax.Expr {
	for {
		p, ok := e.(*syntax.ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}

// Global returns the definition of a name at the top level, or nil.
func (f *File) Global(name string) *Definition {
	if defs := f.Defs[f.globals[name]]; len(defs) > 0 {
		return &defs[0]
	}
	return nil
}

// Stub returns what describes a module ("http") or a value ("values/client"), or nil.
func (r *Reader) Stub(key string) *builtins.Stub { return r.stubs[key] }

// Stub is that of the file's reader.
func (f *File) Stub(key string) *builtins.Stub { return f.reader.stubs[key] }
