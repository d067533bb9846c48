package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"starling/cmd/internal/problem"
)

// jsonFlag adds --json to a command. It says what it has to say with answerWith, or line by line with printLine and say.
func (p *program) jsonFlag(c *cobra.Command, help string) {
	c.Flags().BoolVar(&p.asJSON, "json", false, help)
}

// The help texts of most flags --json.
const (
	oneObject = "print one JSON object"
	jsonLines = "print JSON objects, one to a line"
)

// answerWith has --json print v at the end, unless the command fails after all; without it, text prints for a person.
func (p *program) answerWith(v any, text func()) {
	if p.asJSON {
		p.answer = v
		return
	}
	text()
}

// answered returns the failure err without its text if there is --json, where the answer has it.
func (p *program) answered(err error) error {
	if failed, ok := err.(*failure); ok && p.asJSON {
		return &failure{code: failed.code}
	}
	return err
}

// printLine prints a JSON object as one line, for a command that goes on.
func (p *program) printLine(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return &failure{exitOther, err}
	}
	if _, err := p.stdout.Write(append(p.withoutSecrets(line), '\n')); err != nil {
		return &failure{exitOther, err}
	}
	return nil
}

// say prints v as one line with --json, else a text for a person: for a command that goes on.
func (p *program) say(v any, format string, args ...any) {
	if p.asJSON {
		_ = p.printLine(v) // who does not read any more sees nothing
		return
	}
	fmt.Fprintf(p.stdout, format, args...)
}

// failedAnswer stands in the place of the answer of a command that fails.
type failedAnswer struct {
	OK       bool              `json:"ok"` // false
	Problems []problem.Problem `json:"problems"`
}

// finishJSON prints the answer, or why there is none: the one place where a failure becomes JSON.
func (p *program) finishJSON(failed *failure) {
	if failed != nil && failed.err != nil {
		_ = p.printLine(failedAnswer{Problems: p.problems(failed)}) // the exit code says it as well
		return
	}
	if p.answer != nil {
		var text bytes.Buffer
		printJSON(&text, p.answer)
		_, _ = p.stdout.Write(p.withoutSecrets(text.Bytes())) // who does not read any more sees nothing
	}
}

// literal is a text or a number in JSON.
var literal = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*`)

// withoutSecrets takes known secrets out of JSON, which stays JSON: a number becomes a text.
func (p *program) withoutSecrets(data []byte) []byte {
	return literal.ReplaceAllFunc(data, func(raw []byte) []byte {
		text := string(raw)
		if raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
			return raw
		}
		shown := p.redactor.Redact(text)
		if shown == text {
			return raw
		}
		quoted, err := json.Marshal(shown)
		if err != nil { // texts can be encoded
			return nil
		}
		return quoted
	})
}

// wantsJSON reports whether a command line asks for JSON, also one that is wrong: then no flag may have been read.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.ContainsFunc(args, func(arg string) bool {
		value, ok := strings.CutPrefix(arg, "--json=")
		wanted, err := strconv.ParseBool(value)
		return arg == "--json" || ok && wanted && err == nil
	})
}

// printJSON writes v for programs and people: indented, with a line break at the end.
func printJSON(w io.Writer, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // a type of ours that cannot be encoded is a defect
		data = fmt.Appendf(nil, "{%q: %q}", "error", err)
	}
	w.Write(append(data, '\n'))
}
