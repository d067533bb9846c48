package engine

import (
	"fmt"
	"maps"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// program compiles a file. Beside what Starlark finds, it finds members that a builtin module does not
// have, wherever they are used: Starlark itself would find them only when the line runs.
func (l *Library) program(src source) (*syntax.File, *starlark.Program, error) {
	f, err := dialect.Parse(src.display, src.text, 0)
	if err == nil {
		err = rewriteFile(f, l.Statements)
	}
	if err != nil {
		return nil, nil, err
	}
	prog, err := starlark.FileProgram(f, l.names().Has)
	if err != nil {
		return nil, nil, err
	}
	var missing resolve.ErrorList
	syntax.Walk(f, func(n syntax.Node) bool {
		if dot, ok := n.(*syntax.DotExpr); ok {
			if text := l.missingMember(dot); text != "" {
				missing = append(missing, resolve.Error{Pos: dot.Name.NamePos, Msg: text})
			}
		}
		return true
	})
	if missing != nil {
		return nil, nil, missing
	}
	return f, prog, nil
}

// missingMember says what is wrong with a member of a builtin module, or nothing.
func (l *Library) missingMember(dot *syntax.DotExpr) string {
	name, ok := unwrapped(dot.X).(*syntax.Ident)
	if !ok {
		return ""
	}
	if b, ok := name.Binding.(*resolve.Binding); !ok || b.Scope != resolve.Predeclared {
		return ""
	}
	module, ok := l.Predeclared[name.Name].(*starlarkstruct.Module)
	if !ok || module.Members.Has(dot.Name.Name) {
		return ""
	}
	text := fmt.Sprintf("%s has no .%s", name.Name, dot.Name.Name)
	if near := Nearest(dot.Name.Name, module.Members.Keys()); near != "" {
		text += fmt.Sprintf(" (did you mean .%s?)", near)
	}
	return text
}

// names are what every script can use: the builtins, the functions of Starlark's own that need bounds,
// and the guards, which only rewriteFile uses.
func (l *Library) names() starlark.StringDict {
	names := boundedNames()
	for name, g := range guards() {
		names[name] = g
	}
	if l.Statements != nil {
		names[guardMark] = operandGuard(l.Statements.mark)
	}
	maps.Copy(names, l.Predeclared)
	return names
}
