package lint

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"starling/cmd/internal/source"
)

func checkpointLints() []Lint {
	return []Lint{
		{"window-not-committed", "A way through the loop over windows ends without committing the window, and then the loop fails at the next one. Call checkpoint.commit(window), window.fail or window.gap on every way.", windowNotCommitted},
		{"commit-in-page-loop", "A window is committed inside of the loop over its pages, so that a failure after the first page loses the others. Commit it behind that loop.", commitInPageLoop},
		{"window-without-delay", "Windows reach up to now, where most APIs do not have all rows yet, so that late ones are never asked for. Give checkpoint.windows a delay, or checkpoint.sweeps settles, of what the API takes until it has all.", windowWithoutDelay},
		{"set-without-commit", "A loop sets a cursor, and no commit follows, so that a pull that fails in the middle begins again where it began. Call checkpoint.commit in the loop, behind what was sent.", setWithoutCommit},
		{"set-after-commit", "A cursor is set behind the commit that it belongs to, so that after a failure the events before that commit come again. Set it in front of the commit.", setAfterCommit},
		{"get-without-default", "There is no cursor before the first commit, and None is used where it fails. Give checkpoint.get a default, or ask whether it is None.", getWithoutDefault},
	}
}

// windowLoops calls f for every loop over windows with one variable.
func (l *linter) windowLoops(f func(loop *syntax.ForStmt, window *syntax.Ident)) {
	each(l.Tree, func(loop *syntax.ForStmt) {
		if id, ok := source.Inner(loop.Vars).(*syntax.Ident); ok && l.Kind(loop.X) == "each window" {
			f(loop, source.Variable(id))
		}
	})
}

func windowNotCommitted(l *linter) {
	l.windowLoops(func(loop *syntax.ForStmt, window *syntax.Ident) {
		w := &windowPaths{linter: l, window: window}
		if done, left := w.block(loop.Body, false); !done && !left && !w.told {
			l.tell(loop, fmt.Sprintf("the loop can come to its end without committing %s", window.Name), fmt.Sprintf("call checkpoint.commit(%s) at its end", window.Name))
		}
	})
}

// windowPaths goes through the ways of a loop's body.
type windowPaths struct {
	*linter
	window *syntax.Ident
	told   bool
}

// block reports whether the window is done with at the end of some statements, and whether nothing gets there.
func (w *windowPaths) block(stmts []syntax.Stmt, done bool) (bool, bool) {
	for _, s := range stmts {
		switch s := s.(type) {
		case *syntax.IfStmt:
			done = done || w.settles(s.Cond)
			yes, leftYes := w.block(s.True, done)
			no, leftNo := w.block(s.False, done)
			if leftYes && leftNo {
				return true, true
			}
			done = (yes || leftYes) && (no || leftNo)
		case *syntax.ForStmt:
			done = done || w.settles(s) // commit-in-page-loop tells of the rest
		case *syntax.BranchStmt:
			if s.Token == syntax.CONTINUE && !done {
				w.told = true
				w.tell(s, fmt.Sprintf("the loop goes on without committing %s", w.window.Name), fmt.Sprintf("call checkpoint.commit(%s) first", w.window.Name))
			}
			if s.Token != syntax.PASS {
				return done, true
			}
		default:
			if w.leaves(s) {
				return done, true
			}
			done = done || w.settles(s)
		}
	}
	return done, false
}

// settles reports whether something commits the window or gives it up, or may, as it hands it to a function of the script that does,
// or that cannot be seen.
func (w *windowPaths) settles(n syntax.Node) bool {
	found := false
	each(n, func(call *syntax.CallExpr) {
		name, m := w.Callee(call)
		switch {
		case name == "checkpoint.commit":
			found = found || len(call.Args) > 0 // without the window it is not done
		case name == "window.fail" || name == "window.gap":
			found = true
		case m == nil:
			for _, arg := range call.Args {
				if key, value := keyword(arg); key != nil {
					arg = value
				}
				if id, ok := arg.(*syntax.Ident); ok && source.Variable(id) == w.window {
					found = found || w.mayCommit(call)
				}
			}
		}
	})
	return found
}

