package lint

import (
	"path/filepath"
	"strings"

	"go.starlark.net/syntax"

	"starling/cmd/internal/source"
)

func fileLints() []Lint {
	return []Lint{
		{"missing-test", "A script has no tests, so that an edit that breaks it is put into use. Write a file of the same name that ends in _test.star, with functions test_*(t).", missingTest},
		{"missing-table", "A script has no devo.table, so that nothing it pulls goes anywhere. Make one at the top level, and send to it with devo.send.", missingTable},
		{"bad-ignore", "A comment that should keep a lint quiet names none, gives no reason, or stands where there is nothing to ignore. Write # lint: ignore NAME reason on the line, or take it out.", nil},
	}
}

// isFixture reports whether the file is what tests read, not a script that runs.
func (l *linter) isFixture() bool {
	return strings.Contains("/"+l.name, "/testdata/") || strings.Contains("/"+filepath.ToSlash(l.Name), "/testdata/")
}

func missingTest(l *linter) {
	if pull := l.pull(); pull != nil && l.reader.Text != nil && !l.isFixture() {
		if _, ok := l.sibling(); !ok {
			l.tell(pull, "the script has no tests", "write "+strings.TrimSuffix(l.name, ".star")+"_test.star with functions test_*(t)")
		}
	}
}

func missingTable(l *linter) {
	told := false
	each(l.Tree, func(call *syntax.CallExpr) {
		if l.called(call) != "devo.send" {
			return
		}
		if table := argument(call, 0, "table"); table != nil && l.Kind(table) == "string" {
			told = true
			l.tell(table, "devo.send gets the name of a table, and wants what devo.table returns", "make a table at the top level: devo.table(…)")
		}
	})
	if pull := l.pull(); pull != nil && !told && !l.isFixture() && !l.hasTable(l.File, map[string]bool{}) {
		l.tell(pull, "the script has no devo.table, so nothing that it pulls goes anywhere", "make one at the top level: devo.table(\"my.app.name\", …)")
	}
}

// hasTable reports whether a file, or one that it loads, makes a table; a file that cannot be read may.
func (l *linter) hasTable(f *source.File, seen map[string]bool) bool {
	found := false
	each(f.Tree, func(n syntax.Node) {
		switch n := n.(type) {
		case *syntax.CallExpr:
			name, _ := f.Callee(n)
			found = found || name == "devo.table"
		case *syntax.LoadStmt:
			if module := n.ModuleName(); !seen[module] {
				seen[module] = true
				loaded := f.Load(n)
				found = found || loaded == nil || loaded.Tree == nil || l.hasTable(loaded, seen)
			}
		}
	})
	return found
}
