package certify

import (
	"go.starlark.net/syntax"
)

// A source is what the text of a script says about it.
type source struct {
	keyed  bool  // a table has a key, or it asks checkpoint.seen
	tables []int // lines of devo.table
	seen   int   // line of checkpoint.seen
}

func readSource(name string, text []byte) *source {
	s := &source{}
	f, err := (&syntax.FileOptions{Set: true}).Parse(name, text, 0)
	if err != nil {
		return s // loading it tells
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
		case "checkpoint.seen":
			s.keyed, s.seen = true, int(start.Line)
		}
		return true
	})
	return s
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
