package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"
)

// failing runs source, and its function main if it has one, the way scripts are run.
func failing(t *testing.T, ctx context.Context, steps uint64, source string, predeclared starlark.StringDict) *ScriptError {
	t.Helper()
	thread := &starlark.Thread{Name: t.Name()}
	_, err := guard(ctx, thread, steps, func() (starlark.Value, error) {
		globals, err := starlark.ExecFileOptions(dialect, thread, "m.star", source, predeclared)
		if err != nil {
			return nil, err
		}
		return starlark.Call(thread, globals["main"], nil, nil)
	})
	if err == nil {
		t.Fatal("no error")
	}
	return newScriptError(err, func(file string) []byte {
		if file != "m.star" {
			t.Errorf("asked for the source of %q", file)
		}
		return []byte(source)
	})
}

func TestScriptErrorTexts(t *testing.T) {
	t.Parallel()
	denied := func(_ *starlark.Thread, b *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return nil, errors.New("not today")
	}
	upstream := func(_ *starlark.Thread, b *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return nil, Errorf(CodeUpstream, "GET https://api.example.com/x", "500 Internal Server Error")
	}
	call := func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		v, err := starlark.Call(&starlark.Thread{Name: "inner"}, args[0], nil, nil)
		if err != nil {
			return nil, fmt.Errorf("record 7: %w", err)
		}
		return v, nil
	}
	sort := func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		v, err := starlark.Call(thread, args[0], nil, nil)
		if err != nil {
			return nil, fmt.Errorf("sort: %w", err)
		}
		return v, nil
	}
	predeclared := starlark.StringDict{
		"sort":     starlark.NewBuiltin("sort", sort),
		"denied":   starlark.NewBuiltin("http.get", denied),
		"upstream": starlark.NewBuiltin("client.get", upstream),
		"call":     starlark.NewBuiltin("fields.map", call),
	}
	cases := []struct{ name, source, err, text string }{
		{
			"syntax",
			"x = 1\ny = [1, 2\nz = 3\n",
			`m.star:3:2: got identifier, want ']'`,
			`m.star:3:2: got identifier, want ']'
    z = 3
     ^`,
		},
		{
			"every undefined name is told",
			"limit = 5\ndef main():\n\treturn limitt + htp\n",
			`m.star:3:9: undefined: limitt (did you mean limit?) (and 1 more)`,
			`m.star:3:9: undefined: limitt (did you mean limit?)
        return limitt + htp
               ^
m.star:3:18: undefined: htp
        return limitt + htp
                        ^`,
		},
		{
			"a failure in a function",
			"def part(x):\n    return x[3]\n\ndef main():\n    return part([1])\n",
			"m.star:2:13: list index 3 out of range [-1:0]",
			`m.star:2:13: list index 3 out of range [-1:0]
        return x[3]
                ^
Traceback (most recent call last):
  m.star:5:16: in main
  m.star:2:13: in part`,
		},
		{
			"a failure at the top level needs no backtrace",
			"x = 1 // 0\n",
			"m.star:1:7: floored division by zero",
			`m.star:1:7: floored division by zero
    x = 1 // 0
          ^`,
		},
		{
			"a builtin is named",
			"def main():\n    denied()\n",
			"m.star:2:11: http.get: not today",
			`m.star:2:11: http.get: not today
        denied()
              ^
Traceback (most recent call last):
  m.star:2:11: in main
  builtin: in http.get`,
		},
		{
			"an error that names its operation stays as it is",
			"def main():\n    upstream()\n",
			"m.star:2:13: GET https://api.example.com/x: 500 Internal Server Error",
			`m.star:2:13: GET https://api.example.com/x: 500 Internal Server Error
        upstream()
                ^
Traceback (most recent call last):
  m.star:2:13: in main
  builtin: in client.get`,
		},
		{
			"a call back from a builtin shows both ways",
			"def one():\n    return 1 + \"a\"\n\ndef main():\n    call(one)\n",
			"m.star:2:14: fields.map: record 7: unknown binary op: int + string",
			`m.star:2:14: fields.map: record 7: unknown binary op: int + string
        return 1 + "a"
                 ^
Traceback (most recent call last):
  m.star:5:9: in main
  builtin: in fields.map
  m.star:2:14: in one`,
		},
		{
			"a call back on the same thread shows each frame once",
			"def one():\n    return 1 + \"a\"\n\ndef main():\n    sort(one)\n",
			"m.star:2:14: sort: unknown binary op: int + string",
			`m.star:2:14: sort: unknown binary op: int + string
        return 1 + "a"
                 ^
Traceback (most recent call last):
  m.star:5:9: in main
  builtin: in sort
  m.star:2:14: in one`,
		},
		{
			"an unknown attribute keeps its suggestion",
			"def main():\n    return \"a\".uper()\n",
			"m.star:2:15: string has no .uper field or method (did you mean .upper?)",
			`m.star:2:15: string has no .uper field or method (did you mean .upper?)
        return "a".uper()
                  ^
Traceback (most recent call last):
  m.star:2:15: in main`,
		},
		{
			"wide letters and tabs",
			"def main():\n\treturn \"日本é\" + 1\n",
			"m.star:2:15: unknown binary op: string + int",
			`m.star:2:15: unknown binary op: string + int
        return "日本é" + 1
                       ^
Traceback (most recent call last):
  m.star:2:15: in main`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := failing(t, context.Background(), 1e6, c.source, predeclared)
			if e.Error() != c.err {
				t.Errorf("got error\n%s\nwant\n%s", e.Error(), c.err)
			}
			if e.Text != c.text {
				t.Errorf("got text\n%s\nwant\n%s", e.Text, c.text)
			}
		})
	}
}

