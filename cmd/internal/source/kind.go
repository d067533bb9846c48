package source

import (
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/builtins"
)

// maxKindDepth bounds how far a kind is followed through variables and functions.
const maxKindDepth = 12

// Kind returns what kind of value an expression gives, or "" if that is not certain: "module http", the
// name of a stub in values/, a type of Starlark's, or "each response" for what a loop goes through.
func (f *File) Kind(e syntax.Expr) string { return f.kind(e, maxKindDepth) }

func (f *File) kind(e syntax.Expr, depth int) string {
	if e == nil || depth == 0 {
		return ""
	}
	depth--
	switch e := Inner(e).(type) {
	case *syntax.Literal:
		return literalKinds[e.Token]
	case *syntax.ListExpr:
		return "list"
	case *syntax.DictExpr:
		return "dict"
	case *syntax.TupleExpr:
		return "tuple"
	case *syntax.Comprehension:
		if e.Curly {
			return "dict"
		}
		return "list"
	case *syntax.Ident:
		return f.identKind(e, depth)
	case *syntax.DotExpr:
		if _, m := f.member(e, depth); m != nil && !m.Function() {
			return f.kind(m.Value, depth)
		}
	case *syntax.CallExpr:
		return f.callKind(e, depth)
	case *syntax.CondExpr:
		return same(f.kind(e.True, depth), f.kind(e.False, depth))
	case *syntax.UnaryExpr:
		if e.Op == syntax.NOT {
			return "bool"
		}
		return f.kind(e.X, depth)
	case *syntax.BinaryExpr:
		return binaryKind(e.Op, f.kind(e.X, depth), f.kind(e.Y, depth))
	}
	return ""
}

var literalKinds = map[syntax.Token]string{syntax.STRING: "string", syntax.BYTES: "bytes", syntax.INT: "int", syntax.FLOAT: "float"}

func same(a, b string) string {
	if a == b {
		return a
	}
	return ""
}

func binaryKind(op syntax.Token, x, y string) string {
	switch op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE, syntax.IN, syntax.NOT_IN:
		return "bool"
	case syntax.AND, syntax.OR:
		return same(x, y)
	case syntax.PLUS, syntax.MINUS:
		switch {
		case x == "time" && y == "duration":
			return "time"
		case x == "time" && y == "time" && op == syntax.MINUS:
			return "duration"
		}
		return same(x, y)
	case syntax.PERCENT:
		if x == "string" {
			return x
		}
	case syntax.AMP, syntax.PIPE:
		return same(x, y)
	case syntax.STAR, syntax.SLASHSLASH:
		if x == "int" && y == "int" {
			return x
		}
	case syntax.SLASH:
		if (x == "int" || x == "float") && (y == "int" || y == "float") {
			return "float"
		}
	}
	return ""
}

func (f *File) identKind(id *syntax.Ident, depth int) string {
	v := Variable(id)
	if v == nil {
		switch id.Name {
		case "True", "False":
			return "bool"
		case "None":
			return "None"
		}
		if Scope(id) == resolve.Predeclared || id.Binding == nil { // without a binding: an expression of a stub
			if f.Stub(id.Name) != nil && id.Name != "names" {
				return "module " + id.Name
			}
		}
		return ""
	}
	kind := ""
	for i, d := range f.Defs[v] {
		k := f.definitionKind(d, depth)
		if i > 0 && k != kind {
			return ""
		}
		kind = k
	}
	return kind
}

func (f *File) definitionKind(d Definition, depth int) string {
	switch by := d.By.(type) {
	case *syntax.AssignStmt:
		return f.kind(d.Value, depth)
	case *syntax.ForStmt, *syntax.ForClause:
		if one, ok := strings.CutPrefix(f.kind(d.Value, depth), "each "); ok {
			return one
		}
	case *syntax.LoadStmt:
		if loaded := f.Load(by); loaded != nil {
			if there := loaded.Global(loadedName(by, d.Ident)); there != nil {
				return loaded.definitionKind(*there, depth)
			}
		}
	case *syntax.DefStmt:
		if by.Name == d.Ident {
			return "function"
		}
		return f.paramKind(d.Ident)
	case *syntax.LambdaExpr:
		return f.paramKind(d.Ident)
	}
	return ""
}

// paramKind is the kind of a parameter: only in tests is one known by its name.
func (f *File) paramKind(id *syntax.Ident) string {
	if id.Name == "t" && strings.HasSuffix(f.Name, "_test.star") {
		return "t"
	}
	return ""
}

// loadedName returns what a loaded name is called in its own file.
func loadedName(stmt *syntax.LoadStmt, to *syntax.Ident) string {
	for i, id := range stmt.To {
		if id == to {
			return stmt.From[i].Name
		}
	}
	return ""
}

