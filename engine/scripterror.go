package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A ScriptError is a mistake in a script, or a failure while it ran, at its place in the script.
type ScriptError struct {
	Pos  string // "file:line:col", or empty when it is not known
	Msg  string // one sentence
	Text string // everything for a person: place, message, source line with a caret, backtrace
	Err  error  // what Starlark or a builtin returned

	// At are the calls in scripts that led to it, the outermost first.
	At []syntax.Position
}

func (e *ScriptError) Error() string {
	if e.Pos == "" {
		return e.Msg
	}
	return e.Pos + ": " + e.Msg
}

func (e *ScriptError) Unwrap() error { return e.Err }

// DescribeScriptError returns what a person needs to know about an error of Starlark's: where it
// happened, why, the line of the script, and how it got there. It never shows a Go stack. source
// returns the text of a file by the name that positions have; nil means that it is not known.
func DescribeScriptError(err error, source func(file string) []byte) string {
	return newScriptError(err, source).Text
}

func newScriptError(err error, source func(file string) []byte) *ScriptError {
	if e, ok := err.(*ScriptError); ok {
		return e
	}
	if e, ok := errors.AsType[*starlark.EvalError](err); ok {
		return newEvalError(err, e, source)
	}
	if list, ok := errors.AsType[resolve.ErrorList](err); ok {
		return newListError(err, list, source)
	}
	if e, ok := errors.AsType[syntax.Error](err); ok {
		return newListError(err, resolve.ErrorList{{Pos: e.Pos, Msg: e.Msg}}, source)
	}
	return &ScriptError{Msg: err.Error(), Text: err.Error(), Err: err}
}

// newFileError tells what is wrong with a file as a whole.
func newFileError(file, msg string, err error) *ScriptError {
	pos := syntax.MakePosition(&file, 1, 1)
	return &ScriptError{Pos: pos.String(), Msg: msg, Text: pos.String() + ": " + msg, Err: err, At: []syntax.Position{pos}}
}

// maxListed is how many mistakes of one file are told at a time.
const maxListed = 10