// mayCommit reports whether a function that gets the window may commit it.
func (w *windowPaths) mayCommit(call *syntax.CallExpr) bool {
	id, ok := call.Fn.(*syntax.Ident)
	if !ok {
		return true
	}
	if source.Variable(id) == nil { // str(window), and print(window)
		return false
	}
	def, in := w.Function(id)
	if def == nil {
		return true
	}
	may := false
	each(def, func(call *syntax.CallExpr) {
		name, m := in.Callee(call)
		if name == "checkpoint.commit" {
			may = true
		}
		if m == nil {
			switch fn := call.Fn.(type) {
			case *syntax.DotExpr: // window.fail of a parameter, which may be anything
				may = may || fn.Name.Name == "fail" || fn.Name.Name == "gap"
			case *syntax.Ident: // one more function: do not follow it
				may = may || source.Variable(fn) != nil && source.Variable(fn) != source.Variable(def.Name)
			}
		}
	})
	return may
}

func commitInPageLoop(l *linter) {
	l.windowLoops(func(loop *syntax.ForStmt, window *syntax.Ident) {
		each(loop, func(pages *syntax.ForStmt) {
			if pages == loop || l.Kind(pages.X) != "each response" {
				return
			}
			each(pages, func(call *syntax.CallExpr) {
				if l.called(call) == "checkpoint.commit" && len(call.Args) > 0 {
					l.tell(call, fmt.Sprintf("%s is committed after its first page", window.Name), "move the commit behind the loop over pages")
				}
			})
		})
	})
}

func windowWithoutDelay(l *linter) {
	each(l.Tree, func(call *syntax.CallExpr) {
		var delay syntax.Expr
		name := l.called(call)
		switch name {
		case "checkpoint.windows":
			if delay = argument(call, -1, "delay"); delay == nil && !hasStars(call) {
				l.tell(call.Fn, "checkpoint.windows is called without delay", "give it what the API takes until it has all rows, such as delay = \"5m\"")
				return
			}
		case "checkpoint.sweeps":
			delay = argument(call, -1, "settles")
		}
		if delay != nil && isZero(delay) {
			l.tell(delay, "windows reach up to now, and rows that come late are never asked for", "give what the API takes until it has all rows, such as \"5m\"")
		}
	})
}

func hasStars(call *syntax.CallExpr) bool {
	for _, arg := range call.Args {
		if isStar(arg) {
			return true
		}
	}
	return false
}

// isZero reports whether a literal is no time at all: 0, "0" or "0s".
func isZero(e syntax.Expr) bool {
	lit, ok := e.(*syntax.Literal)
	if !ok {
		return false
	}
	switch v := lit.Value.(type) {
	case int64:
		return v == 0
	case float64:
		return v == 0
	case string:
		return strings.Trim(v, "0. smhd") == "" && strings.Contains(v, "0")
	}
	return false
}

func setWithoutCommit(l *linter) {
	commits := false
	var sets []*syntax.CallExpr
	each(l.Tree, func(call *syntax.CallExpr) {
		switch l.called(call) {
		case "checkpoint.commit":
			commits = true
		case "checkpoint.set":
			if l.inLoop(call) {
				sets = append(sets, call)
			}
		}
	})
	if !commits {
		for _, call := range sets {
			l.tell(call, "a cursor is set in a loop, and nothing commits it before the pull ends", "call checkpoint.commit() behind it")
		}
	}
}

func (l *linter) inLoop(n syntax.Node) bool {
	for ; n != nil; n = l.Parents[n] {
		switch n.(type) {
		case *syntax.ForStmt:
			return true
		case *syntax.DefStmt:
			return false
		}
	}
	return false
}

func setAfterCommit(l *linter) {
	blocks(l.Tree, func(stmts []syntax.Stmt) {
		committed := false
		for i, s := range stmts {
			call := l.statementCall(s)
			switch {
			case call == nil:
				committed = committed && i < len(stmts) && !sends(l, s)
			case l.called(call) == "checkpoint.commit":
				committed = true
			case l.called(call) == "devo.send":
				committed = false
			case l.called(call) == "checkpoint.set" && committed && l.inLoop(s) && !l.commitsIn(stmts[i+1:]):
				l.tell(call, "the cursor is set behind the commit that it belongs to", "move it in front of the commit")
			}
		}
	})
}

