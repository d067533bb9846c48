package reference

import "starling/cmd/internal/docs"

func modules(string) (string, error) {
	return stubs("## What scripts can use\n\nA script defines `pull()` and makes everything else at its top level. In signatures, what follows `*` is given by name, "+
		"and `…` stands for a default that cannot be written.\n", docs.Modules)
}

func values(string) (string, error) {
	return stubs("## Values\n\nWhat builtins return, and what they hand to functions of a script. `value.` stands for the value.\n", docs.Values)
}

func stubs(head string, part docs.Part) (string, error) {
	all, err := docs.Builtins()
	if err != nil {
		return "", err
	}
	return head + docs.Markdown(all, part), nil
}
