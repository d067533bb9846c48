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