// newListError tells what is found before a script runs: every mistake with its line.
func newListError(err error, list resolve.ErrorList, source func(string) []byte) *ScriptError {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b resolve.Error) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	e := &ScriptError{Pos: list[0].Pos.String(), Msg: list[0].Msg, Err: err, At: []syntax.Position{list[0].Pos}}
	if len(list) > 1 {
		e.Msg += fmt.Sprintf(" (and %d more)", len(list)-1)
	}
	var text []string
	for i, problem := range list {
		if i == maxListed {
			text = append(text, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		text = append(text, problem.Error()+excerpt(problem.Pos, source))
	}
	e.Text = strings.Join(text, "\n")
	return e
}

// newEvalError tells what went wrong while a script ran.
func newEvalError(err error, e *starlark.EvalError, source func(string) []byte) *ScriptError {
	stack := callStack(e)
	s := &ScriptError{Msg: message(err, e.CallStack), Err: err, At: places(stack)}
	var at string
	if pos, ok := innermost(stack); ok {
		s.Pos = pos.String()
		at = excerpt(pos, source)
	}
	s.Text = s.Error() + at + backtrace(stack)
	// A script that is loaded or run by another one, as tests do, has a description of its own.
	if inner, ok := errors.AsType[*ScriptError](e.Unwrap()); ok {
		s.Text += "\n" + inner.Text
	}
	return s
}

// callStack returns the frames from the outermost call to the place of the error, also where a
// builtin called back into the script on a thread of its own. It ends where another script begins.
func callStack(e *starlark.EvalError) starlark.CallStack {
	stack := e.CallStack
	for {
		inner, ok := errors.AsType[*starlark.EvalError](e.Unwrap())
		if _, other := errors.AsType[*ScriptError](e.Unwrap()); !ok || other {
			return stack
		}
		if n := len(e.CallStack); len(inner.CallStack) >= n && slices.Equal(inner.CallStack[:n], e.CallStack) {
			stack = slices.Concat(stack[:len(stack)-n], inner.CallStack)
		} else {
			stack = slices.Concat(stack, inner.CallStack)
		}
		e = inner
	}
}

// isBuiltin reports whether a frame is that of a Go function, which has no line.
func isBuiltin(f starlark.CallFrame) bool { return f.Pos.Filename() == "<builtin>" }

// places are those of the calls in scripts.
func places(stack starlark.CallStack) (at []syntax.Position) {
	for _, f := range stack {
		if !isBuiltin(f) {
			at = append(at, f.Pos)
		}
	}
	return at
}

func innermost(stack starlark.CallStack) (syntax.Position, bool) {
	for _, f := range slices.Backward(stack) {
		if !isBuiltin(f) {
			return f.Pos, true
		}
	}
	return syntax.Position{}, false
}

// What the interpreter says when it stops because of Thread.Cancel, and when it cancels by itself.
const (
	cancelled    = "Starlark computation cancelled: "
	tooManySteps = "too many steps"
)

// maxMessage is how much of what a script has said in an error is told, in bytes.
const maxMessage = 8 << 10

// message names the builtin that failed, if the error does not do so already, and says what to do
// when the interpreter was stopped.
func message(err error, stack starlark.CallStack) string {
	text := cut(err.Error(), maxMessage)
	before, reason, ok := strings.Cut(text, cancelled)
	switch {
	case !ok:
	case reason == tooManySteps && len(stack) > 0 && stack[0].Name == "<toplevel>":
		return before + "the top level took more steps than it may: raise starling.limits.load_steps, or move work into pull()"
	case reason == tooManySteps:
		return before + "the script took more steps than it may: raise starling.limits.steps, or look for a loop that does too much"
	case reason == "context deadline exceeded":
		return before + "the script took longer than it may: raise starling.limits.pull_timeout, or ask for less at a time"
	default:
		return before + reason
	}
	if _, named := errors.AsType[*Error](err); named || len(stack) == 0 {
		return text
	}
	if last := stack.At(0); isBuiltin(last) && !strings.HasPrefix(text, last.Name) {
		return last.Name + ": " + text
	}
	return text
}

// backtrace lists the calls that led to the error, the innermost last. A single frame at the top
// level says nothing that the place does not say.
func backtrace(stack starlark.CallStack) string {
	if len(stack) == 0 || len(stack) == 1 && stack[0].Name == "<toplevel>" {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nTraceback (most recent call last):")
	for _, f := range stack {
		if isBuiltin(f) {
			fmt.Fprintf(&b, "\n  builtin: in %s", f.Name)
		} else {
			fmt.Fprintf(&b, "\n  %s: in %s", f.Pos, f.Name)
		}
	}
	return b.String()
}

// iteratorFailure is the thread local that holds the error of an iterator. Iterators cannot return
// one, so they store it there and cancel the thread.
const iteratorFailure = "starling.iterator_error"

// FailIterator ends the loop that runs on thread with err: the script fails at the line of the loop. An
// iterator calls it and then says that it has nothing more.
func FailIterator(thread *starlark.Thread, err error) {
	thread.SetLocal(iteratorFailure, err)
	thread.Cancel(err.Error())
}

// iteratorError puts the error that an iterator has stored on thread into the place of the
// cancellation that it caused. The position stays that of the loop.
func iteratorError(thread *starlark.Thread, err error) error {
	stored, ok := thread.Local(iteratorFailure).(error)
	if !ok {
		return err
	}
	thread.SetLocal(iteratorFailure, nil)
	e, ok := err.(*starlark.EvalError)
	switch {
	case err == nil:
		return stored
	case !ok || !strings.HasPrefix(e.Msg, cancelled):
		return err
	}
	return &loopError{&starlark.EvalError{Msg: stored.Error(), CallStack: e.CallStack}, stored}
}

// loopError is an EvalError with a cause: that of Starlark's own type cannot be set.
type loopError struct {
	*starlark.EvalError
	cause error
}

func (e *loopError) Unwrap() []error { return []error{e.EvalError, e.cause} }
