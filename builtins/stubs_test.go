package builtins

import (
	"context"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

func readStubs(t *testing.T) map[string]Stub {
	t.Helper()
	list, err := Stubs()
	if err != nil {
		t.Fatal(err)
	}
	stubs := map[string]Stub{}
	for _, s := range list {
		key := s.Name
		if s.Value {
			key = "values/" + s.Name
		}
		stubs[key] = s
	}
	return stubs
}

func (s Stub) names() []string {
	var names []string
	for _, m := range s.Members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

// exampleValues are one of each kind of value, by the name of its stub.
func exampleValues(t *testing.T) map[string]starlark.HasAttrs {
	values := map[string]starlark.HasAttrs{"response": &response{}, "window": &sweep{}, "element": &xmlElement{}}
	for name, source := range map[string]string{
		"client":     `http.client("https://example.com")`,
		"duration":   `time.duration("5m")`,
		"expression": `field("A")`,
		"mapping":    `fields.map({})`,
		"pattern":    `re.compile("a")`,
		"record":     `json.decode("{}")`,
		"time":       `time.parse("2026-01-02")`,
	} {
		v, err := starlark.EvalOptions(testOptions, new(starlark.Thread), "x.star", source, All())
		if err != nil {
			t.Fatal(err)
		}
		values[name] = v.(starlark.HasAttrs)
	}
	return values
}

func TestEveryMemberHasAStub(t *testing.T) {
	t.Parallel()
	stubs := readStubs(t)
	want := map[string][]string{"values/t": attributesOfT(t)}
	for name, v := range All() {
		if m, ok := v.(*starlarkstruct.Module); ok {
			want[name] = m.AttrNames()
		} else {
			want["names"] = append(want["names"], name)
		}
	}
	for name, v := range exampleValues(t) {
		want["values/"+name] = v.AttrNames()
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		slices.Sort(want[key])
		if got := stubs[key].names(); !slices.Equal(got, want[key]) {
			t.Errorf("stubs/%s.star describes\n%v, there is\n%v", key, got, want[key])
		}
		delete(stubs, key)
	}
	for key := range stubs {
		t.Errorf("stubs/%s.star describes what is not there", key)
	}
}

// attributesOfT asks the engine for the attributes of the value that tests get.
func attributesOfT(t *testing.T) []string {
	library := &engine.Library{Predeclared: All(), Builtin: fstest.MapFS{
		"x.star":      {Data: []byte("def pull():\n    pass\n")},
		"x_test.star": {Data: []byte("def test_x(t):\n    fail(\"|\" + \",\".join(dir(t)) + \"|\")\n")},
	}}
	sources, err := library.Read()
	if err != nil {
		t.Fatal(err)
	}
	results := library.Test(context.Background(), sources, "x_test.star", engine.Limits{}.WithDefaults())
	if len(results.Results) != 1 {
		t.Fatalf("got %d results: %v", len(results.Results), results.LoadErr)
	}
	parts := strings.Split(results.Results[0].Err.Error(), "|")
	if len(parts) != 3 {
		t.Fatalf("got %v", results.Results[0].Err)
	}
	return strings.Split(parts[1], ",")
}

// TestStubsNameTheArguments calls everything with each argument that its stub names: Go must know it.
func TestStubsNameTheArguments(t *testing.T) {
	t.Parallel()
	stubs := readStubs(t)
	all := All()
	values := exampleValues(t)
	for key, s := range stubs {
		for _, m := range s.Members {
			var fn starlark.Value
			name, isValue := strings.CutPrefix(key, "values/")
			switch v := values[name]; {
			case m.Signature == "" || key == "values/t" || key == "math": // Starlark's math takes no names
				continue
			case isValue:
				fn, _ = v.Attr(m.Name)
			case key == "names":
				fn = all[m.Name]
			default:
				fn, _ = all[key].(*starlarkstruct.Module).Attr(m.Name)
			}
			if fn == nil {
				continue // TestEveryMemberHasAStub tells
			}
			for _, a := range m.Arguments {
				p := a.Name
				if a.Prefix != "" {
					continue
				}
				kwargs := []starlark.Tuple{{starlark.String(p), starlark.None}}
				var args starlark.Tuple
				if key == "re" && p != "pattern" {
					args = starlark.Tuple{starlark.String("a")} // these functions take it by position
				}
				if key == "re" && p == "pattern" && m.Name != "compile" {
					continue
				}
				_, err := starlark.Call(new(starlark.Thread), fn, args, kwargs)
				if err != nil && strings.Contains(err.Error(), "unexpected keyword argument") {
					t.Errorf("stubs/%s.star: %s: %v", key, m.Name, err)
				}
			}
		}
	}
}

// TestEveryArgumentIsInAStub finds the arguments that Go code unpacks, so that a new one is not forgotten.
func TestEveryArgumentIsInAStub(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, s := range readStubs(t) {
		for _, m := range s.Members {
			for _, a := range m.Arguments {
				known[a.Name] = true
			}
		}
	}
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !unpacks(call.Fun) {
				return true
			}
			for _, arg := range call.Args {
				lit, ok := arg.(*ast.BasicLit)
				if !ok || lit.Kind != gotoken.STRING {
					continue
				}
				name, _ := strconv.Unquote(lit.Value)
				found++
				if name = strings.TrimRight(name, "?"); !known[name] {
					t.Errorf("%s: no stub has the argument %s", file, name)
				}
			}
			return true
		})
	}
	if found < 50 {
		t.Errorf("found %d arguments in Go, which cannot be all", found)
	}
}

