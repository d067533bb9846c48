package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"starling/builtins"
	"starling/cmd/internal/cases"
	"starling/cmd/internal/certify"
	"starling/engine"
	"starling/scripts"
)

func newCertify(p *program) *cobra.Command {
	var dir, only, recording string
	c := &cobra.Command{
		Use:   "certify SCRIPT",
		Short: "Try a script against all that APIs and machines do",
		Long: `Plays the API that the script's file of tests declares (certify = {…}, see docs/testing.md),
breaks it in one way at a time, pulls until nothing more comes, and compares what was sent with
what the API had: empty and repeated pages, reordered rows, 429, 5xx, timeouts, broken answers,
expired tokens, odd fields, wrong clocks, kills at every commit, old checkpoints.

SCRIPT is a file, or the name of a built-in script. The exit code is 1 when rows are lost, when
no pull goes well any more, or when rows are sent twice although the script has a key.`,
		Example: "  starling certify scripts/alerts.star\n  starling certify office365_exchange_message_graph_service --only 'kill|5xx'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			return p.certify(ctx, args[0], dir, only, recording)
		},
	}
	c.Flags().StringVar(&dir, "scripts", "", "folder of scripts (default: that of SCRIPT)")
	c.Flags().StringVar(&recording, "case", "", "a recording that shows what the API is like, in place of the file of tests")
	c.Flags().StringVar(&only, "only", "", "try only the cells whose name matches this regular expression")
	p.jsonFlag(c, oneObject)
	return c
}

func (p *program) certify(ctx context.Context, name, dir, only, recording string) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return usage("--only: %w", err)
	}
	script, api, err := p.certified(ctx, name, dir, recording)
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	report, err := certify.Run(ctx, script, api, wanted.MatchString)
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	p.answerWith(report, func() { printCertified(p, report) })
	if !report.OK {
		return &failure{code: exitWrong}
	}
	return nil
}

// certified reads a script and what its file of tests declares.
func (p *program) certified(ctx context.Context, name, dir, recording string) (certify.Script, *certify.API, error) {
	if dir == "" && exists(name) {
		dir, name = filepath.Dir(name), filepath.Base(name)
	}
	name = strings.TrimSuffix(name, ".star") + ".star"
	limits := engine.Limits{}.WithDefaults()
	script := certify.Script{Library: &engine.Library{Builtin: scripts.FS(), Dir: dir, Predeclared: builtins.All(), Statements: &engine.Statements{}}, Name: name, Limits: limits}
	var err error
	if script.Sources, err = script.Library.Read(); err != nil {
		return script, nil, err
	}
	if recording != "" {
		c, err := cases.ReadFile(recording)
		if err != nil {
			return script, nil, err
		}
		script.Settings = c.Tape.Settings
		api, err := certify.Derive(exchangesOf(c.Tape), c.Tape.Started)
		if err != nil {
			return script, nil, fmt.Errorf("%s: %w", recording, err)
		}
		for _, line := range api.Summary() {
			fmt.Fprintln(p.stderr, line)
		}
		return script, api, nil
	}
	tests := strings.TrimSuffix(name, ".star") + "_test.star"
	if err := missingScript(script.Sources, name, tests); err != nil {
		return script, nil, err
	}
	f, err := script.Library.TestFile(ctx, script.Sources, tests, "certify", limits)
	if err != nil {
		return script, nil, err
	}
	if f.Declared == nil {
		return script, nil, &engine.Error{Code: engine.CodeScript, Op: tests, Err: errors.New("declares nothing to certify with"), Hint: "add certify = {\"url\": …, \"rows\": […]}, as docs/testing.md shows"}
	}
	script.Settings = f.Settings
	api, err := apiOf(ctx, script, f)
	if err != nil {
		return script, nil, fmt.Errorf("%s: %w", tests, err)
	}
	if len(f.Declared) == 0 {
		for _, line := range api.Summary() {
			fmt.Fprintln(p.stderr, line)
		}
	}
	return script, api, nil
}

// missingScript says which file is missing that certify needs, if one is.
func missingScript(sources *engine.Sources, script, tests string) error {
	if _, ok := sources.Text(script); !ok {
		hint := "name a file, or a built-in script"
		if near := engine.Nearest(script, sources.Scripts()); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		return &engine.Error{Code: engine.CodeScript, Op: script, Err: errors.New("there is no such script, neither as a file nor built in"), Hint: hint}
	}
	if _, ok := sources.Text(tests); !ok {
		return &engine.Error{Code: engine.CodeScript, Op: script, Err: fmt.Errorf("there is no %s beside it, which says what its API is like", tests), Hint: "write one with certify = {…}, as docs/testing.md shows, or name a recording with --case"}
	}
	return nil
}

// apiOf is the API that a file of tests declares, or that its answers show.
func apiOf(ctx context.Context, script certify.Script, f engine.TestFile) (*certify.API, error) {
	var answers []certify.Answer
	for _, a := range f.Answers {
		answers = append(answers, certify.Answer{Method: a.Method, Part: a.Part, Status: a.Status, Header: a.Header, Body: a.Body})
	}
	if len(f.Declared) == 0 {
		exchanges, err := certify.Canned(ctx, script, answers, f.Now)
		if err != nil {
			return nil, err
		}
		return certify.Derive(exchanges, f.Now)
	}
	api, err := certify.Declared(f.Declared, f.Now)
	if err == nil {
		api.Answers = append(api.Answers, answers...)
	}
	return api, err
}

func printCertified(p *program, r *certify.Report) {
	failed := 0
	for _, v := range r.Verdicts {
		mark := "ok"
		switch {
		case v.Warning:
			mark = "warn"
		case !v.OK():
			mark = "FAIL"
			failed++
		}
		fmt.Fprintf(p.stdout, "%-4s  %-16s %s\n", mark, v.Name, v.Result)
		if v.Text != "" {
			fmt.Fprintln(p.stdout, "      "+printable(p.redactor.Redact(v.Text)))
			for _, place := range v.Places {
				fmt.Fprintf(p.stdout, "      at %s:%d\n", place.File, place.Line)
			}
		}
	}
	verdict := "is certified"
	if !r.OK {
		verdict = fmt.Sprintf("is not certified: %s of %d", count(failed, "cell"), len(r.Verdicts))
	}
	fmt.Fprintf(p.stdout, "%s %s (%s, %s, %s)\n", r.Script, verdict, count(len(r.Verdicts), "cell"), count(r.Rows, "row"), count(r.Pulls, "pull"))
}
