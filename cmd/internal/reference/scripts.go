package reference

import (
	"fmt"
	"io/fs"
	"strings"

	"go.starlark.net/syntax"

	"starling/scripts"
)

// builtinScripts describes every built-in script: its docstring, and the settings that it and what it
// loads declare.
func builtinScripts(string) (string, error) {
	files, err := fs.Glob(scripts.FS(), "*.star")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("## Built-in scripts\n\nA service runs the script of its name, or the one that `script:` names. Its settings stand in the service, the input or its credentials.\n")
	for _, file := range files {
		if strings.HasSuffix(file, "_test.star") {
			continue
		}
		doc, rows, err := script(file, map[string]bool{})
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n%s", strings.TrimSuffix(file, ".star"), doc, table([]string{"setting", "kind", "default", "what it says"}, rows))
	}
	return b.String(), nil
}

// script returns the docstring of a script and a row for each setting.
func script(file string, seen map[string]bool) (doc string, rows [][]string, err error) {
	if seen[file] {
		return "", nil, nil
	}
	seen[file] = true
	text, err := fs.ReadFile(scripts.FS(), file)
	if err != nil {
		return "", nil, err
	}
	f, err := (&syntax.FileOptions{Set: true}).Parse(file, text, 0)
	if err != nil {
		return "", nil, err
	}
	if e, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
		doc = stringOf(e.X)
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.LoadStmt:
			_, more, loadErr := script(n.ModuleName(), seen)
			rows, err = append(rows, more...), firstOf(err, loadErr)
		case *syntax.CallExpr:
			if row := setting(n, string(text)); row != nil {
				rows = append(rows, row)
			}
		}
		return true
	})
	return strings.TrimSpace(doc), rows, err
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// setting returns the row of a call of config.*, or nil for other calls.
func setting(call *syntax.CallExpr, text string) []string {
	dot, ok := call.Fn.(*syntax.DotExpr)
	if !ok || len(call.Args) == 0 {
		return nil
	}
	if module, ok := dot.X.(*syntax.Ident); !ok || module.Name != "config" || dot.Name.Name == "refuse" {
		return nil
	}
	name, def, doc := code(stringOf(call.Args[0])), "must be set", ""
	for _, arg := range call.Args[1:] {
		kv, ok := arg.(*syntax.BinaryExpr)
		if !ok { // **
			def = "depends"
			continue
		}
		switch kv.X.(*syntax.Ident).Name {
		case "default":
			switch def = code(source(kv.Y, text)); {
			case def == "`None`":
				def = "none"
			case isCall(kv.Y), def == "`default`":
				def = "depends"
			}
		case "doc":
			doc = stringOf(kv.Y)
		case "aliases":
			if list, ok := kv.Y.(*syntax.ListExpr); ok {
				for _, alias := range list.List {
					name += ", " + code(stringOf(alias))
				}
			}
		}
	}
	return []string{name, dot.Name.Name, def, doc}
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
