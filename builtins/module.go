package builtins

import (
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// builtinFunc is the Go side of a builtin.
type builtinFunc = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// module makes a module of functions, each of which knows its whole name, such as "http.client".
func module(name string, members map[string]builtinFunc) *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: name, Members: starlark.StringDict{}}
	for member, fn := range members {
		m.Members[member] = starlark.NewBuiltin(name+"."+member, fn)
	}
	return m
}

// unpack is starlark.UnpackArgs for functions of which only the first arguments may be given by
// position: in a long call, names are what a reader has.
func unpack(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, positional int, pairs ...any) error {
	if len(args) > positional {
		return fmt.Errorf("%s: got %d arguments by position, want at most %d: name the others", b.Name(), len(args), positional)
	}
	return starlark.UnpackArgs(b.Name(), args, kwargs, pairs...)
}