func TestScriptErrorCutsLongLinesAroundTheColumn(t *testing.T) {
	t.Parallel()
	source := "x = [" + strings.Repeat("0, ", 500) + "1 // 0, " + strings.Repeat("2, ", 500) + "]\n"
	e := failing(t, context.Background(), 1e6, source, nil)
	if e.Pos != "m.star:1:1508" { // 5 + 1500 characters, then "1 " before the operator
		t.Errorf("got position %s", e.Pos)
	}
	lines := strings.Split(e.Text, "\n")
	if len(lines) != 3 {
		t.Fatalf("got %d lines, want 3:\n%s", len(lines), e.Text)
	}
	if n := len([]rune(lines[1])); n > 4+maxExcerpt+2 {
		t.Errorf("the excerpt is %d characters long:\n%s", n, lines[1])
	}
	caret := strings.IndexByte(lines[2], '^')
	if under := string([]rune(lines[1])[caret:]); !strings.HasPrefix(under, "// 0, 2") {
		t.Errorf("the caret is below %q:\n%s", under, e.Text)
	}
	if !strings.HasPrefix(lines[1], "    …") || !strings.HasSuffix(lines[1], "…") {
		t.Errorf("the cut ends are not marked: %s", lines[1])
	}
}

func TestScriptErrorWithoutSource(t *testing.T) {
	t.Parallel()
	_, err := starlark.ExecFileOptions(dialect, &starlark.Thread{}, "m.star", "x = 1 // 0", nil)
	want := "m.star:1:7: floored division by zero"
	if got := DescribeScriptError(err, nil); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := DescribeScriptError(err, func(string) []byte { return nil }); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestScriptErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	_, err := starlark.ExecFileOptions(dialect, &starlark.Thread{}, "m.star", "f()", starlark.StringDict{
		"f": starlark.NewBuiltin("f", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			return nil, &Error{Code: CodeAuth, Op: "token", Err: fs.ErrPermission}
		})})
	e := newScriptError(err, nil)
	if !errors.Is(e, fs.ErrPermission) || CodeOf(e, CodeScript) != CodeAuth {
		t.Errorf("the cause is lost: %v", e)
	}
	if again := newScriptError(e, nil); again != e {
		t.Errorf("described twice: %q", again.Text)
	}
}

