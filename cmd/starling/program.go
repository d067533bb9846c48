package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"starling/cmd/internal/problem"
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

	devs *devMemory // what dev compares with; nil: with what it has seen itself

	asJSON bool // the flag --json
	answer any  // what the command has to say, with --json
}

// run executes one command line and returns the exit code. It ends early, in order, when ctx ends.
func run(ctx context.Context, args []string, p program) int {
	root := newRoot(&p)
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	command, err := root.ExecuteContextC(ctx)
	failed, ok := errors.AsType[*failure](err)
	if err != nil && !ok { // only cobra returns anything else, when it does not understand the command line
		failed = &failure{exitUsage, fmt.Errorf("%s: %s%s\nsee: %[1]s --help", command.CommandPath(), strings.TrimSpace(err.Error()), nearCommand(command, err))}
	}
	if p.asJSON || failed != nil && wantsJSON(args) {
		p.finishJSON(failed)
	} else if failed != nil {
		p.tell(failed.err)
	}
	if failed == nil {
		return exitOK
	}
	return failed.code
}

// nearCommand names the command that an unknown one is like.
func nearCommand(parent *cobra.Command, err error) string {
	rest, unknown := strings.CutPrefix(err.Error(), `unknown command "`)
	name, _, _ := strings.Cut(rest, `"`)
	parent.SuggestionsMinimumDistance = 2
	if near := parent.SuggestionsFor(name); unknown && len(near) > 0 {
		return "; did you mean " + near[0] + "?"
	}
	return ""
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

// Codes of what fails without an engine.Error, beside the engine's.
const (
	codeUsage engine.Code = "usage" // the command line is wrong
	codeWrong engine.Code = "wrong" // what was looked at is not in order
	codeOther engine.Code = "other"
)

// Code is that of errors in f that have none.
func (f *failure) Code() engine.Code {
	switch {
	case f.code == exitWrong:
		return codeWrong
	case f.code == exitUsage:
		return codeUsage
	case f.code == exitState:
		return engine.CodeStore
	case f.code > exitSignal:
		return engine.CodeCanceled
	}
	return codeOther
}

// fail makes a failure of err, whose code decides the exit code. Fallback is for errors without one.
func fail(err error, fallback engine.Code) error {
	if err == nil {
		return nil
	}
	code := engine.CodeOf(err, fallback)
	if code != "" {
		err = &engine.Error{Code: code, Err: err}
	}
	switch code {
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
	for _, text := range p.texts(err) {
		fmt.Fprintln(p.stderr, text)
	}
}

// problems returns what err joins, each with all that is known about it but no secrets, and nothing
// twice: a mistake in a script comes up once for each collector that uses it.
func (p *program) problems(err error) []problem.Problem {
	all := []problem.Problem{}
	told := map[string]bool{}
	for _, one := range problem.Of(err, codeOther) {
		one = one.Map(p.shown)
		if !told[one.Text] {
			told[one.Text] = true
			all = append(all, one)
		}
	}
	return all
}

// shown returns a text without secrets, and without what a terminal would obey.
func (p *program) shown(text string) string { return printable(p.redactor.Redact(text)) }

// texts returns the problems that err joins as a person reads them.
func (p *program) texts(err error) (all []string) {
	for _, one := range p.problems(err) {
		all = append(all, one.Text)
	}
	return all
}