func unpacks(fun ast.Expr) bool {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name == "unpack"
	case *ast.SelectorExpr:
		return f.Sel.Name == "unpack" || f.Sel.Name == "UnpackArgs"
	}
	return false
}

// TestStubExamples evaluates every example that says what it gives, and resolves the others.
func TestStubExamples(t *testing.T) {
	t.Parallel()
	equation := regexp.MustCompile(`^[^\n]* == [^\n]*$`)
	evaluated := 0
	for key, s := range readStubs(t) {
		for _, m := range s.Members {
			switch {
			case m.Signature == "":
			case equation.MatchString(m.Example):
				evaluated++
				v, err := starlark.EvalOptions(testOptions, new(starlark.Thread), key, m.Example, All())
				if err != nil || v != starlark.True {
					t.Errorf("stubs/%s.star: %s: got %v, %v", key, m.Example, v, err)
				}
			default:
				checkExample(t, key, m.Example)
			}
		}
	}
	if evaluated < 40 {
		t.Errorf("evaluated %d examples, which cannot be all", evaluated)
	}
}

// TestEverythingIsDocumented: no member, no argument and no kind of value without a text.
func TestEverythingIsDocumented(t *testing.T) {
	t.Parallel()
	stubs := readStubs(t)
	known := []string{"None", "bool", "int", "float", "string", "list", "dict", "struct", "secret", "file", "table"}
	for key, s := range stubs {
		used := map[string]bool{}
		for _, m := range s.Members {
			if m.Doc == "" {
				t.Errorf("stubs/%s.star: %s has no docstring", key, m.Name)
			}
			for _, a := range m.Arguments {
				used[a.Name] = used[a.Name] || !a.Own
				if a.Doc == "" {
					t.Errorf("stubs/%s.star: %s: the argument %s has no line below Args:", key, m.Name, a.Name)
				}
			}
			kind := strings.TrimPrefix(m.Returns, "each ")
			if _, ok := stubs["values/"+kind]; kind != "" && !ok && !slices.Contains(known, kind) {
				t.Errorf("stubs/%s.star: %s returns %s, which nothing describes", key, m.Name, m.Returns)
			}
		}
		for _, a := range s.Args {
			if !used[a.Name] {
				t.Errorf("stubs/%s.star: nothing takes the argument %s of its docstring", key, a.Name)
			}
		}
	}
}

// freeNames are the names that examples use without saying where they come from.
var freeNames = []string{"api", "auth", "blob", "campaign_of", "client_id", "client_secret", "event", "mailbox", "page",
	"r", "record", "reset", "t", "table", "tenant", "token", "trace", "window"}

func checkExample(t *testing.T, key, example string) {
	f, err := testOptions.Parse(key, "def example():\n    "+strings.ReplaceAll(example, "\n", "\n    ")+"\n", 0)
	if err != nil {
		t.Errorf("stubs/%s.star: %v", key, err)
		return
	}
	known := func(name string) bool { return All().Has(name) || slices.Contains(freeNames, name) }
	if err := resolve.File(f, known, starlark.Universe.Has); err != nil {
		t.Errorf("stubs/%s.star: %v in\n%s", key, err, example)
	}
}
