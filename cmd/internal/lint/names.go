package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/cmd/internal/source"
)

func nameLints() []Lint {
	return []Lint{
		{"unused-load", "A name is loaded and never used. Take it out of the load statement.", unusedLoad},
		{"unused-variable", "A variable gets a value that nothing reads, which often is a name mistyped elsewhere. Use it, take it out, or begin its name with _.", unusedVariable},
		{"unused-setting", "A setting is declared, and the script does nothing with it. Use it or take it out: an operator who sets it expects something.", unusedSetting},
		{"unused-function", "A function inside of another one, or one whose name begins with _, is never used, and no other file can load it. Call it or take it out.", unusedFunction},
		{"unused-parameter", "A parameter of a function inside of another one is never read. Take it out, here and where the function is called.", unusedParameter},
		{"shadowed-builtin", "A name takes the place of a builtin, so that the builtin cannot be used below it, and a reader is misled. Choose another name.", shadowedBuiltin},
		{"unreachable-code", "Nothing gets to these lines, as the line above always leaves the block. Take them out, or move them in front of it.", unreachable},
	}
}

// unused calls f for every definition whose variable nothing reads.
func (l *linter) unused(f func(v *syntax.Ident, d source.Definition)) {
	for v, defs := range l.Defs {
		if len(l.Uses[v]) == 0 {
			for _, d := range defs {
				f(v, d)
			}
		}
	}
}

func unusedLoad(l *linter) {
	l.unused(func(v *syntax.Ident, d source.Definition) {
		if _, ok := d.By.(*syntax.LoadStmt); ok {
			l.tell(d.Ident, fmt.Sprintf("%s is loaded and never used", v.Name), "take it out of the load statement")
		}
	})
}

func unusedVariable(l *linter) {
	l.unused(func(v *syntax.Ident, d source.Definition) {
		if _, ok := d.By.(*syntax.AssignStmt); !ok || strings.HasPrefix(v.Name, "_") && source.Scope(v) != resolve.Global || d.Value == nil {
			return
		}
		if source.Scope(v) == resolve.Global && (!l.private(v) || l.isSetting(d)) {
			return
		}
		l.tell(d.Ident, fmt.Sprintf("%s gets a value that nothing reads", v.Name), "use it, or take it out")
	})
}

// private reports whether no other file can use a global variable: its name begins with _, or the file is a script that others do not
// load. Its tests may.
func (l *linter) private(v *syntax.Ident) bool {
	if strings.HasPrefix(v.Name, "_") {
		return true
	}
	if l.pull() == nil {
		return false
	}
	return !l.inTests()[v.Name]
}

// member is a name behind a dot.
var member = regexp.MustCompile(`\.([\pL_][\pL\pN_]*)`)

// inTests returns the names that stand behind a dot in the tests of the file, such as in t.script.clean.
func (l *linter) inTests() map[string]bool {
	if l.tested == nil {
		l.tested = map[string]bool{}
		tests, _ := l.sibling()
		for _, m := range member.FindAllSubmatch(tests, -1) {
			l.tested[string(m[1])] = true
		}
	}
	return l.tested
}

// isSetting reports whether a variable is what a call of config.* returns.
func (l *linter) isSetting(d source.Definition) bool {
	call, ok := d.Value.(*syntax.CallExpr)
	return ok && strings.HasPrefix(l.called(call), "config.")
}

func unusedSetting(l *linter) {
	l.unused(func(v *syntax.Ident, d source.Definition) {
		if source.Scope(v) == resolve.Global && l.isSetting(d) && l.private(v) {
			l.tell(d.Ident, fmt.Sprintf("the setting %s is declared, and nothing uses it", v.Name), "use it, or take it out")
		}
	})
}

func unusedFunction(l *linter) {
	l.unused(func(v *syntax.Ident, d source.Definition) {
		def, ok := d.By.(*syntax.DefStmt)
		if !ok || def.Name != d.Ident {
			return
		}
		if source.Scope(v) != resolve.Global || strings.HasPrefix(v.Name, "_") {
			l.tell(def, fmt.Sprintf("the function %s is never used", v.Name), "call it, or take it out")
		}
	})
}

func unusedParameter(l *linter) {
	l.unused(func(v *syntax.Ident, d source.Definition) {
		def, ok := d.By.(*syntax.DefStmt)
		if !ok || def.Name == d.Ident || strings.HasPrefix(v.Name, "_") {
			return
		}
		name := source.Variable(def.Name)
		if source.Scope(def.Name) == resolve.Global || len(l.Uses[name]) == 0 {
			return
		}
		for _, use := range l.Uses[name] { // a function that is handed on must take what its caller gives
			if call, ok := l.Parents[use].(*syntax.CallExpr); !ok || call.Fn != syntax.Expr(use) {
				return
			}
		}
		l.tell(d.Ident, fmt.Sprintf("%s never reads its parameter %s", def.Name.Name, v.Name), "take it out, here and where the function is called")
	})
}

func shadowedBuiltin(l *linter) {
	for v, defs := range l.Defs {
		for _, d := range defs {
			module := l.Stub(v.Name) != nil && v.Name != "names" || source.Member(l.Stub("names"), v.Name) != nil
			if byName(d) { // it is named for callers, such as range = 3
				continue
			}
			if module || starlark.Universe.Has(v.Name) {
				l.tell(d.Ident, fmt.Sprintf("%s takes the place of the builtin %s", v.Name, v.Name), "choose another name")
			}
		}
	}
}

// byName reports whether a definition is that of a parameter with a default.
func byName(d source.Definition) bool {
	def, ok := d.By.(*syntax.DefStmt)
	return ok && slices.ContainsFunc(def.Params, func(p syntax.Expr) bool {
		_, hasDefault := p.(*syntax.BinaryExpr)
		return hasDefault && source.ParamName(p) == d.Ident
	})
}

func unreachable(l *linter) {
	syntax.Walk(l.Tree, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.File:
			l.unreachableIn(n.Stmts)
		case *syntax.DefStmt:
			l.unreachableIn(n.Body)
		case *syntax.ForStmt:
			l.unreachableIn(n.Body)
		case *syntax.IfStmt:
			l.unreachableIn(n.True)
			l.unreachableIn(n.False)
		}
		return true
	})
}

func (l *linter) unreachableIn(stmts []syntax.Stmt) {
	for i, s := range stmts {
		if i+1 < len(stmts) && l.leaves(s) {
			line, _ := s.Span()
			l.tell(stmts[i+1], fmt.Sprintf("nothing gets here: line %d always leaves", line.Line), "take it out, or move it up")
			return
		}
	}
}

// leaves reports whether nothing behind a statement is reached.
func (l *linter) leaves(s syntax.Stmt) bool {
	switch s := s.(type) {
	case *syntax.ReturnStmt:
		return true
	case *syntax.BranchStmt:
		return s.Token != syntax.PASS
	case *syntax.ExprStmt:
		call, ok := s.X.(*syntax.CallExpr)
		return ok && l.ends(call)
	case *syntax.IfStmt:
		return l.blockLeaves(s.True) && l.blockLeaves(s.False)
	}
	return false
}

func (l *linter) blockLeaves(stmts []syntax.Stmt) bool {
	return len(stmts) > 0 && l.leaves(stmts[len(stmts)-1])
}

// ends reports whether a call ends the pull.
func (l *linter) ends(call *syntax.CallExpr) bool {
	id, ok := call.Fn.(*syntax.Ident)
	return ok && id.Name == "fail" && source.Variable(id) == nil || l.called(call) == "devo.fail"
}
