package source

import (
	"fmt"
	"strings"
	"testing"

	"go.starlark.net/syntax"
)

// TestKindOfNamesWithManyDefinitions ends: each is followed once, not once for each way that leads to it.
func TestKindOfNamesWithManyDefinitions(t *testing.T) {
	t.Parallel()
	levels := "x0 = 'a'\n"
	for i := range 5 {
		levels += strings.Repeat(fmt.Sprintf("    x%d = x%d + x%d\n", i+1, i, i), 60)
	}
	for name, c := range map[string]struct{ body, want string }{
		"its own value":   {"x5 = r['a']\n" + strings.Repeat("    x5 = x5.replace('a', 'b')\n", 60), ""},
		"of one another":  {levels, "string"},
		"of two kinds":    {"x5 = 1\n    x5 = 'a'\n", ""},
		"of the same one": {"x5 = 'b'\n    x5 = 'a'\n", "string"},
	} {
		r, err := NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		f := r.Read("x.star", []byte("def f(r):\n    "+c.body+"    return x5\n"))
		var result syntax.Expr
		syntax.Walk(f.Tree, func(n syntax.Node) bool {
			if n, ok := n.(*syntax.ReturnStmt); ok {
				result = n.Result
			}
			return true
		})
		if got := f.Kind(result); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
