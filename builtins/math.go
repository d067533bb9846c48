package builtins

import (
	starmath "go.starlark.net/lib/math"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// newMath makes the module math: what collectors need of Starlark's own, which has more. abs, min, max
// and int are there without it.
//
//	math.ceil(x) math.floor(x)          ints
//	math.round(x)                       the nearest whole number, halves away from zero, as a float
//	math.sqrt(x) math.exp(x) math.pow(x, y) math.mod(x, y)
//	math.log(x, base)                   the natural logarithm without base
//	math.pi math.e
func newMath() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "math", Members: starlark.StringDict{}}
	for _, name := range []string{"ceil", "e", "exp", "floor", "log", "mod", "pi", "pow", "round", "sqrt"} {
		m.Members[name] = starmath.Module.Members[name]
	}
	return m
}
