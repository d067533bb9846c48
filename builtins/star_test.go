package builtins

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"starling/engine"
)

// testOptions is the dialect of scripts.
var testOptions = &syntax.FileOptions{Set: true}

// testPredeclared is what the scripts below testdata can use: what every script can, assert, and
// staged, which lists what the pull has staged.
func testPredeclared() starlark.StringDict {
	d := All()
	d["assert"] = assertModule()
	d["staged"] = starlark.NewBuiltin("staged", stagedEvents)
	return d
}

// testEnv is an Env that records nothing, sends requests for real and keeps its store in memory.
func testEnv(t testing.TB) *engine.Env {
	t.Helper()
	limits := engine.Limits{}.WithDefaults()
	store, err := engine.OpenStore("", limits.OutboxBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &engine.Env{
		Logger:    slog.New(slog.DiscardHandler),
		Telemetry: engine.NewTelemetry(nil, nil),
		Transport: http.DefaultTransport,
		Shared:    &engine.Shared{},
		Redactor:  &engine.Redactor{},
		Limits:    limits,
		Store:     store,
	}
}

// TestStarlark runs every testdata/*.star: its top level as a script is loaded, then each function
// whose name begins with test_, on a pull of its own.
func TestStarlark(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.star")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts below testdata (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".star"), func(t *testing.T) {
			t.Parallel()
			runStarFile(t, file)
		})
	}
}

func runStarFile(t *testing.T, file string) {
	env := testEnv(t)
	load := &engine.Load{Env: env, Collector: "test/1/" + filepath.Base(file)}
	globals, err := starlark.ExecFileOptions(testOptions, load.NewThread(file), file, nil, testPredeclared())
	if err != nil {
		t.Fatal(backtrace(err))
	}
	names := globals.Keys()
	if !slices.ContainsFunc(names, isTest) {
		t.Fatalf("%s has no test_* function", file)
	}
	for _, name := range names {
		if fn, ok := globals[name].(*starlark.Function); ok && isTest(name) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				thread := engine.NewPull(context.Background(), env, load.Collector+"."+name).NewThread(name)
				thread.Print = func(_ *starlark.Thread, msg string) { t.Log(msg) }
				if _, err := starlark.Call(thread, fn, nil, nil); err != nil {
					t.Error(backtrace(err))
				}
			})
		}
	}
}

// stagedEvents returns a struct with tag, host, priority, time (a string, empty when unknown) and body
// for each event of the next commit.
func stagedEvents(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	pull, err := engine.PullOf(thread)
	if err != nil {
		return nil, err
	}
	events, err := pull.Staged()
	if err != nil {
		return nil, err
	}
	list := make([]starlark.Value, len(events))
	for i, e := range events {
		at := ""
		if !e.Time.IsZero() {
			at = e.Time.Format("2006-01-02T15:04:05.000Z07:00")
		}
		list[i] = starlarkstruct.FromStringDict(starlark.String("event"), starlark.StringDict{
			"tag": starlark.String(e.Table.Tag), "host": starlark.String(e.Table.Host), "priority": starlark.MakeInt(e.Table.Priority),
			"time": starlark.String(at), "body": starlark.String(e.Body),
		})
	}
	return starlark.NewList(list), nil
}

func isTest(name string) bool { return strings.HasPrefix(name, "test_") }

// starEval runs source as a script's top level and returns its globals, frozen.
func starEval(t testing.TB, source string) starlark.StringDict {
	t.Helper()
	globals, err := starlark.ExecFileOptions(testOptions, &starlark.Thread{Name: t.Name()}, "test.star", source, testPredeclared())
	if err != nil {
		t.Fatal(backtrace(err))
	}
	return globals
}

func backtrace(err error) string {
	if e, ok := err.(*starlark.EvalError); ok {
		return e.Backtrace()
	}
	return err.Error()
}

// assertModule has eq(got, want), true(x, message), fails(fn, pattern) and fail(message). The first
// that does not hold ends the test function.
func assertModule() *starlarkstruct.Module {
	return &starlarkstruct.Module{Name: "assert", Members: starlark.StringDict{
		"eq":    starlark.NewBuiltin("assert.eq", assertEq),
		"true":  starlark.NewBuiltin("assert.true", assertTrue),
		"fails": starlark.NewBuiltin("assert.fails", assertFails),
		"fail":  starlark.NewBuiltin("assert.fail", assertFail),
	}}
}

func assertEq(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var got, want starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "got", &got, "want", &want); err != nil {
		return nil, err
	}
	if equal, err := starlark.EqualDepth(got, want, 50); err != nil {
		return nil, err
	} else if !equal {
		return nil, fmt.Errorf("got %s, want %s", got, want)
	}
	return starlark.None, nil
}

func assertTrue(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var cond starlark.Value
	message := "not true"
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "cond", &cond, "message?", &message); err != nil {
		return nil, err
	}
	if !cond.Truth() {
		return nil, fmt.Errorf("%s", message)
	}
	return starlark.None, nil
}

func assertFails(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var fn starlark.Callable
	var pattern string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "fn", &fn, "pattern", &pattern); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	_, err = starlark.Call(thread, fn, nil, nil)
	if err == nil {
		return nil, fmt.Errorf("no error, want one that matches %q", pattern)
	}
	if !re.MatchString(err.Error()) {
		return nil, fmt.Errorf("error %q does not match %q", err, pattern)
	}
	return starlark.None, nil
}

func assertFail(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var message string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "message", &message); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s", message)
}
