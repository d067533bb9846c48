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
	if f, err := engine.ParseScript(name, text); err == nil {
		syntax.Walk(f, func(n syntax.Node) bool {
			if lit, ok := n.(*syntax.Literal); ok && lit.Token == syntax.BYTES {
				found = append(found, lit)
			}
			return true
		})
	}
	slices.SortFunc(found, func(a, b *syntax.Literal) int {
		return cmp.Or(cmp.Compare(a.TokenPos.Line, b.TokenPos.Line), cmp.Compare(a.TokenPos.Col, b.TokenPos.Col))
	})
	var out strings.Builder
	var pairs []string
	rest, line, col := string(text), int32(1), int32(1) // rest begins at line and col
	for i, lit := range found {
		n := bytesUntil(rest, line, col, lit.TokenPos)
		placeholder := fmt.Sprintf("literal_%d_of_the_formatter", i)
		out.WriteString(rest[:n] + placeholder)
		pairs = append(pairs, placeholder, lit.Raw)
		rest = strings.TrimPrefix(rest[n:], lit.Raw)
		_, end := lit.Span()
		line, col = end.Line, end.Col
	}
	out.WriteString(rest)
	return []byte(out.String()), strings.NewReplacer(pairs...)
}

// bytesUntil returns how many bytes of text, which begins at line and col, stand before a place.
func bytesUntil(text string, line, col int32, at syntax.Position) int {
	for i, r := range text {
		switch {
		case line == at.Line && col == at.Col:
			return i
		case r == '\n':
			line, col = line+1, 1
		default:
			col++
		}
	}
	return len(text)
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
	f, err := engine.ParseScript(name, text)
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
