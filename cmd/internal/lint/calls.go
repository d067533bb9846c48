package lint

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"starling/builtins"
	"starling/cmd/internal/source"
	"starling/engine"
)

func callLints() []Lint {
	return []Lint{
		{"unknown-member", "A builtin module, or a value that it returns, has no member of this name, so that the line fails when it runs. Correct the name.", unknownMember},
		{"wrong-arguments", "A call has an argument that the function does not take, too many, or not all that it needs, so that it fails when it runs. Correct the call; starling docs NAME shows what the function takes.", wrongArguments},
	}
}

func unknownMember(l *linter) {
	each(l.Tree, func(dot *syntax.DotExpr) {
		owner, m := l.Member(dot)
		if m != nil || owner == "" || owner == "record" || owner == "struct" {
			return
		}
		var names []string
		if s := l.StubOf(owner); s != nil {
			for _, m := range s.Members {
				names = append(names, m.Name)
			}
		} else {
			names = source.OwnMembers(owner)
		}
		if names == nil || slices.Contains(names, dot.Name.Name) {
			return
		}
		what, ok := strings.CutPrefix(owner, "module ")
		if !ok {
			what = "a " + owner
		}
		l.misspelt(dot.Name, fmt.Sprintf("%s has no .%s", what, dot.Name.Name), names)
	})
}

// misspelt notes a wrong name with the one that was probably meant.
func (l *linter) misspelt(name *syntax.Ident, message string, known []string) {
	if near := engine.Nearest(name.Name, known); near != "" {
		l.replace(name, message+" (did you mean "+near+"?)", near)
		return
	}
	l.tell(name, message, "use one of "+strings.Join(slices.Sorted(slices.Values(known)), ", "))
}

// A parameter is what a function takes.
type parameter struct {
	name              string
	keyword, optional bool
}

// A signature is all that a function takes.
type signature struct {
	name         string
	params       []parameter
	args, kwargs bool // * and **
}

func wrongArguments(l *linter) {
	each(l.Tree, func(call *syntax.CallExpr) {
		if s, ok := l.signature(call); ok {
			l.checkArguments(call, s)
		}
	})
}

func (l *linter) signature(call *syntax.CallExpr) (signature, bool) {
	if name, m := l.Callee(call); m != nil {
		return ofStub(name, m), true
	}
	if id, ok := call.Fn.(*syntax.Ident); ok && source.Variable(id) != nil {
		if def, _ := l.Function(id); def != nil {
			return ofDef(def), true
		}
	}
	return signature{}, false
}

func ofStub(name string, m *builtins.StubMember) signature {
	s := signature{name: name}
	for _, a := range m.Arguments {
		switch a.Prefix {
		case "*":
			s.args = true
		case "**":
			s.kwargs = true
		default:
			s.params = append(s.params, parameter{a.Name, a.Keyword, a.Default != ""})
		}
	}
	return s
}

func ofDef(def *syntax.DefStmt) signature {
	s := signature{name: def.Name.Name}
	keyword := false
	for _, p := range def.Params {
		switch p := p.(type) {
		case *syntax.Ident:
			s.params = append(s.params, parameter{p.Name, keyword, false})
		case *syntax.BinaryExpr:
			s.params = append(s.params, parameter{p.X.(*syntax.Ident).Name, keyword, true})
		case *syntax.UnaryExpr:
			s.args = s.args || p.Op == syntax.STAR && p.X != nil
			s.kwargs = s.kwargs || p.Op == syntax.STARSTAR
			keyword = true
		}
	}
	return s
}

// checkArguments compares a call with what a function takes.
func (l *linter) checkArguments(call *syntax.CallExpr, s signature) {
	given := map[string]bool{}
	positional, open := 0, false // open: * or ** gives what cannot be seen
	for _, arg := range call.Args {
		key, _ := keyword(arg)
		switch {
		case key != nil:
			l.checkKeyword(key, s, given)
		case isStar(arg):
			open = true
		default:
			if i := positional; i < len(s.params) && !s.params[i].keyword {
				given[s.params[i].name] = true
			} else if !s.args {
				l.tooMany(arg, s, i)
				return
			}
			positional++
		}
	}
	if open {
		return
	}
	var missing []string
	for _, p := range s.params {
		if !p.optional && !given[p.name] && !(s.name == "checkpoint.windows" && p.name == "delay") {
			missing = append(missing, p.name)
		}
	}
	if missing != nil {
		l.tell(call.Fn, fmt.Sprintf("%s is called without %s", s.name, strings.Join(missing, ", ")), "give it")
	}
}

func isStar(arg syntax.Expr) bool {
	u, ok := arg.(*syntax.UnaryExpr)
	return ok && (u.Op == syntax.STAR || u.Op == syntax.STARSTAR)
}

func (l *linter) checkKeyword(key *syntax.Ident, s signature, given map[string]bool) {
	var names []string
	for _, p := range s.params {
		names = append(names, p.name)
	}
	switch {
	case given[key.Name]:
		l.tell(key, fmt.Sprintf("%s gets %s twice", s.name, key.Name), "take one of them out")
	case !slices.Contains(names, key.Name) && !s.kwargs:
		if len(names) == 0 {
			l.tell(key, fmt.Sprintf("%s takes no arguments", s.name), "take it out")
		} else {
			l.misspelt(key, fmt.Sprintf("%s has no argument %s", s.name, key.Name), names)
		}
	}
	given[key.Name] = true
}

func (l *linter) tooMany(arg syntax.Expr, s signature, i int) {
	if i < len(s.params) {
		l.tell(arg, fmt.Sprintf("%s takes %s by name only", s.name, s.params[i].name), fmt.Sprintf("write %s = …", s.params[i].name))
		return
	}
	l.tell(arg, fmt.Sprintf("%s takes %d arguments, and this is one more", s.name, len(s.params)), "take it out")
}