func TestLimitsSayWhatToRaise(t *testing.T) {
	t.Parallel()
	loop := "def main():\n    for i in range(1000000):\n        pass\n"
	timeout, cancel := context.WithTimeoutCause(context.Background(), time.Nanosecond,
		errors.New("the pull took longer than 1ns: raise starling.limits.pull_timeout"))
	defer cancel()
	<-timeout.Done()
	plain, stop := context.WithTimeout(context.Background(), time.Nanosecond)
	defer stop()
	<-plain.Done()
	cases := []struct {
		name   string
		ctx    context.Context
		source string
		want   string
	}{
		{"steps of a pull", context.Background(), loop, "the script took more steps than it may: raise starling.limits.steps, or look for a loop that does too much"},
		{"steps of a top level", context.Background(), "x = [i for i in range(1000000)]", "the top level took more steps than it may: raise starling.limits.load_steps, or move work into pull()"},
		{"time", timeout, loop, "the pull took longer than 1ns: raise starling.limits.pull_timeout"},
		{"time without a cause", plain, loop, "the script took longer than it may: raise starling.limits.pull_timeout, or ask for less at a time"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			steps := uint64(1e12)
			if c.ctx == context.Background() {
				steps = 1000
			}
			if e := failing(t, c.ctx, steps, c.source, nil); e.Msg != c.want {
				t.Errorf("got  %s\nwant %s", e.Msg, c.want)
			}
		})
	}
}

// brokenPages gives one page and then fails, as an iterator over HTTP answers does.
type brokenPages struct {
	starlark.Value
	thread *starlark.Thread
	err    error
	given  bool
}

func (p *brokenPages) Iterate() starlark.Iterator { return p }
func (p *brokenPages) Done()                      {}
func (p *brokenPages) Next(v *starlark.Value) bool {
	if !p.given {
		p.given, *v = true, starlark.None
		return true
	}
	p.thread.SetLocal(iteratorFailure, p.err)
	p.thread.Cancel(p.err.Error())
	return false
}

func TestIteratorErrorPointsAtTheLoop(t *testing.T) {
	t.Parallel()
	cause := &Error{Code: CodeThrottled, Op: "GET https://api.example.com/pages", Err: os.ErrDeadlineExceeded}
	pages := func(thread *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return &brokenPages{Value: starlark.None, thread: thread, err: cause}, nil
	}
	predeclared := starlark.StringDict{"pages": starlark.NewBuiltin("client.pages", pages)}
	cases := []struct{ name, source, pos string }{
		{"statement", "def main():\n    seen = 0\n    for page in pages():\n        seen += 1\n    return seen\n", "m.star:3:5"},
		{"comprehension", "def main():\n    return [p for p in pages()]\n", "m.star:2:15"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := failing(t, context.Background(), 1e6, c.source, predeclared)
			want := c.pos + ": GET https://api.example.com/pages: i/o timeout"
			if e.Error() != want {
				t.Errorf("got  %s\nwant %s", e.Error(), want)
			}
			if !errors.Is(e, os.ErrDeadlineExceeded) || CodeOf(e, "") != CodeThrottled {
				t.Errorf("the stored error is lost: %v", e)
			}
			if strings.Contains(e.Text, "cancelled") {
				t.Errorf("the text speaks of a cancellation:\n%s", e.Text)
			}
		})
	}
}

func TestIteratorErrorLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	thread := &starlark.Thread{}
	if err := iteratorError(thread, nil); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	other := &starlark.EvalError{Msg: "index out of range"}
	thread.SetLocal(iteratorFailure, fs.ErrClosed)
	if err := iteratorError(thread, other); err != error(other) {
		t.Errorf("got %v, want the error of the script", err)
	}
	if err := iteratorError(thread, other); err != error(other) || thread.Local(iteratorFailure) != nil {
		t.Errorf("the stored error is still there: %v", thread.Local(iteratorFailure))
	}
	thread.SetLocal(iteratorFailure, fs.ErrClosed)
	if err := iteratorError(thread, nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v, want the stored error: nobody else noticed it", err)
	}
}

func TestErrorOfAnotherScriptIsTold(t *testing.T) {
	t.Parallel()
	inner := &ScriptError{Pos: "x.star:1:2", Msg: "broken", Text: "x.star:1:2: broken\n    the line", Err: fs.ErrInvalid}
	_, err := starlark.ExecFileOptions(dialect, &starlark.Thread{}, "x_test.star", "pull()", starlark.StringDict{
		"pull": starlark.NewBuiltin("t.pull", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			return nil, inner
		})})
	want := `x_test.star:1:5: t.pull: x.star:1:2: broken
Traceback (most recent call last):
  x_test.star:1:5: in <toplevel>
  builtin: in t.pull
x.star:1:2: broken
    the line`
	if got := DescribeScriptError(err, nil); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