// sends reports whether a statement sends events, which then wait for another commit.
func sends(l *linter, s syntax.Stmt) bool {
	found := false
	each(s, func(call *syntax.CallExpr) { found = found || l.called(call) == "devo.send" })
	return found
}

func (l *linter) commitsIn(stmts []syntax.Stmt) bool {
	found := false
	for _, s := range stmts {
		each(s, func(call *syntax.CallExpr) { found = found || l.called(call) == "checkpoint.commit" })
	}
	return found
}

// statementCall returns the call that a statement is, or nil.
func (l *linter) statementCall(s syntax.Stmt) *syntax.CallExpr {
	if e, ok := s.(*syntax.ExprStmt); ok {
		call, _ := e.X.(*syntax.CallExpr)
		return call
	}
	return nil
}

// blocks calls f for every list of statements.
func blocks(f *syntax.File, g func([]syntax.Stmt)) {
	g(f.Stmts)
	each[syntax.Stmt](f, func(s syntax.Stmt) {
		switch s := s.(type) {
		case *syntax.DefStmt:
			g(s.Body)
		case *syntax.ForStmt:
			g(s.Body)
		case *syntax.IfStmt:
			g(s.True)
			g(s.False)
		}
	})
}

func getWithoutDefault(l *linter) {
	each(l.Tree, func(call *syntax.CallExpr) {
		if l.called(call) != "checkpoint.get" || argument(call, 1, "default") != nil || hasStars(call) {
			return
		}
		const fix = "give it a default: checkpoint.get(name, default)"
		if l.failsOnNone(call) {
			l.tell(call, "before the first commit this is None, which fails here", fix)
			return
		}
		assign, ok := l.Parents[call].(*syntax.AssignStmt)
		if !ok {
			return
		}
		id, ok := assign.LHS.(*syntax.Ident)
		if !ok || len(l.Defs[source.Variable(id)]) != 1 {
			return
		}
		var fails *syntax.Ident
		for _, use := range l.Uses[source.Variable(id)] {
			if l.asksForNone(use) {
				return
			}
			if fails == nil && l.failsOnNone(use) {
				fails = use
			}
		}
		if fails != nil {
			l.tell(call, fmt.Sprintf("before the first commit this is None, which fails in line %d", fails.NamePos.Line), fix)
		}
	})
}

// failsOnNone reports whether an expression stands where None is an error.
func (l *linter) failsOnNone(e syntax.Expr) bool {
	switch p := l.Parents[e].(type) {
	case *syntax.DotExpr:
		return p.X == e
	case *syntax.IndexExpr:
		return p.X == e
	case *syntax.SliceExpr:
		return p.X == e
	case *syntax.ForStmt:
		return p.X == e
	case *syntax.ForClause:
		return p.X == e
	case *syntax.BinaryExpr:
		switch p.Op {
		case syntax.PLUS, syntax.MINUS, syntax.STAR, syntax.SLASH, syntax.SLASHSLASH, syntax.LT, syntax.GT, syntax.LE, syntax.GE:
			return true
		}
	case *syntax.CallExpr:
		id, ok := p.Fn.(*syntax.Ident)
		return ok && source.Variable(id) == nil && (id.Name == "int" || id.Name == "len" || id.Name == "float" || id.Name == "sorted" || id.Name == "max" || id.Name == "min") ||
			l.called(p) == "time.parse" && argument(p, -1, "default") == nil
	}
	return false
}

// asksForNone reports whether a use asks if there is a value.
func (l *linter) asksForNone(use *syntax.Ident) bool {
	switch p := l.Parents[use].(type) {
	case *syntax.IfStmt:
		return p.Cond == syntax.Expr(use)
	case *syntax.CondExpr:
		return p.Cond == syntax.Expr(use)
	case *syntax.IfClause:
		return true
	case *syntax.CallExpr:
		id, ok := p.Fn.(*syntax.Ident)
		return ok && id.Name == "type"
	case *syntax.UnaryExpr:
		return p.Op == syntax.NOT
	case *syntax.BinaryExpr:
		return p.Op == syntax.OR || p.Op == syntax.AND || p.Op == syntax.EQL || p.Op == syntax.NEQ
	}
	return false
}
