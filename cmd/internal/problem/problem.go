// Package problem says what is wrong in a form for programs: every command with --json tells its problems in it.
package problem

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"starling/engine"
)

// A Problem is one thing that is wrong; file, line and column are empty where it has no place.
type Problem struct {
	File    string      `json:"file,omitempty"`
	Line    int         `json:"line,omitempty"`
	Column  int         `json:"column,omitempty"`
	Code    engine.Code `json:"code"`
	Message string      `json:"message"`       // one sentence
	Fix     string      `json:"fix,omitempty"` // what to do, where that is known
	Text    string      `json:"text"`          // everything, for a person: with the place, the line and the calls that led there
}

// Of returns what err joins, one Problem for each; code is that of errors without one.
func Of(err error, code engine.Code) []Problem {
	switch e := err.(type) {
	case nil:
		return nil
	case coded:
		return Of(e.Unwrap(), e.Code())
	case interface{ Unwrap() []error }:
		if !joins(err, e.Unwrap()) {
			break // one sentence about several errors
		}
		var all []Problem
		for _, one := range e.Unwrap() {
			all = append(all, Of(one, code)...)
		}
		return all
	case *engine.Error:
		if e.Op == "" && e.Hint == "" && e.ID == nil && e.Err != nil {
			return Of(e.Err, e.Code)
		}
	}
	if _, ok := errors.AsType[*engine.ScriptError](err); ok {
		code = engine.CodeScript
	}
	return []Problem{One(err, engine.CodeOf(err, code))}
}

// joins reports whether err says nothing but its parts, line by line, as errors.Join makes it.
func joins(err error, parts []error) bool {
	var texts []string
	for _, part := range parts {
		texts = append(texts, part.Error())
	}
	return err.Error() == strings.Join(texts, "\n")
}

// A coded error says what errors below it are that have no code.
type coded interface {
	Code() engine.Code
	Unwrap() error
}

// One returns the problem that err is as a whole.
func One(err error, code engine.Code) Problem {
	text := err.Error()
	if e, ok := err.(*engine.ScriptError); ok {
		text = e.Text
	}
	p := FromText(text, code)
	if e, ok := errors.AsType[*engine.ScriptError](err); ok {
		p.Message = e.Msg
		p.at(e.Pos)
	}
	if hint := hintOf(err); hint != "" {
		p.Message, p.Fix = strings.TrimSuffix(p.Message, " ("+hint+")"), hint
	}
	return p
}

// hintOf returns the outermost hint.
func hintOf(err error) string {
	e, ok := errors.AsType[*engine.Error](err)
	switch {
	case !ok:
		return ""
	case e.Hint != "":
		return e.Hint
	}
	return hintOf(e.Err)
}

var (
	// place is how a text begins that has one.
	place = regexp.MustCompile(`^([^\n]+?:\d+:\d+): `)
	// advice is what a text says of what there is instead.
	advice = regexp.MustCompile(`(?i)did you mean [^?]+\?|there are: [^\n]+|repeat (?:it|this) with --yes|see: [^\n]+ --help`)
)

// FromText returns the problem that a text for people tells.
func FromText(text string, code engine.Code) Problem {
	p := Problem{Code: code, Text: text}
	rest := text
	if m := place.FindStringSubmatch(text); m != nil {
		p.at(m[1])
		rest = text[len(m[0]):]
	}
	p.Message, _, _ = strings.Cut(rest, "\n")
	p.Fix = strings.TrimRight(strings.Join(strings.Fields(advice.FindString(rest)), " "), ")")
	return p
}

// at takes a place, which is file:line:column.
func (p *Problem) at(position string) {
	parts := strings.Split(position, ":")
	if len(parts) < 3 {
		return
	}
	n := len(parts)
	p.File = strings.Join(parts[:n-2], ":")
	p.Line, _ = strconv.Atoi(parts[n-2])
	p.Column, _ = strconv.Atoi(parts[n-1])
}

// Map returns the problem with its texts as f makes them.
func (p Problem) Map(f func(string) string) Problem {
	p.File, p.Message, p.Fix, p.Text = f(p.File), f(p.Message), f(p.Fix), f(p.Text)
	return p
}
