package main

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"starling/cmd/internal/problem"
	"starling/engine"
)

func newCheck(p *program) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check configuration, scripts and certificates, without the network",
		Long: `Does all that a start does, short of opening the state directory and using the network: reads
the configuration, loads the script of every enabled service with its settings, makes every
output with its certificates, and compiles every other script.

Prints what is in order, or every problem, with its file, line and column first.`,
		Example: "  starling check --config config/config.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return p.check(file) },
	}
	configFlag(c, &file)
	p.jsonFlag(c, oneObject)
	return c
}

// A report is what check found.
type report struct {
	OK         bool              `json:"ok"`
	Config     string            `json:"config"`
	Collectors []string          `json:"collectors"`
	Disabled   []string          `json:"disabled"`
	Outputs    []string          `json:"outputs"`
	Scripts    []string          `json:"scripts"`
	Warnings   []string          `json:"warnings"`
	Problems   []problem.Problem `json:"problems"`
}

func (p *program) check(file string) error {
	r := report{Config: p.configFiles(file).Name(), Collectors: []string{}, Disabled: []string{}, Outputs: []string{}, Scripts: []string{}, Warnings: []string{}}
	config, err := p.loadConfig(file)
	if err == nil {
		var found engine.Checked
		found, err = engine.Check(config, p.engineOptions(slog.New(slog.DiscardHandler)))
		r.Collectors, r.Outputs, r.Scripts = append(r.Collectors, found.Collectors...), append(r.Outputs, found.Outputs...), append(r.Scripts, found.Scripts...)
		r.Disabled = append(r.Disabled, config.Disabled...)
		for _, w := range append(config.Warnings, found.Warnings...) {
			r.Warnings = append(r.Warnings, p.redactor.Redact(w))
		}
	}
	r.Problems = p.problems(fail(err, engine.CodeConfig))
	r.OK = len(r.Problems) == 0
	p.answerWith(r, func() { p.printReport(r) })
	if !r.OK {
		return &failure{code: exitWrong}
	}
	return nil
}

func (p *program) printReport(r report) {
	for _, w := range r.Warnings {
		at := place.FindString(w)
		fmt.Fprintf(p.stderr, "%swarning: %s\n", at, strings.TrimPrefix(w, at))
	}
	for _, problem := range r.Problems {
		fmt.Fprintln(p.stderr, problem.Text)
	}
	if !r.OK {
		fmt.Fprintf(p.stderr, "%s: %s\n", r.Config, count(len(r.Problems), "problem"))
		return
	}
	for _, kind := range []struct {
		name  string
		names []string
	}{{"collector", r.Collectors}, {"disabled", r.Disabled}, {"output", r.Outputs}, {"script", r.Scripts}} {
		for _, name := range kind.names {
			fmt.Fprintf(p.stdout, "%-9s  %s\n", kind.name, name)
		}
	}
	fmt.Fprintf(p.stdout, "%s is in order: %s, %s\n", r.Config, count(len(r.Collectors), "collector"), count(len(r.Outputs), "output"))
}

// place is how a text begins that has one: file:line:col.
var place = regexp.MustCompile(`^([^\n]+?):(\d+):(\d+): `)

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
