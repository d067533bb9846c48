package builtins

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"go.starlark.net/syntax"
)

// stubFiles describe what scripts can use; stubs/README.md says how.
//
//go:embed stubs
var stubFiles embed.FS

// A Stub describes a module, a value, or the names that stand alone.
type Stub struct {
	Name    string // of the module or value; "names" for those that stand alone
	Value   bool   // a value, not a module
	Doc     string
	Members []StubMember // in the order of the file
}

// A StubMember is a function, a method or a constant.
type StubMember struct {
	Name      string
	Signature string   // of a function: "(text, *, default=…)"
	Params    []string // names of its arguments
	Doc       string   // one paragraph
	Args      []string // "name: text"
	Example   string
}

// Stubs reads the stubs: modules and names first, then values, each by name.
func Stubs() ([]Stub, error) {
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
	s := Stub{Name: strings.TrimSuffix(path.Base(file), ".star")}
	if s.Doc = docstring(f.Stmts); s.Doc == "" {
		return s, fmt.Errorf("%s: no docstring", file)
	}
	lines := strings.Split(string(text), "\n")
	for i, stmt := range f.Stmts {
		start, _ := stmt.Span()
		var m StubMember
		switch stmt := stmt.(type) {
		case *syntax.DefStmt:
			m = stubFunc(stmt, lines[start.Line-1])
		case *syntax.AssignStmt:
			m = StubMember{Name: lines[start.Line-1][:strings.Index(lines[start.Line-1], " ")], Doc: docstring(f.Stmts[i+1:])}
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

// stubFunc reads a function, of which line is the first one.
func stubFunc(def *syntax.DefStmt, line string) StubMember {
	signature := strings.TrimSuffix(line[strings.Index(line, "("):], ":")
	m := StubMember{Name: def.Name.Name, Signature: strings.ReplaceAll(signature, "unset", "…")}
	for _, p := range def.Params {
		switch p := p.(type) {
		case *syntax.Ident:
			m.Params = append(m.Params, p.Name)
		case *syntax.BinaryExpr: // name=default
			m.Params = append(m.Params, p.X.(*syntax.Ident).Name)
		}
	}
	doc := strings.ReplaceAll(docstring(def.Body), "\n    ", "\n")
	doc, m.Example, _ = strings.Cut(doc, "\nExample:\n")
	doc, args, _ := strings.Cut(doc, "\nArgs:\n")
	m.Doc, m.Example = strings.TrimSpace(doc), strings.TrimSpace(strings.ReplaceAll("\n"+m.Example, "\n  ", "\n"))
	for line := range strings.Lines(args) {
		if line = strings.TrimSpace(line); line != "" {
			m.Args = append(m.Args, line)
		}
	}
	return m
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
