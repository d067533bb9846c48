package certify

import (
	"go.starlark.net/syntax"
)

// A source is what the text of a script says about it.
type source struct {
	keyed  bool  // a table has a key, or it asks checkpoint.seen
	tables []int // lines of devo.table
	seen   int   // line of checkpoint.seen
	ranges []int // lines of checkpoint.windows and checkpoint.sweeps
	clocks []int // lines of time.now
	// origins are the lines that assign what a line with checkpoint.set sets.
	origins map[int][]int
}

func readSource(name string, text []byte) *source {
	s := &source{origins: map[int][]int{}}
	f, err := (&syntax.FileOptions{Set: true}).Parse(name, text, 0)
	if err != nil {
		return s // loading it tells
	}
	for _, stmt := range f.Stmts {
		if def, ok := stmt.(*syntax.DefStmt); ok {
			s.trace(def)
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok {
			return true
		}
		start, _ := call.Span()
		switch called(call) {
		case "devo.table":
			s.tables = append(s.tables, int(start.Line))
			for _, arg := range call.Args {
				if b, ok := arg.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
					if name, ok := b.X.(*syntax.Ident); ok && name.Name == "key" {
						s.keyed = true
					}
				}
			}
		case "checkpoint.windows", "checkpoint.sweeps":
			s.ranges = append(s.ranges, int(start.Line))
		case "time.now":
			s.clocks = append(s.clocks, int(start.Line))
		case "checkpoint.seen":
			s.keyed, s.seen = true, int(start.Line)
		}
		return true
	})
	return s
}

// trace finds where the cursors that a function sets come from.
func (s *source) trace(def *syntax.DefStmt) {
	assigned := map[string][]int{}
	syntax.Walk(def, func(n syntax.Node) bool {
		if a, ok := n.(*syntax.AssignStmt); ok {
			if name, ok := a.LHS.(*syntax.Ident); ok {
				assigned[name.Name] = append(assigned[name.Name], int(name.NamePos.Line))
			}
		}
		return true
	})
	syntax.Walk(def, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok || called(call) != "checkpoint.set" || len(call.Args) < 2 {
			return true
		}
		start, _ := call.Span()
		syntax.Walk(call.Args[1], func(n syntax.Node) bool {
			if name, ok := n.(*syntax.Ident); ok {
				s.origins[int(start.Line)] = append(s.origins[int(start.Line)], assigned[name.Name]...)
			}
			return true
		})
		return true
	})
}

func called(call *syntax.CallExpr) string {
	dot, ok := call.Fn.(*syntax.DotExpr)
	if !ok {
		return ""
	}
	x, ok := dot.X.(*syntax.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + dot.Name.Name
}
