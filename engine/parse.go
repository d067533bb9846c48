package engine

import (
	"fmt"

	"go.starlark.net/syntax"
)

// ParseScript parses the text of a script, with its comments, for tools that go through its tree. What is longer than
// [MaxScriptFile], or nested so deep that going through it would end the process, is a syntax.Error, as is what does
// not parse. It compiles nothing.
func ParseScript(name string, text []byte) (*syntax.File, error) {
	if len(text) > MaxScriptFile {
		return nil, syntax.Error{Pos: syntax.MakePosition(&name, 1, 1), Msg: fmt.Sprintf("%d bytes, a file of a script may have %d", len(text), MaxScriptFile)}
	}
	f, err := Dialect().Parse(name, text, syntax.RetainComments)
	if err != nil {
		return nil, err
	}
	depth := 0
	var deep syntax.Node // the first that is nested too deep
	syntax.Walk(f, func(n syntax.Node) bool {
		switch {
		case n == nil: // behind the parts of a node
			depth--
			return true
		case depth > maxDepth:
			if deep == nil {
				deep = n
			}
			return false
		}
		depth++
		return true
	})
	if deep != nil {
		start, _ := deep.Span()
		return nil, syntax.Error{Pos: start, Msg: fmt.Sprintf("nested deeper than %d levels: split it up", maxDepth)}
	}
	return f, nil
}
