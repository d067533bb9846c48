package engine

import (
	"fmt"
	"testing"

	"go.starlark.net/starlark"
)

// TestGuardsChangeNothingElse runs code with and without guards: it gives the same.
func TestGuardsChangeNothingElse(t *testing.T) {
	t.Parallel()
	const text = `
def same(x):
    return x

def calls():
    log = []
    def note(x):
        log.append(x)
        return x
    d = {"a": 1, ("t", 1): 2, 3: [4]}
    d[note("b")] = note(5)
    d[note("a")] += note(7)
    x = [note(1)] + [note(2)]
    x += x
    y = x
    y += (3, 4)
    x.extend("ab".elems())
    n = 6
    n *= same(7)
    n <<= same(2)
    n %= same(100)
    s = "%s-%d %%"
    s %= (same("x"), same(5))
    return [log, d, x, y, n, s]

def f(*args, **kwargs):
    return args, kwargs

def main():
    s, l, t, n = same("a,b,c"), same([3, 1, 2]), same((1, "x")), same(1000)
    return [
        s + s, l + l, t + t, n + n, s * 2, 2 * s, same(3) * s, s * same(3), l * same(2), same(2) * t, n * n, 1.5 * n, n * 1.5,
        "%s %r %d" % (s, s, n), "%(a)s" % {"a": l}, "%s" % same(5), n % 7, "{} {x} {0!r}".replace("{0!r}", "").format(s, x = l),
        n << 3, 1 << same(70), same(1 << 70) * same(1 << 70), b"ab" * same(2), same(b"x") + same(b"y"),
        s == same("a,b,c"), l == same([3, 1, 2]), l < same([4]), l != t, same({"a": 1}) == same({"a": 1}), min(l), max(s.split(",")),
        1 in l, same("b") in s, t in same([(1, "x")]), same("k") in {"k": 1}, same("k") not in {"k": 1}, same(1) in set([1]),
        l[same(1)], {"k": 1}[same("k")], l[-same(1)], {same("k"): same("v")}, {k: v for k, v in [("a", 1)]}, [x * 2 for x in l if x > same(1)],
        s.split(","), s.rsplit(",", 1), same("a b").split(), s.replace(",", ";"), s.replace(",", ";;", 1), same("-").join(same(["a", "b"])), same(",").join("ab".elems()),
        s.join, same("x\ny").splitlines(), list(same("ab").codepoint_ords()), list(b"ab".elems()), s.index("b"), s.find("c"), s.count(","),
        sorted(l, reverse = True), sorted(["bb", "a"], key = len), list(enumerate(l)), zip(l, l), reversed(l), tuple(l), dict(a = 1), dict([(1, 2)]), set([1, 1]),
        str(l), repr(s), str(s), bytes("ab"), int("12"), float("1.5"), any(l), all(l), getattr(s, "upper")(), getattr(l, "nothing", 5), hasattr(s, "join"),
        same({"a": 1}).get(same("a")), same({}).get("b", 2), same({"a": 1}).pop(same("a")), same({}).setdefault(same("q"), 1), l.index(same(2)),
        set([1]).union([2]), set([1]).difference([1]), set([1]).issubset([1, 2]), f(*l), f(*t, **{"a": 1}), f(same(1), x = same(2)),
        (lambda x, y = same(3): x + y)(4), l if same(True) else t, not l, -n, ~n, l[same(0):same(2)], s[::-1], type(s.join), calls(),
    ]
`
	plain, err := starlark.ExecFileOptions(dialect, new(starlark.Thread), "m.star", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	library := &Library{}
	_, prog, err := library.program(source{text: []byte(text), display: "m.star"})
	if err != nil {
		t.Fatal(err)
	}
	guarded, err := prog.Init(new(starlark.Thread), library.names())
	if err != nil {
		t.Fatal(err)
	}
	want, err := starlark.Call(new(starlark.Thread), plain["main"], nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := starlark.Call(new(starlark.Thread), guarded["main"], nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.(*starlark.List).Len() {
		g, w := got.(*starlark.List).Index(i), want.(*starlark.List).Index(i)
		if g.String() != w.String() || g.Type() != w.Type() {
			t.Errorf("%d: got %v, want %v", i, g, w)
		}
	}
}

// TestGuardsLeaveErrorsAlone runs code that fails with and without guards: errors have the same text,
// place and backtrace.
func TestGuardsLeaveErrorsAlone(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`same("a") + same(1)`, `same(1) + same("a")`, `same([]) + same(())`, `same("a") * same("b")`, `same(None) * same(2)`, `same("%d") % same("x")`,
		`same("%s %s") % same("x")`, `same(1) % same(0)`, `same("a") << same(1)`, `same(1) << same(-1)`, `same(1) < same("a")`, `same({}) < same({})`,
		`same(1) in same(2)`, `same([]) in same({})`, `{}[same([])]`, `{}[same("k")]`, `[1][same(4)]`, `{same([]): 1}`, `same(5).join([])`, `same([]).join([])`,
		`same("a").join(5)`, `same("a").join([1])`, `same("a").replace(1)`, `same("{}").format()`, `same("a").split("")`, `same([]).extend(5)`, `same([]).index(same(1))`,
		`same({}).get(same([]))`, `same({}).pop(same(1))`, `same({}).update(5)`, `set([1]).union(5)`, `same("x").nothing`, `same(5).get(same(1))`,
		`list(5)`, `sorted(5)`, `sorted([1, "a"])`, `zip(1)`, `dict(5)`, `dict([1])`, `set([[]])`, `int("x")`, `float("x")`, `min([])`, `enumerate(5)`, `fail("a", 1)`, `getattr("a", "b")`,
		`same(*5)`, `same("a").elems(1)`, `same(1) == same(1, 2)`,
		"x = same([])\n    x += same(5)", "x = same(1)\n    x += same([])", "x = same('a')\n    x *= same('b')", "x = same('%d')\n    x %= same('b')", "y += same(1)\n    y = 1",
		"y *= same(1)\n    y = 1", "frozen += same([1])", "frozen[same(0)] = 1", "for x in same([1]):\n        frozen.extend(same([1]))",
	} {
		text := "frozen = [0]\n\ndef same(x):\n    return x\n\ndef main():\n    " + body + "\n"
		got, want := failure(t, text, true), failure(t, text, false)
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", body, got, want)
		}
	}
}

// failure returns how main of a script fails.
func failure(t *testing.T, text string, guarded bool) string {
	t.Helper()
	f, err := dialect.Parse("m.star", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := starlark.StringDict{}
	if guarded {
		names = (&Library{}).names()
		err = rewriteFile(f, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	prog, err := starlark.FileProgram(f, names.Has)
	if err != nil {
		t.Fatal(err)
	}
	globals, err := prog.Init(new(starlark.Thread), names)
	globals.Freeze()
	if err == nil {
		_, err = starlark.Call(new(starlark.Thread), globals["main"], nil, nil)
	}
	if err == nil {
		return "no error"
	}
	return DescribeScriptError(err, func(string) []byte { return []byte(text) }) + fmt.Sprintf(" (%T)", err)
}
