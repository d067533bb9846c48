// Package builtins holds what scripts can use without load: one module a file, each with its manual as
// the comment of its constructor. Builtins reach the pull that runs through engine.PullOf, and the
// settings of the collector through engine.LoadOf; they share nothing else.
package builtins

import (
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// All returns the names that every script can use. The values are immutable and may be shared.
func All() starlark.StringDict {
	d := starlark.StringDict{
		"field":  newField(),
		"struct": starlark.NewBuiltin("struct", starlarkstruct.Make),
	}
	for _, m := range []*starlarkstruct.Module{
		newBase64(), newCheckpoint(), newConfig(), newDevo(), newFields(), newHash(), newHTTP(), newJSON(),
		newLog(), newMath(), newOAuth(), newRe(), newTime(), newURL(), newXML(),
	} {
		d[m.Name] = m
	}
	d.Freeze()
	return d
}
