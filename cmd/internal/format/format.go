// Package format lays out scripts in the one form that all of them have, that of Bazel's buildifier. It
// changes where things stand, never what they are: no name, no value, no order. A text that it cannot
// be sure of stays as it was.
package format

import (
	"bytes"
	"cmp"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"github.com/rogpeppe/go-internal/diff"
	"go.starlark.net/syntax"

	"starling/engine"
)

// Source returns the text of a script in its form. What does not parse is an error with its place.
func Source(name string, text []byte) ([]byte, error) {
	before, err := read(name, text)
	if err != nil {
		return nil, err
	}
	hidden, literals := hideBytes(name, text)
	tree, err := build.ParseDefault(name, hidden)
	if err != nil {
		if e, ok := err.(build.ParseError); ok {
			err = syntax.Error{Pos: syntax.MakePosition(&name, int32(e.Pos.Line), int32(e.Pos.LineRune)), Msg: e.Message}
		}
		return nil, fmt.Errorf("%w: the file is fine, but the formatter cannot read it", err)
	}
	formatted := literals.Replace(string(build.FormatWithoutRewriting(tree)))
	if after, err := read(name, []byte(formatted)); err != nil || after != before {
		return nil, fmt.Errorf("%s: the formatter would change what the script does, so it is left as it is", name)
	}
	return []byte(formatted), nil
}

// hideBytes puts names in place of literals such as b"bytes", which the parser of buildtools does not know. The replacer puts them back.
func hideBytes(name string, text []byte) (hidden []byte, literals *strings.Replacer) {
	var found []*syntax.Literal
	if f, err := engine.Dialect().Parse(name, text, 0); err == nil {
		syntax.Walk(f, func(n syntax.Node) bool {
			if lit, ok := n.(*syntax.Literal); ok && lit.Token == syntax.BYTES {
				found = append(found, lit)
			}
			return true
		})
	}
	slices.SortFunc(found, func(a, b *syntax.Literal) int {
		return cmp.Or(cmp.Compare(b.TokenPos.Line, a.TokenPos.Line), cmp.Compare(b.TokenPos.Col, a.TokenPos.Col))
	})
	lines := strings.SplitAfter(string(text), "\n")
	var pairs []string
	for i, lit := range found { // from the end, so that places stay true
		at := lit.TokenPos
		rest := []rune(strings.Join(lines[at.Line-1:], ""))
		placeholder := fmt.Sprintf("literal_%d_of_the_formatter", i)
		lines = append(lines[:at.Line-1:at.Line-1], string(rest[:at.Col-1])+placeholder+strings.TrimPrefix(string(rest[at.Col-1:]), lit.Raw))
		pairs = append(pairs, placeholder, lit.Raw)
	}
	return []byte(strings.Join(lines, "")), strings.NewReplacer(pairs...)
}

// Diff returns what changes between two texts of a file, in unified form; nothing if they are equal.
func Diff(name string, before, after []byte) []byte {
	if bytes.Equal(before, after) {
		return nil
	}
	return diff.Diff(name, before, name+" (formatted)", after)
}

// read parses a script and returns what it says, comments included.
func read(name string, text []byte) (string, error) {
	f, err := engine.Dialect().Parse(name, text, syntax.RetainComments)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	meaning(&b, reflect.ValueOf(f.Stmts))
	var comments []string
	add := func(list []syntax.Comment) {
		for _, c := range list {
			comments = append(comments, strings.TrimSpace(strings.TrimPrefix(c.Text, "#")))
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		if n != nil && n.Comments() != nil {
			add(n.Comments().Before)
			add(n.Comments().Suffix)
			add(n.Comments().After)
		}
		return true
	})
	slices.Sort(comments)
	return fmt.Sprintf("%s%q", &b, comments), nil
}

// meaning writes what a syntax tree says, without places, brackets and the way in which literals are written.
func meaning(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		switch n := v.Interface().(type) {
		case *syntax.ParenExpr:
			meaning(b, reflect.ValueOf(n.X))
		case *syntax.Literal:
			fmt.Fprintf(b, "%v %q ", n.Token, fmt.Sprint(n.Value))
		case *big.Int, nil:
		default:
			meaning(b, v.Elem())
		}
	case reflect.Slice:
		b.WriteString("[")
		for i := range v.Len() {
			meaning(b, v.Index(i))
		}
		b.WriteString("]")
	case reflect.Struct:
		b.WriteString(v.Type().Name() + "{")
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Type != reflect.TypeFor[syntax.Position]() {
				meaning(b, v.Field(i))
			}
		}
		b.WriteString("}")
	case reflect.Invalid:
	default:
		fmt.Fprintf(b, "%v ", v.Interface())
	}
}
