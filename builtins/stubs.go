package builtins

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/syntax"
)

// stubFiles describe what scripts can use; stubs/README.md says how.
//
//go:embed stubs
var stubFiles embed.FS

// A Stub describes a module, a value, or the names that stand alone.
type Stub struct {
	Name    string // of the module or value; "names" for those that stand alone
	File    string // such as "stubs/http.star"
	Text    []byte // of the file
	Value   bool   // a value, not a module
	Doc     string
	Args    []StubArgument // what several of its members take, documented once
	Members []StubMember   // in the order of the file
}

// A StubMember is a function, a method or a constant.
type StubMember struct {
	Name      string
	At        syntax.Position // of the name, in the file
	Signature string          // of a function: "(text, *, default=…)"
	Arguments []StubArgument
	Doc       string // one paragraph
	Returns   string // a kind of value, such as "response", or "each response" for a loop; empty if that depends
	Example   string
	Value     syntax.Expr // of a constant, as it is written
}

// A StubArgument is an argument of a function.
type StubArgument struct {
	Name    string
	Prefix  string // "*" or "**" for what takes all others
	Keyword bool   // by name only
	Default string // as it is written; "" for one that must be given
	Doc     string
	Own     bool // the doc stands at the function, not at the module
}

// Function reports whether a member can be called.
func (m StubMember) Function() bool { return m.Signature != "" }

// Argument returns the argument of a name that can be given by name.
func (m StubMember) Argument(name string) (StubArgument, bool) {
	i := slices.IndexFunc(m.Arguments, func(a StubArgument) bool { return a.Name == name && a.Prefix == "" })
	if i < 0 {
		return StubArgument{}, false
	}
	return m.Arguments[i], true
}

// Stubs returns the stubs: modules and names first, then values, each by name. They are read once, and are not to be changed.
func Stubs() ([]Stub, error) { return stubsOnce() }

var stubsOnce = sync.OnceValues(loadStubs)

func loadStubs() ([]Stub, error) {
	modules, err := fs.Glob(stubFiles, "stubs/*.star")
	if err != nil {
		return nil, err
	}
	values, err := fs.Glob(stubFiles, "stubs/values/*.star")
	if err != nil {
		return nil, err
	}
	var stubs []Stub
	for _, file := range append(modules, values...) {
		text, err := stubFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, err := parseStub(file, text)
		if err != nil {
			return nil, err
		}
		s.Value = path.Base(path.Dir(file)) == "values"
		stubs = append(stubs, s)
	}
	return stubs, nil
}

func parseStub(file string, text []byte) (Stub, error) {
	f, err := new(syntax.FileOptions).Parse(file, text, 0)
	if err != nil {
		return Stub{}, err
	}
	s := Stub{Name: strings.TrimSuffix(path.Base(file), ".star"), File: file, Text: text}
	if s.Doc = docstring(f.Stmts); s.Doc == "" {
		return s, fmt.Errorf("%s: no docstring", file)
	}
	s.Doc, s.Args = cutArgs(s.Doc)
	lines := strings.Split(string(text), "\n")
	for i, stmt := range f.Stmts {
		start, _ := stmt.Span()
		var m StubMember
		switch stmt := stmt.(type) {
		case *syntax.DefStmt:
			m = stubFunc(stmt, lines[start.Line-1], s.Args)
			m.At = stmt.Name.NamePos
		case *syntax.AssignStmt:
			m = StubMember{Name: lines[start.Line-1][:strings.Index(lines[start.Line-1], " ")], Doc: docstring(f.Stmts[i+1:]), Value: stmt.RHS, At: start}
		default:
			continue
		}
		if m.Doc == "" || m.Signature != "" && m.Example == "" {
			return s, fmt.Errorf("%s: %s has no docstring, or no example in it", start, m.Name)
		}
		s.Members = append(s.Members, m)
	}
	return s, nil
}

// stubFunc reads a function, of which line is the first one. Of shared are docs of arguments that it has none of its own for.
func stubFunc(def *syntax.DefStmt, line string, shared []StubArgument) StubMember {
	signature := strings.TrimSuffix(line[strings.Index(line, "("):], ":")
	m := StubMember{Name: def.Name.Name, Signature: strings.ReplaceAll(signature, "unset", "…")}
	doc := strings.ReplaceAll(docstring(def.Body), "\n    ", "\n")
	doc, m.Example, _ = strings.Cut(doc, "\nExample:\n")
	doc, m.Returns, _ = strings.Cut(doc, "\nReturns: ")
	doc, own := cutArgs(doc)
	m.Doc, m.Returns = doc, strings.TrimSpace(m.Returns)
	m.Example = strings.TrimSpace(strings.ReplaceAll("\n"+m.Example, "\n  ", "\n"))
	keyword := false
	for _, p := range def.Params {
		a, ok := stubParam(p, line)
		if !ok || a.Prefix == "*" {
			keyword = true
		}
		if !ok {
			continue
		}
		a.Keyword = keyword && a.Prefix == ""
		for _, d := range append(shared[:len(shared):len(shared)], own...) {
			if d.Name == a.Name {
				a.Doc, a.Own = d.Doc, slices.Contains(own, d)
			}
		}
		m.Arguments = append(m.Arguments, a)
	}
	return m
}

// stubParam reads a parameter; false for the star that stands alone.
func stubParam(p syntax.Expr, line string) (StubArgument, bool) {
	switch p := p.(type) {
	case *syntax.Ident:
		return StubArgument{Name: p.Name}, true
	case *syntax.BinaryExpr: // name=default
		start, end := p.Y.Span()
		text := strings.ReplaceAll(string([]rune(line)[start.Col-1:end.Col-1]), "unset", "…")
		return StubArgument{Name: p.X.(*syntax.Ident).Name, Default: text}, true
	case *syntax.UnaryExpr:
		if name, ok := p.X.(*syntax.Ident); ok {
			return StubArgument{Name: name.Name, Prefix: p.Op.String()}, true
		}
	}
	return StubArgument{}, false
}

// cutArgs cuts the lines "name: text" below Args: off a docstring.
func cutArgs(doc string) (string, []StubArgument) {
	doc, lines, _ := strings.Cut(doc, "\nArgs:\n")
	var args []StubArgument
	for line := range strings.Lines(lines) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			args = append(args, StubArgument{Name: name, Doc: text})
		}
	}
	return strings.TrimSpace(doc), args
}

// docstring returns the string that statements begin with.
func docstring(stmts []syntax.Stmt) string {
	if len(stmts) == 0 {
		return ""
	}
	if e, ok := stmts[0].(*syntax.ExprStmt); ok {
		if lit, ok := e.X.(*syntax.Literal); ok && lit.Token == syntax.STRING {
			return strings.TrimSpace(lit.Value.(string))
		}
	}
	return ""
}
