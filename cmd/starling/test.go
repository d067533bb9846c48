package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"starling/builtins"
	"starling/engine"
	"starling/scripts"
)

// testFlags are the flags of the command test.
type testFlags struct {
	dir, run        string
	verbose, asJSON bool
}

func newTest(p *program) *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use:   "test [PATTERN...]",
		Short: "Test scripts against canned answers",
		Long: `Runs the tests of the scripts in a folder, or of the built-in scripts if there is no --scripts.
The tests of x.star are the functions test_*(t) of x_test.star. They ask nothing of the network:
a test says what the API answers, runs the pull and looks at events, requests and cursors.

PATTERN chooses files by their names, with * and ?: "office365*" or "hello_test.star".`,
		Example: `  starling test --scripts ./scripts
  starling test --scripts ./scripts "office365*" --run paging -v`,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			return p.test(ctx, args, f)
		},
	}
	c.Flags().StringVar(&f.dir, "scripts", "", "folder of scripts to test")
	c.Flags().StringVar(&f.run, "run", "", "run only the tests whose name matches this regular expression")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "list every test")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON array, an object for each file")
	return c
}

func (p *program) test(ctx context.Context, patterns []string, f testFlags) error {
	only, err := regexp.Compile(f.run)
	if err != nil {
		return usage("--run: %w", err)
	}
	l := &engine.Library{Builtin: scripts.FS(), Dir: f.dir, Predeclared: builtins.All(), TestOnly: only.MatchString}
	sources, err := l.Read()
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	files, err := testFiles(sources, f.dir == "", patterns)
	if err != nil {
		return err
	}
	results, failed, tests := []fileResult{}, false, 0
	for _, file := range files {
		r := p.newFileResult(l.Test(ctx, sources, file, engine.Limits{}.WithDefaults()))
		if r.OK && len(r.Tests) == 0 {
			continue // --run wants none of it
		}
		failed, tests = failed || !r.OK, tests+len(r.Tests)
		results = append(results, r)
		if !f.asJSON {
			r.print(p, f.verbose)
		}
	}
	if f.asJSON {
		printJSON(p.stdout, results)
	}
	switch {
	case failed:
		return &failure{code: exitWrong}
	case tests == 0:
		return &failure{exitWrong, errors.New("no tests: no test_*(t) in a file *_test.star matches")}
	}
	return nil
}

// testFiles returns the files of tests to run. Of the built-in ones, a folder brings in those whose
// script it replaces.
func testFiles(sources *engine.Sources, builtin bool, patterns []string) ([]string, error) {
	var files []string
	for _, name := range sources.Names() {
		script, ok := strings.CutSuffix(name, "_test.star")
		if !ok || (!builtin && sources.Builtin(name) && sources.Builtin(script+".star")) {
			continue
		}
		matches := len(patterns) == 0
		for _, pattern := range patterns {
			m, err := path.Match(pattern, path.Base(name))
			if err != nil {
				return nil, usage("pattern %q: %w", pattern, err)
			}
			matches = matches || m || pattern == name
		}
		if matches {
			files = append(files, name)
		}
	}
	return files, nil
}

// A fileResult is the outcome of a file of tests.
type fileResult struct {
	File  string       `json:"file"`
	OK    bool         `json:"ok"`
	Tests []testResult `json:"tests"`
	Error string       `json:"error,omitempty"` // the file does not load
}

type testResult struct {
	Name         string  `json:"name"`
	OK           bool    `json:"ok"`
	Milliseconds float64 `json:"milliseconds"`
	Error        string  `json:"error,omitempty"`
}

func (p *program) newFileResult(r engine.TestResults) fileResult {
	f := fileResult{File: r.File, OK: r.Err() == nil, Tests: []testResult{}, Error: strings.Join(p.problems(r.LoadErr), "\n")}
	for _, t := range r.Results {
		f.Tests = append(f.Tests, testResult{t.Name, t.Err == nil, t.Duration.Seconds() * 1000, strings.Join(p.problems(t.Err), "\n")})
	}
	return f
}

func (f fileResult) print(p *program, verbose bool) {
	total := 0.0
	for _, t := range f.Tests {
		total += t.Milliseconds
		if verbose || !t.OK {
			fmt.Fprintf(p.stdout, "%-4s  %s %s (%s)\n", verdict(t.OK), f.File, t.Name, milliseconds(t.Milliseconds))
		}
		if !t.OK {
			fmt.Fprintln(p.stdout, indented(t.Error))
		}
	}
	fmt.Fprintf(p.stdout, "%-4s  %s (%s, %s)\n", verdict(f.OK), f.File, count(len(f.Tests), "test"), milliseconds(total))
	if f.Error != "" {
		fmt.Fprintln(p.stdout, indented(f.Error))
	}
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "FAIL"
}

func milliseconds(n float64) string {
	return fmt.Sprintf("%.0fms", n)
}

func indented(text string) string {
	return "      " + strings.ReplaceAll(text, "\n", "\n      ")
}
