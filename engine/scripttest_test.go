package engine

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"
)

// brokenLoop is a builtin whose iterator fails.
type brokenLoop struct {
	starlark.NoneType
	thread *starlark.Thread
}

func (b brokenLoop) Iterate() starlark.Iterator { return b }
func (b brokenLoop) Done()                      {}
func (b brokenLoop) Next(*starlark.Value) bool {
	FailIterator(b.thread, errors.New("page 3 is missing"))
	return false
}

// runTests runs a file of tests beside a script.
func runTests(t *testing.T, script, tests string) map[string]error {
	t.Helper()
	predeclared := testPredeclared()
	predeclared["broken"] = starlark.NewBuiltin("broken", func(thread *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return brokenLoop{thread: thread}, nil
	})
	l := &Library{Predeclared: predeclared, Builtin: fstest.MapFS{
		"hello.star": {Data: []byte(script)}, "hello_test.star": {Data: []byte(tests)}, "testdata/a.txt": {Data: []byte("text of a")}}}
	sources, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	r := l.Test(t.Context(), sources, "hello_test.star", Limits{}.WithDefaults())
	if r.LoadErr != nil {
		t.Fatal(r.LoadErr)
	}
	results := map[string]error{}
	for _, one := range r.Results {
		results[one.Name] = one.Err
	}
	return results
}

func TestScriptTestsSeeWhatAPullDoes(t *testing.T) {
	t.Parallel()
	results := runTests(t, `
greeting = setting("greeting")
def pull():
    n = get() + 1
    set(n)
    send("%s %d" % (greeting, n))
def loop():
    for _ in broken():
        pass
`, `
settings = {"greeting": "hello"}

def test_pull(t):
    t.cursor("n", 4)
    got = t.pull()
    t.equal([e.body for e in got.events], ["hello 5"])
    t.equal(got.events[0].tag, "my.app.test")
    t.equal(got.cursors, {"n": 5})
    t.equal(t.pull().events[0].body, "hello 6")

def test_states_are_apart(t):
    t.equal(t.pull().cursors, {"n": 1})

def test_settings(t):
    t.settings(greeting = "bye")
    t.equal(t.pull().events[0].body, "bye 1")

def test_file(t):
    t.equal(t.file("testdata/a.txt"), "text of a")

def test_wanted_failures(t):
    t.fails(lambda: fail("on purpose"), "on purpose")
    t.fails(t.script.loop, "page 3 is missing")
    t.equal(1, 1)

def test_wrong(t):
    t.equal(t.pull().events[0].body, "hello 2")

def test_unasked(t):
    t.http("GET", "/never", body = "")

def test_loop(t):
    t.script.loop()
`)
	for name, want := range map[string]string{"test_pull": "", "test_states_are_apart": "", "test_settings": "", "test_file": "", "test_wanted_failures": "",
		"test_wrong": "hello_test.star:28:12: t.equal: got  \"hello 1\"\nwant \"hello 2\"", "test_unasked": "was not asked for",
		"test_loop": "hello.star:8:5: page 3 is missing"} {
		err, ran := results[name]
		switch {
		case !ran:
			t.Errorf("%s did not run", name)
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func TestPartsOfTests(t *testing.T) {
	t.Parallel()
	results := runTests(t, `
greeting = setting("greeting")
def pull():
    n = get() + 1
    set(n)
    send("%s %d" % (greeting, n))
`, `
settings = {"greeting": "hello"}

def test_parts(t):
    t.settings(greeting = "bye")
    t.clock("2026-01-02T03:04:05Z")
    t.true(t.run("one", lambda t: t.equal(t.pull().events[0].body, "bye 1")))
    t.true(not t.run("two", lambda t: t.equal(t.pull().events[0].body, "bye 2")))
    t.true(t.run("three", lambda t: t.contains(t.pull().cursors, "n")))
    t.contains(["a", "b"], "b")
    t.contains(t.fails(lambda: fail("on purpose"), "purpose"), "on p")

def test_twice(t):
    t.run("one", lambda t: t.run("in it", lambda t: fail("deep")))
    t.run("one", lambda t: 1)

def test_golden(t):
    t.golden("a.txt", "text of a")

def test_golden_differs(t):
    t.golden("a.txt", "text of b")

def test_golden_missing(t):
    t.golden("b.json", t.pull())

def test_golden_outside(t):
    t.golden("../b.json", 1)
`)
	for name, want := range map[string]string{"test_parts": "", "test_parts/one": "", "test_parts/three": "", "test_golden": "", "test_twice/one": "",
		"test_parts/two": "hello_test.star:8:46: t.equal: got  \"bye 1\"\nwant \"bye 2\"", "test_twice/one/in it": "deep",
		"test_twice":          "t.run: there was a part \"one\" already",
		"test_golden_differs": "t.golden: differs from testdata/a.txt, the lines differ (- wanted, + got)\n  - text of a\n  + text of b",
		"test_golden_missing": "there is no golden file testdata/b.json yet: starling test --update writes it",
		"test_golden_outside": "got the name \"../b.json\""} {
		err, ran := results[name]
		if !ran || (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: ran %t, got %v, want %q", name, ran, err, want)
		}
	}
}

func TestGoldenFileIsWritten(t *testing.T) {
	t.Parallel()
	written := map[string]string{}
	l := &Library{Predeclared: testPredeclared(), Golden: func(name, text string) error { written[name] = text; return nil }, Builtin: fstest.MapFS{
		"lib/hello.star":      {Data: []byte("def pull():\n    set(3)\n    send('{\"b\": 1, \"a\": [2]}')\n")},
		"lib/hello_test.star": {Data: []byte("def test_x(t):\n    t.golden(\"sub/x.json\", t.pull())\n")}}}
	sources, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Test(t.Context(), sources, "lib/hello_test.star", Limits{}.WithDefaults()).Err(); err != nil {
		t.Fatal(err)
	}
	want := `{
  "cursors": {
    "n": 3
  },
  "error": null,
  "events": [
    {
      "body": {
        "a": [
          2
        ],
        "b": 1
      },
      "tag": "my.app.test",
      "time": ""
    }
  ]
}
`
	if got := written["lib/testdata/sub/x.json"]; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
