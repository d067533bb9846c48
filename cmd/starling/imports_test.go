package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "starling"

// A listed is what go list says about a package of ours.
type listed struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

func ours(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Imports,GoFiles", module+"/...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// mayImport says which packages of ours those of a folder may import beside those below it.
var mayImport = map[string][]string{
	"engine":   nil,
	"scripts":  nil,
	"builtins": {"engine"},
	"sinks":    {"engine"},
	"cmd":      {"engine", "builtins", "sinks", "scripts"},
}

// onlyCmd are modules that belong to the command line.
var onlyCmd = []string{
	"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", "go.opentelemetry.io/contrib",
	"github.com/prometheus", "github.com/spf13", "flag",
}

func TestPackagesImportOnlyWhatIsBelowThem(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range ours(t) {
		floor := folder(p.ImportPath)
		allowed, ok := mayImport[floor]
		if !ok {
			t.Errorf("%s: no rule says what it may import", p.ImportPath)
		}
		seen[floor] = true
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module+"/") && folder(imported) != floor && !slices.Contains(allowed, folder(imported)) {
				t.Errorf("%s imports %s; of ours it may import %v", p.ImportPath, imported, allowed)
			}
			if floor != "cmd" && slices.ContainsFunc(onlyCmd, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") }) {
				t.Errorf("%s imports %s, which is for cmd only", p.ImportPath, imported)
			}
			if floor == "scripts" && strings.Contains(imported, ".") {
				t.Errorf("%s imports %s; scripts imports nothing", p.ImportPath, imported)
			}
		}
	}
	if len(seen) != len(mayImport) {
		t.Errorf("looked at %v only", seen)
	}
}

// TestTheSimulatorSharesNoCode holds that what judges the collector is not made of it.
func TestTheSimulatorSharesNoCode(t *testing.T) {
	t.Parallel()
	for _, p := range ours(t) {
		if p.ImportPath != module+"/cmd/internal/sim" {
			continue
		}
		for _, imported := range p.Imports {
			if strings.Contains(imported, ".") || strings.HasPrefix(imported, module+"/") {
				t.Errorf("the simulator imports %s; it may import the standard library only", imported)
			}
		}
		return
	}
	t.Error("there is no simulator")
}

func folder(path string) string {
	floor, _, _ := strings.Cut(strings.TrimPrefix(path, module+"/"), "/")
	return floor
}

// TestNoInitAndNoVariablesThatChange holds what makes packages predictable: importing one does
// nothing, and what a package-level variable is at the start it stays.
func TestNoInitAndNoVariablesThatChange(t *testing.T) {
	t.Parallel()
	for _, p := range ours(t) {
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		for _, problem := range changes(fset, p.ImportPath, files) {
			t.Error(problem)
		}
	}
}

// changes lists init functions, and assignments to package-level variables inside functions.
func changes(fset *token.FileSet, path string, files []*ast.File) (problems []string) {
	// Imports are left out: a name is found in its scope without them, and only names matter here.
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, _ := (&types.Config{Error: func(error) {}, Importer: nothing{}}).Check(path, fset, files, info)
	tell := func(at token.Pos, what string) { problems = append(problems, fset.Position(at).String()+": "+what) }
	assigned := func(e ast.Expr) {
		if id := root(e); id != nil {
			if v, ok := info.Uses[id].(*types.Var); ok && v.Parent() == pkg.Scope() {
				tell(id.Pos(), "changes the package-level variable "+id.Name)
			}
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					tell(n.Pos(), "has an init function")
				}
			case *ast.AssignStmt:
				for _, e := range n.Lhs {
					assigned(e)
				}
			case *ast.IncDecStmt:
				assigned(n.X)
			case *ast.RangeStmt:
				assigned(n.Key)
				assigned(n.Value)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					assigned(n.X) // whoever has the address can change it
				}
			}
			return true
		})
	}
	return problems
}

// root returns x of x, x.y, x[i] and *x.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("left out") }

// TestTheCheckFindsChanges keeps the check above honest.
func TestTheCheckFindsChanges(t *testing.T) {
	t.Parallel()
	const text = `package x
import "sync"
var table = map[string]int{"a": 1}
var n int
var mu sync.Mutex
var fine = []string{"a"}
func init() {}
func f() {
	table["b"] = 2
	n++
	g(&n)
	n := 3
	n = 4
	for _, s := range fine { _ = s }
}
func g(*int) {}
`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x.go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(changes(fset, "x", []*ast.File{f}), "\n")
	want := "x.go:7:1: has an init function\nx.go:9:2: changes the package-level variable table\n" +
		"x.go:10:2: changes the package-level variable n\nx.go:11:5: changes the package-level variable n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestWhatStaysOutOfTheProgram: what is for tests only, and what keeps the linker from leaving out what nobody calls.
func TestWhatStaysOutOfTheProgram(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "grpcnotrace", module+"/cmd/starling").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(out))
	for _, no := range []string{"testing", "html/template", "golang.org/x/net/trace", "github.com/twmb/franz-go/pkg/kfake", module + "/sinks/sinktest"} {
		if slices.Contains(all, no) {
			t.Errorf("%s is part of the program", no)
		}
	}
	if !slices.Contains(all, module+"/sinks") {
		t.Error("looked at another program")
	}
}
