// Package lint finds mistakes in scripts that Starlark does not mind: they load, and then do something
// else than they seem to. It looks at the text only, nothing runs.
package lint

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"starling/cmd/internal/source"
)

// A Finding is one mistake and its place. Lines and columns count from 1, columns in characters.
type Finding struct {
	Code      string `json:"code"` // the name of the lint, "syntax", "undefined" or, of what the engine says, "check"
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndLine   int    `json:"end_line"`
	EndColumn int    `json:"end_column"`
	Message   string `json:"message"`
	Fix       string `json:"fix,omitempty"`         // what to do, for a person
	Replace   string `json:"replacement,omitempty"` // what to put in place of the text between the two places
}

// A Lint is a kind of mistake.
type Lint struct {
	Name string
	Doc  string // two sentences: what is wrong with it, and what to do
	run  func(*linter)
}

// Lints returns all lints, by name.
func Lints() []Lint {
	all := slices.Concat(nameLints(), callLints(), checkpointLints(), valueLints(), fileLints())
	slices.SortFunc(all, func(a, b Lint) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// linter looks at one file.
type linter struct {
	*source.File
	name     string // of the file in its folder
	reader   *source.Reader
	findings []Finding
	code     string          // of the lint that runs
	tested   map[string]bool // what inTests returns, once it is asked
}

// File returns the findings in a file, in its order. name is that in the folder of reader, display that of errors.
func File(reader *source.Reader, name, display string, text []byte) []Finding {
	l := &linter{File: reader.Read(display, text), name: name, reader: reader}
	for _, e := range l.Errors {
		l.code = "undefined"
		if l.Tree == nil {
			l.code = "syntax"
		}
		l.findings = append(l.findings, Finding{Code: l.code, Line: int(e.Pos.Line), Column: int(e.Pos.Col), EndLine: int(e.Pos.Line), EndColumn: int(e.Pos.Col) + 1, Message: e.Msg})
	}
	if l.Tree != nil {
		for _, lint := range Lints() {
			if lint.run != nil {
				l.code = lint.Name
				lint.run(l)
			}
		}
	}
	l.findings = ignored(l.findings, text)
	for i := range l.findings {
		l.findings[i].File = display
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code))
	})
	return l.findings
}

// tell notes a finding at a node.
func (l *linter) tell(at syntax.Node, message, fix string) {
	start, end := at.Span()
	if id, ok := at.(*syntax.DefStmt); ok {
		start, end = id.Name.Span()
	}
	if stmt, ok := at.(*syntax.ForStmt); ok {
		_, end = stmt.X.Span()
	}
	l.findings = append(l.findings, Finding{Code: l.code, Line: int(start.Line), Column: int(start.Col), EndLine: int(end.Line), EndColumn: int(end.Col), Message: message, Fix: fix})
}

// replace notes a finding at a name, in whose place another one should stand.
func (l *linter) replace(at syntax.Node, message, by string) {
	l.tell(at, message, "write "+by)
	l.findings[len(l.findings)-1].Replace = by
}

// each calls f for every node of a type below n.
func each[N syntax.Node](n syntax.Node, f func(N)) {
	syntax.Walk(n, func(n syntax.Node) bool {
		if n, ok := n.(N); ok {
			f(n)
		}
		return true
	})
}

// isTest reports whether the file holds tests.
func (l *linter) isTest() bool { return strings.HasSuffix(l.name, "_test.star") }

// pull returns the function pull of a script, or nil.
func (l *linter) pull() *syntax.DefStmt {
	if d := l.Global("pull"); d != nil && !l.isTest() {
		def, _ := d.By.(*syntax.DefStmt)
		return def
	}
	return nil
}

// sibling returns the text of the tests of the file.
func (l *linter) sibling() ([]byte, bool) {
	if l.reader.Text == nil {
		return nil, false
	}
	return l.reader.Text(path.Join(path.Dir(l.name), strings.TrimSuffix(path.Base(l.name), ".star")+"_test.star"))
}

// called returns the name of the builtin that a call calls, such as "checkpoint.commit".
func (l *linter) called(call *syntax.CallExpr) string {
	name, _ := l.Callee(call)
	return name
}

// argument returns an argument of a call, by its place or its name; nil if it is not given.
func argument(call *syntax.CallExpr, place int, name string) syntax.Expr {
	for i, arg := range call.Args {
		if key, value := keyword(arg); key != nil {
			if key.Name == name {
				return value
			}
		} else if i == place {
			if _, star := arg.(*syntax.UnaryExpr); !star {
				return arg
			}
		}
	}
	return nil
}

// keyword returns the name and the value of an argument that is given by name, or nil.
func keyword(arg syntax.Expr) (*syntax.Ident, syntax.Expr) {
	if kv, ok := arg.(*syntax.BinaryExpr); ok && kv.Op == syntax.EQ {
		return kv.X.(*syntax.Ident), kv.Y
	}
	return nil, nil
}

// text returns the value of a literal string, or "".
func text(e syntax.Expr) string {
	if lit, ok := e.(*syntax.Literal); ok && lit.Token == syntax.STRING {
		return lit.Value.(string)
	}
	return ""
}
