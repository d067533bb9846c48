package engine

import (
	"errors"
	"fmt"
	"time"
)

// A Code says what kind of trouble an Error is. Codes are stable and only ever added to; each exists
// because the engine or the operator does something different about it.
type Code string

const (
	CodeConfig    Code = "config"    // the configuration is wrong: edit it; the old one stays in use. In a pull: retried slowly
	CodeScript    Code = "script"    // the script is wrong or failed: edit it; the old version stays in use
	CodeAuth      Code = "auth"      // credentials or permissions: retried slowly, a person must act
	CodeThrottled Code = "throttled" // the API asks to wait: retried after Wait
	CodeUpstream  Code = "upstream"  // the API failed or answered nonsense: retried with back-off
	CodeTooLarge  Code = "too_large" // a limit on size was met: raise the limit or ask for less
	CodeStore     Code = "store"     // the state directory failed: nothing was committed
	CodeSink      Code = "sink"      // an output failed: its events stay in the outbox and are offered again
	CodeCanceled  Code = "canceled"  // stopped on request: no one's fault, not counted as a failure
)

// An Error is trouble at a border of the engine: upstream, script, store, sink or configuration.
type Error struct {
	Code Code
	// ID is what Devo's collectors call it; nil if they have no name for it.
	ID *ErrorID
	// Op names the operation and the thing, such as "GET https://…".
	Op string
	// Wait is how long the other side asked to be left alone; zero means that it did not say.
	Wait time.Duration
	// Hint is what a person can do about it, if known: a whole sentence.
	Hint string
	Err  error
}

func (e *Error) Error() string {
	text := e.Op
	if e.Err != nil {
		if text != "" {
			text += ": "
		}
		text += e.Err.Error()
	}
	if e.ID != nil {
		text = e.ID.Reason(text)
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error without a hint.
func Errorf(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Err: fmt.Errorf(format, args...)}
}

// CodeOf returns the code of the outermost Error in err's chain, or fallback.
func CodeOf(err error, fallback Code) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return fallback
}