var universalKinds = map[string]string{"str": "string", "repr": "string", "int": "int", "float": "float", "len": "int", "bool": "bool",
	"list": "list", "sorted": "list", "dict": "dict", "tuple": "tuple", "type": "string", "hasattr": "bool", "enumerate": "list", "zip": "list"}

func (f *File) callKind(call *syntax.CallExpr, depth int) string {
	if _, m := f.callee(call, depth); m != nil {
		return m.Returns
	}
	id, ok := Inner(call.Fn).(*syntax.Ident)
	if !ok {
		return f.methodKind(call, depth)
	}
	if Variable(id) == nil {
		return universalKinds[id.Name]
	}
	def, in := f.Function(id)
	if def == nil {
		return ""
	}
	kind, first := "", true
	syntax.Walk(def, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			return n == def
		case *syntax.ReturnStmt:
			k := "None"
			if n.Result != nil {
				k = in.kind(n.Result, depth)
			}
			if !first && k != kind {
				k = ""
			}
			kind, first = k, false
		}
		return true
	})
	return kind
}

// methodKind is the kind of what methods of Starlark's own types return.
func (f *File) methodKind(call *syntax.CallExpr, depth int) string {
	dot, ok := Inner(call.Fn).(*syntax.DotExpr)
	if !ok || f.kind(dot.X, depth) != "string" {
		return ""
	}
	switch dot.Name.Name {
	case "split", "rsplit", "splitlines":
		return "list"
	case "find", "rfind", "index", "rindex", "count":
		return "int"
	case "format", "join", "lower", "upper", "strip", "lstrip", "rstrip", "replace", "removeprefix", "removesuffix", "title", "capitalize":
		return "string"
	}
	return ""
}

// Function returns the function that a name stands for, and the file that it is in; nil if that is not certain.
func (f *File) Function(id *syntax.Ident) (*syntax.DefStmt, *File) {
	defs := f.Defs[Variable(id)]
	if len(defs) != 1 {
		return nil, nil
	}
	switch by := defs[0].By.(type) {
	case *syntax.DefStmt:
		if by.Name == defs[0].Ident {
			return by, f
		}
	case *syntax.LoadStmt:
		loaded := f.Load(by)
		if loaded == nil {
			return nil, nil
		}
		if there := loaded.Global(loadedName(by, defs[0].Ident)); there != nil {
			return loaded.Function(there.Ident)
		}
	}
	return nil, nil
}

// Callee returns the builtin that a call calls, as it is written ("http.client", "client.pages"), or nil.
func (f *File) Callee(call *syntax.CallExpr) (string, *builtins.StubMember) {
	return f.callee(call, maxKindDepth)
}

func (f *File) callee(call *syntax.CallExpr, depth int) (string, *builtins.StubMember) {
	switch fn := Inner(call.Fn).(type) {
	case *syntax.DotExpr:
		owner, m := f.member(fn, depth)
		if m != nil && m.Function() {
			return strings.TrimPrefix(owner, "module ") + "." + m.Name, m
		}
	case *syntax.Ident:
		if Variable(fn) == nil && Scope(fn) != resolve.Universal {
			if m := Member(f.Stub("names"), fn.Name); m != nil {
				return m.Name, m
			}
		}
	}
	return "", nil
}

// Member returns the member of a builtin that x.y stands for, and the kind of x. The member is nil if there is none, the kind "" if
// that is not certain.
func (f *File) Member(dot *syntax.DotExpr) (owner string, m *builtins.StubMember) {
	return f.member(dot, maxKindDepth)
}

func (f *File) member(dot *syntax.DotExpr, depth int) (string, *builtins.StubMember) {
	owner := f.kind(dot.X, depth)
	return owner, Member(f.StubOf(owner), dot.Name.Name)
}

// StubOf returns what describes the members of a kind, or nil.
func (f *File) StubOf(kind string) *builtins.Stub {
	if module, ok := strings.CutPrefix(kind, "module "); ok {
		return f.Stub(module)
	}
	return f.Stub("values/" + kind)
}

// Member returns the member of a name, or nil.
func Member(s *builtins.Stub, name string) *builtins.StubMember {
	if s == nil {
		return nil
	}
	for i := range s.Members {
		if s.Members[i].Name == name {
			return &s.Members[i]
		}
	}
	return nil
}

// OwnMembers returns the methods of a type of Starlark's own, or nil.
func OwnMembers(kind string) []string {
	switch kind {
	case "string":
		return starlark.String("").AttrNames()
	case "bytes":
		return starlark.Bytes("").AttrNames()
	case "list":
		return new(starlark.List).AttrNames()
	case "dict":
		return new(starlark.Dict).AttrNames()
	}
	return nil
}
