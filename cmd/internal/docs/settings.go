package docs

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"starling/engine"
)

// A Setting is what a script declares with a function of config.
type Setting struct {
	Name     string         `json:"name"`
	Aliases  []string       `json:"aliases,omitempty"`
	Kind     string         `json:"kind"`              // the name of the function: "string", "seconds"
	Default  string         `json:"default,omitempty"` // as it is written; None if it may be left out, "depends" if the script works it out
	Required bool           `json:"required"`          // there is no default
	Doc      string         `json:"doc"`
	Rules    map[string]any `json:"-"` // what is written as it is: min, max, min_length, max_length, pattern, choices, default
}

// Script returns the docstring of a script and the settings that it and what it loads declare, as they are written. read returns a file
// by its name in the scripts folder.
func Script(read func(name string) ([]byte, bool), file string) (doc string, settings []Setting, err error) {
	return script(read, file, map[string]bool{})
}

func script(read func(string) ([]byte, bool), file string, seen map[string]bool) (doc string, settings []Setting, err error) {
	if seen[file] {
		return "", nil, nil
	}
	seen[file] = true
	text, ok := read(file)
	if !ok {
		return "", nil, fmt.Errorf("%s: no such file", file)
	}
	f, err := engine.ParseScript(file, text)
	if err != nil {
		return "", nil, err
	}
	if len(f.Stmts) > 0 {
		if e, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
			doc = stringOf(e.X)
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.LoadStmt:
			_, more, loadErr := script(read, n.ModuleName(), seen)
			settings = append(settings, more...)
			if err == nil {
				err = loadErr
			}
		case *syntax.CallExpr:
			if s, ok := setting(n, string(text)); ok {
				settings = append(settings, s)
			}
		}
		return true
	})
	return strings.TrimSpace(doc), settings, err
}

// setting reads a call of config.*; false for other calls.
func setting(call *syntax.CallExpr, text string) (Setting, bool) {
	dot, ok := call.Fn.(*syntax.DotExpr)
	if !ok || len(call.Args) == 0 {
		return Setting{}, false
	}
	if module, ok := dot.X.(*syntax.Ident); !ok || module.Name != "config" || dot.Name.Name == "refuse" {
		return Setting{}, false
	}
	s := Setting{Kind: dot.Name.Name, Required: true, Rules: map[string]any{}}
	for i, arg := range call.Args {
		kv, ok := arg.(*syntax.BinaryExpr)
		if !ok || kv.Op != syntax.EQ {
			if _, stars := arg.(*syntax.UnaryExpr); stars {
				s.Default, s.Required = "depends", false
			} else if i == 0 {
				s.Name = stringOf(arg)
			}
			continue
		}
		s.argument(kv.X.(*syntax.Ident).Name, kv.Y, text)
	}
	return s, s.Name != ""
}

func (s *Setting) argument(name string, e syntax.Expr, text string) {
	switch name {
	case "name":
		s.Name = stringOf(e)
	case "default":
		s.Required = false
		if s.Default = source(e, text); isCall(e) || s.Default == "default" {
			s.Default = "depends"
		}
	case "doc":
		s.Doc = stringOf(e)
	case "aliases":
		if list, ok := e.(*syntax.ListExpr); ok {
			for _, alias := range list.List {
				s.Aliases = append(s.Aliases, stringOf(alias))
			}
		}
	}
	if v, ok := constant(e); ok {
		s.Rules[name] = v
	}
}

// constant returns the value of an expression that is written as it is: a text, a number, True, False, or a list of them.
func constant(e syntax.Expr) (any, bool) {
	switch e := e.(type) {
	case *syntax.Literal:
		return e.Value, e.Token != syntax.BYTES
	case *syntax.Ident:
		return e.Name == "True", e.Name == "True" || e.Name == "False"
	case *syntax.ListExpr:
		list := []any{}
		for _, item := range e.List {
			v, ok := constant(item)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	}
	return nil, false
}

func isCall(e syntax.Expr) bool {
	_, ok := e.(*syntax.CallExpr)
	return ok
}

func stringOf(e syntax.Expr) string {
	if lit, ok := e.(*syntax.Literal); ok && lit.Token == syntax.STRING {
		return lit.Value.(string)
	}
	return ""
}

// source returns an expression of one line as it is written.
func source(e syntax.Expr, text string) string {
	start, end := e.Span()
	line := []rune(strings.Split(text, "\n")[start.Line-1])
	if end.Line != start.Line {
		return "…"
	}
	return string(line[start.Col-1 : end.Col-1])
}
