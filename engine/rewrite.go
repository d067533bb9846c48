package engine

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"
)

// maxDepth is how deep the syntax tree of a script may be: what resolves and compiles it calls itself
// for each level. The parser bounds brackets and blocks, but not chains such as 1+1+1+…
const maxDepth = 2000

// A rewriter puts guards into a script: x + y becomes guard[x] + y, with the places of everything as
// they were. Where a guard can find nothing, such as in i + 1, there is none.
type rewriter struct {
	depth int
	marks *Statements // gets to know of each statement that runs; may be nil
}

// rewriteFile puts guards into a file that is not resolved yet, and marks if there are any to count.
func rewriteFile(f *syntax.File, marks *Statements) (err error) {
	defer func() {
		if e, ok := recover().(syntax.Error); ok {
			err = e
		}
	}()
	(&rewriter{marks: marks}).stmts(&f.Stmts)
	return nil
}

func (r *rewriter) stmts(list *[]syntax.Stmt) {
	plain := *list
	if r.marks != nil { // places are those before guards
		*list = r.marks.marked(plain)
	}
	for _, s := range plain {
		r.stmt(s)
	}
}

func (r *rewriter) stmt(s syntax.Stmt) {
	r.enter(s)
	defer r.leave()
	switch s := s.(type) {
	case *syntax.AssignStmt:
		r.assign(s)
	case *syntax.DefStmt:
		r.params(s.Params)
		r.stmts(&s.Body)
	case *syntax.ExprStmt:
		r.expr(&s.X)
	case *syntax.ForStmt:
		r.target(s.Vars)
		r.expr(&s.X)
		r.stmts(&s.Body)
		if r.marks != nil {
			s.Body = append(s.Body, r.marks.back(s))
		}
	case *syntax.IfStmt:
		r.expr(&s.Cond)
		r.stmts(&s.True)
		r.stmts(&s.False)
	case *syntax.WhileStmt:
		r.expr(&s.Cond)
		r.stmts(&s.Body)
	case *syntax.ReturnStmt:
		if s.Result != nil {
			r.expr(&s.Result)
		}
	}
}

func (r *rewriter) assign(s *syntax.AssignStmt) {
	r.target(s.LHS)
	r.expr(&s.RHS)
	name, simple := s.LHS.(*syntax.Ident)
	switch {
	case s.Op == syntax.PLUS_EQ:
		// It changes a list in place, so that x = x + y is something else.
		if !isSmall(s.RHS) {
			wrap(guardAssign, &s.RHS, s.OpPos)
		}
	case s.Op != syntax.STAR_EQ && s.Op != syntax.PERCENT_EQ && s.Op != syntax.LTLT_EQ:
	case !simple:
		fail(s, "%s is for names here: write what it stands for, x[i] = x[i] %s …", s.Op, s.Op-syntax.PLUS_EQ+syntax.PLUS)
	default:
		read := &syntax.Ident{NamePos: name.NamePos, Name: name.Name}
		value := &syntax.BinaryExpr{X: read, OpPos: s.OpPos, Op: s.Op - syntax.PLUS_EQ + syntax.PLUS, Y: s.RHS}
		r.guard(value)
		s.Op, s.RHS = syntax.EQ, value
	}
}

// fail ends the rewriting with an error at the place of n.
func fail(n syntax.Node, format string, args ...any) {
	start, _ := n.Span()
	panic(syntax.Error{Pos: start, Msg: fmt.Sprintf(format, args...)})
}

// target rewrites what is assigned to: the parts of it that are read.
func (r *rewriter) target(e syntax.Expr) {
	r.enter(e)
	defer r.leave()
	switch e := e.(type) {
	case *syntax.ParenExpr:
		r.target(e.X)
	case *syntax.TupleExpr:
		for _, x := range e.List {
			r.target(x)
		}
	case *syntax.ListExpr:
		for _, x := range e.List {
			r.target(x)
		}
	case *syntax.IndexExpr:
		r.index(e)
	case *syntax.DotExpr:
		r.expr(&e.X)
	}
}

// params rewrites the defaults of parameters.
func (r *rewriter) params(params []syntax.Expr) {
	for _, p := range params {
		if p, ok := p.(*syntax.BinaryExpr); ok {
			r.expr(&p.Y)
		}
	}
}

func (r *rewriter) exprs(list []syntax.Expr) {
	for i := range list {
		r.expr(&list[i])
	}
}

func (r *rewriter) expr(p *syntax.Expr) {
	r.enter(*p)
	defer r.leave()
	switch e := (*p).(type) {
	case *syntax.BinaryExpr:
		r.binary(e)
	case *syntax.CallExpr:
		r.call(e)
	case *syntax.Comprehension:
		r.comprehension(e)
	case *syntax.CondExpr:
		r.expr(&e.Cond)
		r.expr(&e.True)
		r.expr(&e.False)
	case *syntax.DictExpr:
		r.exprs(e.List)
	case *syntax.DictEntry:
		r.expr(&e.Key)
		r.expr(&e.Value)
		wrapKey(&e.Key, e.Colon)
	case *syntax.DotExpr:
		r.dot(e)
	case *syntax.IndexExpr:
		r.index(e)
	case *syntax.LambdaExpr:
		r.params(e.Params)
		r.expr(&e.Body)
	case *syntax.ListExpr:
		r.exprs(e.List)
	case *syntax.ParenExpr:
		r.expr(&e.X)
	case *syntax.SliceExpr:
		r.expr(&e.X)
		for _, x := range []*syntax.Expr{&e.Lo, &e.Hi, &e.Step} {
			if *x != nil {
				r.expr(x)
			}
		}
	case *syntax.TupleExpr:
		r.exprs(e.List)
	case *syntax.UnaryExpr:
		if e.X != nil {
			r.expr(&e.X)
		}
	}
}

