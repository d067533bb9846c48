package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"starling/builtins"
	"starling/cmd/internal/problem"
	"starling/cmd/internal/testreport"
	"starling/engine"
	"starling/scripts"
)

// testFlags are the flags of the command test.
type testFlags struct {
	dir, run, html, junit, fromCase string
	verbose, cover, update          bool
}

func newTest(p *program) *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use:   "test [PATTERN...]",
		Short: "Test scripts against canned answers",
		Long: `Runs the tests of the scripts in a folder, or of the built-in scripts if there is no --scripts.
The tests of x.star are the functions test_*(t) of x_test.star. They ask nothing of the network:
a test says what the API answers, runs the pull and looks at events, requests and cursors.
docs/testing.md shows how.

PATTERN chooses files by their names, with * and ?: "office365*" or "hello_test.star". --run
chooses tests; after a / it chooses the parts of a test that t.run makes: "paging/empty".`,
		Example: `  starling test --scripts ./scripts
  starling test --scripts ./scripts "office365*" --run paging -v
  starling test --scripts ./scripts --cover --cover-html cover.html
  starling test --scripts ./scripts --update`,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			if f.fromCase != "" {
				return p.testFromCase(ctx, f.fromCase, f)
			}
			return p.test(ctx, args, f)
		},
	}
	c.Flags().StringVar(&f.dir, "scripts", "", "folder of scripts to test")
	c.Flags().StringVar(&f.run, "run", "", "run only the tests whose name matches this regular expression")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "list every test")
	p.jsonFlag(c, "print one JSON array, an object for each file; with --cover an object with files and cover")
	c.Flags().BoolVar(&f.cover, "cover", false, "show which statements of the scripts ran")
	c.Flags().StringVar(&f.html, "cover-html", "", "write a page with the lines that ran to this file")
	c.Flags().BoolVar(&f.update, "update", false, "write golden files that differ")
	c.Flags().StringVar(&f.fromCase, "from-case", "", "make a test of this recording, add it to the script's tests and run it")
	c.Flags().StringVar(&f.junit, "junit", "", "write JUnit XML to this file")
	return c
}

func (p *program) test(ctx context.Context, patterns []string, f testFlags) error {
	l, err := p.testLibrary(f)
	if err != nil {
		return err
	}
	sources, err := l.Read()
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	files, err := testFiles(sources, f.dir == "", patterns)
	if err != nil {
		return err
	}
	results, failed, tests := []testreport.File{}, false, 0
	for _, file := range files {
		r := p.newFileResult(l.Test(ctx, sources, file, engine.Limits{}.WithDefaults()))
		if r.OK && len(r.Tests) == 0 {
			continue // --run wants none of it
		}
		failed, tests = failed || !r.OK, tests+len(r.Tests)
		results = append(results, r)
		if !p.asJSON {
			r.Print(p.stdout, f.verbose)
		}
	}
	if err := p.reportTests(results, l.Statements, sources, f); err != nil {
		return &failure{exitOther, err}
	}
	switch {
	case failed:
		return &failure{code: exitWrong}
	case tests == 0:
		return &failure{exitWrong, errors.New("no tests: no test_*(t) in a file *_test.star matches")}
	}
	return nil
}

func (p *program) testLibrary(f testFlags) (*engine.Library, error) {
	only, err := onlyTests(f.run)
	if err != nil {
		return nil, usage("--run: %w", err)
	}
	l := &engine.Library{Builtin: scripts.FS(), Dir: f.dir, Predeclared: builtins.All(), TestOnly: only}
	if f.cover || f.html != "" {
		l.Statements = &engine.Statements{}
	}
	if f.update {
		if f.dir == "" {
			return nil, usage("--update: the golden files of built-in scripts are inside the program; name a folder with --scripts")
		}
		l.Golden = func(name, text string) error { return p.writeGolden(filepath.Join(f.dir, name), text) }
	}
	return l, nil
}

func (p *program) writeGolden(file, text string) error {
	fmt.Fprintln(p.stderr, "wrote", file)
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644))
}

// onlyTests chooses tests by their names: the expressions between slashes are for a test and for the parts
// of it.
func onlyTests(pattern string) (func(string) bool, error) {
	var levels []*regexp.Regexp
	for _, text := range strings.Split(pattern, "/") {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, err
		}
		levels = append(levels, re)
	}
	return func(name string) bool {
		for i, part := range strings.Split(name, "/") {
			if i < len(levels) && !levels[i].MatchString(part) {
				return false
			}
		}
		return true
	}, nil
}

// reportTests prints or writes what --json, --cover and --junit want.
func (p *program) reportTests(results []testreport.File, ran *engine.Statements, sources *engine.Sources, f testFlags) error {
	var covered []testreport.Covered
	if ran != nil {
		covered = testreport.Cover(ran.All(), func(file string) bool {
			return !strings.HasSuffix(file, "_test.star") && !strings.Contains(file, "testdata/") && strings.HasPrefix(file, "builtin:") == (f.dir == "")
		})
	}
	switch {
	case p.asJSON && f.cover:
		p.answer = map[string]any{"files": results, "cover": covered}
	case p.asJSON:
		p.answer = results
	case f.cover:
		testreport.PrintCover(p.stdout, covered)
	}
	var errs []error
	if f.html != "" {
		errs = append(errs, writeWith(f.html, func(w io.Writer) error { return testreport.HTML(w, covered, sources.Shown) }))
	}
	if f.junit != "" {
		errs = append(errs, writeWith(f.junit, func(w io.Writer) error { return testreport.JUnit(w, results) }))
	}
	return errors.Join(errs...)
}

func writeWith(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
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

func (p *program) newFileResult(r engine.TestResults) testreport.File {
	f := testreport.File{File: r.File, OK: r.Err() == nil, Tests: []testreport.Test{}, Error: strings.Join(p.texts(r.LoadErr), "\n"),
		Problems: p.problems(fail(r.LoadErr, engine.CodeScript))}
	for _, t := range r.Results {
		text := strings.Join(p.texts(t.Err), "\n")
		at := problem.FromText(text, engine.CodeScript)
		f.Tests = append(f.Tests, testreport.Test{Name: t.Name, OK: t.Err == nil, Milliseconds: t.Duration.Seconds() * 1000, Error: text, At: at.File, Line: at.Line, Column: at.Column,
			Problems: p.problems(fail(t.Err, engine.CodeScript))})
	}
	return f
}
