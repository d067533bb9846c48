package reference

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"starling/engine"
)

func parseGo(root, file string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(file)), nil, parser.ParseComments)
}

// metrics finds the instruments where they are made: calls whose first argument is a name that begins
// with "starling.". What follows are the unit, unless seconds implies it, and the description.
func metrics(root string) (string, error) {
	var rows [][]string
	for _, file := range []string{"engine/telemetry.go", "engine/observe.go"} {
		f, err := parseGo(root, file)
		if err != nil {
			return "", err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			texts := literals(call)
			if len(texts) < 2 || !strings.HasPrefix(texts[0], "starling.") {
				return true
			}
			maker, unit := name(call.Fun), ""
			switch {
			case len(texts) == 3:
				unit = texts[1]
			case maker == "seconds":
				unit = "s"
			}
			rows = append(rows, []string{code(texts[0]), kindOf(maker), unit, texts[len(texts)-1]})
			return false
		})
	}
	if len(rows) == 0 {
		return "", fmt.Errorf("found no metric in the source of the engine")
	}
	keys, err := attributeKeys(root)
	if err != nil {
		return "", err
	}
	return "## Metrics\n\nPrometheus writes `_` for `.`, and adds the unit and `_total`.\n\n" +
		table([]string{"name", "kind", "unit", "what it says"}, rows) +
		"\nAttributes of metrics, spans and log lines:\n\n" + keys, nil
}

// literals lists the strings among the arguments of a call, those inside of calls included.
func literals(call *ast.CallExpr) (texts []string) {
	for _, arg := range call.Args {
		switch arg := arg.(type) {
		case *ast.BasicLit:
			if text, err := strconv.Unquote(arg.Value); err == nil && arg.Kind == token.STRING {
				texts = append(texts, text)
			}
		case *ast.CallExpr:
			texts = append(texts, literals(arg)...)
		}
	}
	return texts
}

// name returns the last name of what is called.
func name(fun ast.Expr) string {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

func kindOf(maker string) string {
	switch {
	case strings.HasSuffix(maker, "Gauge"):
		return "gauge"
	case maker == "seconds" || strings.HasSuffix(maker, "Histogram"):
		return "histogram"
	}
	return "counter"
}

func attributeKeys(root string) (string, error) {
	return constants(root, "engine/telemetry.go", "Key", "attribute")
}

func errorCodes(root string) (string, error) {
	codes, err := constants(root, "engine/error.go", "Code", "code")
	return "## Error codes\n\nThe attribute `code` of failures. They are stable and only ever added to.\n\n" + codes, err
}

// constants writes a table of the constants whose names begin with prefix, with their comments.
func constants(root, file, prefix, head string) (string, error) {
	f, err := parseGo(root, file)
	if err != nil {
		return "", err
	}
	var rows [][]string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		value, ok := spec.Values[0].(*ast.BasicLit)
		if call, isCall := spec.Values[0].(*ast.CallExpr); isCall && len(call.Args) == 1 {
			value, ok = call.Args[0].(*ast.BasicLit)
		}
		if ok {
			text, _ := strconv.Unquote(value.Value)
			rows = append(rows, []string{code(text), strings.TrimSpace(spec.Comment.Text())})
		}
		return true
	})
	if len(rows) == 0 {
		return "", fmt.Errorf("found no constant %s… in %s", prefix, file)
	}
	return table([]string{head, "what it says"}, rows), nil
}

// limits writes a table of the limits: their keys from where they are read, their defaults from the
// engine, their comments from the struct.
func limits(root string) (string, error) {
	f, err := parseGo(root, "engine/config_sections.go")
	if err != nil {
		return "", err
	}
	keys := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			field, isField := kv.Key.(*ast.Ident)
			ast.Inspect(kv.Value, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && isField {
					if texts := literals(call); len(texts) > 0 && keys[field.Name] == "" {
						keys[field.Name] = texts[0]
					}
				}
				return true
			})
		}
		return true
	})
	if f, err = parseGo(root, "engine/limits.go"); err != nil {
		return "", err
	}
	defaults := reflect.ValueOf(engine.Limits{}.WithDefaults())
	var rows [][]string
	var missing error
	ast.Inspect(f, func(n ast.Node) bool {
		st, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range st.Fields.List {
			name := field.Names[0].Name
			if keys[name] == "" {
				missing = fmt.Errorf("engine/config_sections.go reads no key for Limits.%s", name)
			}
			rows = append(rows, []string{code(keys[name]), shown(defaults.FieldByName(name)), strings.TrimSpace(field.Comment.Text())})
		}
		return true
	})
	return table([]string{"key", "default", "what it bounds"}, rows), missing
}

// shown writes a default as a person would.
func shown(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		text := d.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		return strings.Replace(text, "h0m", "h", 1)
	}
	if v.Kind() == reflect.String {
		return v.String()
	}
	if v.CanFloat() {
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	n, ok := v.Interface().(uint64)
	if !ok {
		n = uint64(v.Int())
	}
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return strconv.FormatUint(n, 10)
}

// comments returns the doc comments of functions and types of a file, as Markdown.
func comments(root, file string, names ...string) (string, error) {
	f, err := parseGo(root, file)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, decl := range f.Decls {
		for _, name := range names {
			if doc := docOf(decl, name); doc != "" {
				b.WriteString(markdown(doc))
			}
		}
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("%s has no comment for %v", file, names)
	}
	return b.String(), nil
}

func docOf(decl ast.Decl, name string) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.Name == name {
			return d.Doc.Text()
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok && t.Name.Name == name {
				return d.Doc.Text()
			}
		}
	}
	return ""
}

// markdown turns the text of a Go comment into Markdown.
func markdown(text string) string {
	var p comment.Parser
	var printer comment.Printer
	return string(printer.Markdown(p.Parse(text)))
}