func (r *rewriter) binary(e *syntax.BinaryExpr) {
	r.expr(&e.X)
	r.expr(&e.Y)
	r.guard(e)
}

// guard puts guards around the operands of an operator.
func (r *rewriter) guard(e *syntax.BinaryExpr) {
	switch e.Op {
	case syntax.PLUS:
		if !isSmall(e.X) && !isSmall(e.Y) {
			wrap(guardAdd, &e.X, e.OpPos)
		}
	case syntax.STAR:
		switch {
		case isNumber(e.X):
			wrap(guardTimes, &e.Y, e.OpPos)
		case isNumber(e.Y):
			wrap(guardTimes, &e.X, e.OpPos)
		default:
			wrap(guardRepeat, &e.X, e.OpPos)
			wrap(guardRepeat, &e.Y, e.OpPos)
		}
	case syntax.PERCENT:
		if !isNumber(e.X) {
			wrap(guardFormat, &e.X, e.OpPos)
		}
	case syntax.LTLT:
		wrap(guardShift, &e.X, e.OpPos)
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE:
		if !isLiteral(e.X) && !isLiteral(e.Y) {
			wrap(guardCompare, &e.X, e.OpPos)
		}
	case syntax.IN, syntax.NOT_IN:
		if !isLiteral(e.X) {
			wrap(guardIn, &e.X, e.OpPos)
		}
	}
}

func (r *rewriter) call(e *syntax.CallExpr) {
	dot, method := e.Fn.(*syntax.DotExpr)
	lookup := ""
	if method {
		lookup = lookups[dot.Name.Name]
	}
	if lookup != "" && len(e.Args) > 0 && isPositional(e.Args[0]) {
		// The first argument is guarded instead of the method.
		r.expr(&dot.X)
		r.args(e.Args)
		if !isLiteral(e.Args[0]) {
			wrap(lookup, &e.Args[0], e.Lparen)
		}
		return
	}
	r.expr(&e.Fn)
	r.args(e.Args)
}

func isPositional(arg syntax.Expr) bool {
	switch arg := arg.(type) {
	case *syntax.BinaryExpr:
		return arg.Op != syntax.EQ
	case *syntax.UnaryExpr:
		return arg.Op != syntax.STAR && arg.Op != syntax.STARSTAR
	}
	return true
}

func (r *rewriter) args(args []syntax.Expr) {
	for i := range args {
		switch arg := args[i].(type) {
		case *syntax.BinaryExpr:
			if arg.Op == syntax.EQ { // name = value
				r.expr(&arg.Y)
				continue
			}
		case *syntax.UnaryExpr:
			if arg.Op == syntax.STAR {
				r.expr(&arg.X)
				wrap(guardArgs, &arg.X, arg.OpPos)
				continue
			}
		}
		r.expr(&args[i])
	}
}

func (r *rewriter) comprehension(e *syntax.Comprehension) {
	r.expr(&e.Body)
	for _, c := range e.Clauses {
		switch c := c.(type) {
		case *syntax.ForClause:
			r.target(c.Vars)
			r.expr(&c.X)
		case *syntax.IfClause:
			r.expr(&c.Cond)
		}
	}
}

func (r *rewriter) dot(e *syntax.DotExpr) {
	r.expr(&e.X)
	if hasBounds(e.Name.Name) {
		wrap(guardMethod, &e.X, e.Dot)
	}
}

func (r *rewriter) index(e *syntax.IndexExpr) {
	r.expr(&e.X)
	r.expr(&e.Y)
	wrapKey(&e.Y, e.Lbrack)
}

func wrapKey(p *syntax.Expr, pos syntax.Position) {
	if !isLiteral(*p) && !isNumber(*p) {
		wrap(guardKey, p, pos)
	}
}

// wrap puts a guard around an expression. Errors of the guard have the place pos.
func wrap(guard string, p *syntax.Expr, pos syntax.Position) {
	start, _ := (*p).Span()
	*p = &syntax.IndexExpr{X: &syntax.Ident{NamePos: start, Name: guard}, Lbrack: pos, Y: *p, Rbrack: pos}
}

// unwrapped returns the expression that a guard is around, or e.
func unwrapped(e syntax.Expr) syntax.Expr {
	if index, ok := e.(*syntax.IndexExpr); ok {
		if name, ok := index.X.(*syntax.Ident); ok && strings.HasPrefix(name.Name, guardPrefix) {
			return index.Y
		}
	}
	return e
}

func isLiteral(e syntax.Expr) bool {
	_, ok := e.(*syntax.Literal)
	return ok
}

// isNumber reports whether an expression is a number that is written out, and not a large one.
func isNumber(e syntax.Expr) bool {
	if u, ok := e.(*syntax.UnaryExpr); ok && (u.Op == syntax.MINUS || u.Op == syntax.PLUS) {
		e = u.X
	}
	l, ok := e.(*syntax.Literal)
	if !ok {
		return false
	}
	switch l.Value.(type) {
	case int64, float64:
		return true
	}
	return false
}

// maxSmall is how much may be added each time without a bound, in bytes or items.
const maxSmall = 256

// isSmall reports whether what is added is written out and little, so that a loop needs many steps to
// add up to something large.
func isSmall(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.Literal:
		return len(e.Raw) <= maxSmall
	case *syntax.ListExpr:
		return len(e.List) <= maxSmall
	case *syntax.TupleExpr:
		return len(e.List) <= maxSmall
	}
	return isNumber(e)
}

func (r *rewriter) enter(n syntax.Node) {
	if r.depth++; r.depth > maxDepth {
		fail(n, "nested deeper than %d levels: split it up", maxDepth)
	}
}

func (r *rewriter) leave() { r.depth-- }
