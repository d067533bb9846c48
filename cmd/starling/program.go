package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"starling/engine"
)

// Exit codes, as the help text of the root command lists them.
const (
	exitOK     = 0
	exitWrong  = 1 // configuration or script is wrong, a check or a test failed
	exitUsage  = 2
	exitState  = 3 // the state directory cannot be used
	exitOther  = 4
	exitSignal = 128 // plus the number of the signal
)

// A program is what commands use of the process they run in.
type program struct {
	stdout, stderr io.Writer
	getenv         func(string) string

	logLevel, logFormat string             // flags, empty if not given
	server              engine.ConfigFiles // flags of Devo's collectors

	// redactor knows the secrets of the configuration once that is read.
	redactor *engine.Redactor

	record string // folder that run records every pull in; empty: only those that fail, if the configuration says so

	internal *engine.InternalEvents // of the log that newLogger made
}

// run executes one command line and returns the exit code. It ends early, in order, when ctx ends.
func run(ctx context.Context, args []string, p program) int {
	root := newRoot(&p)
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	failed, ok := errors.AsType[*failure](err)
	if !ok { // only cobra returns anything else, when it does not understand the command line
		fmt.Fprintf(p.stderr, "%s: %s\nsee: %[1]s --help\n", command.CommandPath(), strings.TrimSpace(err.Error()))
		return exitUsage
	}
	p.tell(failed.err)
	return failed.code
}

// A failure ends the program with an exit code. Commands return nothing else, so that mistakes in the
// use of a command can be told from all other errors.
type failure struct {
	code int
	err  error // nil if everything has been said
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit code %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// fail makes a failure of err, whose code decides the exit code. Fallback is for errors without one.
func fail(err error, fallback engine.Code) error {
	if err == nil {
		return nil
	}
	switch engine.CodeOf(err, fallback) {
	case engine.CodeConfig, engine.CodeScript:
		return &failure{exitWrong, err}
	case engine.CodeStore:
		return &failure{exitState, err}
	}
	return &failure{exitOther, err}
}

// usage is a failure for what the command line asks and the command cannot do.
func usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// tell prints every problem in err for a person.
func (p *program) tell(err error) {
	for _, text := range p.problems(err) {
		fmt.Fprintln(p.stderr, text)
	}
}

// problems returns what err joins, each with all that is known about it but no secrets, and nothing
// twice: a mistake in a script comes up once for each collector that uses it.
func (p *program) problems(err error) []string {
	var texts []string
	told := map[string]bool{}
	for _, e := range split(err) {
		text := e.Error()
		if s, ok := e.(*engine.ScriptError); ok {
			text = s.Text
		}
		text = printable(p.redactor.Redact(text))
		if !told[text] {
			told[text] = true
			texts = append(texts, text)
		}
	}
	return texts
}

func split(err error) []error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*failure); ok {
		return split(e.err)
	}
	if e, ok := err.(*engine.Error); ok && e.Op == "" && e.Hint == "" && e.Err != nil {
		return split(e.Err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, split(e)...)
	}
	return all
}
