package reference

import (
	"fmt"
	"slices"
	"strings"

	"starling/builtins"
)

func modules(string) (string, error) {
	return stubs("## What scripts can use\n\nA script defines `pull()` and makes everything else at its top level. In signatures, what follows `*` is given by name, "+
		"and `…` stands for a default that cannot be written.\n", false)
}

func values(string) (string, error) {
	return stubs("## Values\n\nWhat builtins return, and what they hand to functions of a script. `value.` stands for the value.\n", true)
}

func stubs(head string, wantValues bool) (string, error) {
	list, err := builtins.Stubs()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(head)
	for _, s := range list {
		if s.Value != wantValues {
			continue
		}
		prefix := s.Name + "."
		switch {
		case s.Name == "names":
			b.WriteString("\n### Names without a module\n\n")
			prefix = ""
		case s.Value:
			fmt.Fprintf(&b, "\n### Value: %s\n\n", s.Name)
			prefix = "value."
		default:
			fmt.Fprintf(&b, "\n### %s\n\n", s.Name)
		}
		b.WriteString(s.Doc + "\n" + arguments(s.Args))
		for _, m := range s.Members {
			b.WriteString(member(prefix, m))
		}
	}
	return b.String(), nil
}

func member(prefix string, m builtins.StubMember) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n#### `%s%s%s`\n\n%s\n", prefix, m.Name, m.Signature, m.Doc)
	b.WriteString(arguments(slices.DeleteFunc(slices.Clone(m.Arguments), func(a builtins.StubArgument) bool { return !a.Own })))
	if m.Example != "" {
		fmt.Fprintf(&b, "\n```python\n%s\n```\n", m.Example)
	}
	return b.String()
}

func arguments(args []builtins.StubArgument) string {
	var b strings.Builder
	for i, a := range args {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "- `%s`: %s\n", a.Name, a.Doc)
	}
	return b.String()
}
