package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"starling/cmd/internal/cases"
	"starling/cmd/internal/casetest"
	"starling/cmd/internal/certify"
	"starling/cmd/internal/testreport"
	"starling/engine"
)

// testFromCase adds a test that a case was made into to the script's tests, and runs it.
func (p *program) testFromCase(ctx context.Context, file string, f testFlags) error {
	if f.dir == "" {
		return usage("--from-case: name the folder that the test is for with --scripts")
	}
	c, err := cases.ReadFile(file)
	if err != nil {
		return &failure{exitWrong, err}
	}
	name := strings.TrimSuffix(filepath.Base(file), cases.Extension)
	test, function, files := casetest.Write(casetest.Recording{Name: name, Settings: c.Tape.Settings, Now: c.Tape.Started, Cursors: c.Tape.Before.Cursors, Exchanges: exchangesOf(c.Tape)})
	tests := strings.TrimSuffix(c.Tape.Script, ".star") + "_test.star"
	if err := p.addTest(filepath.Join(f.dir, tests), test, function); err != nil {
		return &failure{exitWrong, err}
	}
	for name, text := range files {
		if err := p.writeGolden(filepath.Join(f.dir, "testdata", filepath.FromSlash(name)), text); err != nil {
			return &failure{exitOther, err}
		}
	}
	f.update = true
	l, err := p.testLibrary(f)
	if err != nil {
		return err
	}
	l.TestOnly = func(name string) bool { return name == test }
	sources, err := l.Read()
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	r := p.newFileResult(l.Test(ctx, sources, tests, engine.Limits{}.WithDefaults()))
	p.answerWith([]testreport.File{r}, func() { r.Print(p.stdout, true) })
	if !r.OK {
		return &failure{code: exitWrong}
	}
	return nil
}

// addTest appends a function to a file of tests, which is made if it is not there.
func (p *program) addTest(file, test, function string) error {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.Contains(string(text), "def "+test+"(") {
		return fmt.Errorf("%s: %s is there already: rename the case, or remove the test", file, test)
	}
	if len(text) > 0 {
		function = strings.TrimRight(string(text), "\n") + "\n\n" + function
	}
	return p.writeGolden(file, function)
}

// exchangesOf are the requests of a tape with their answers; those that never left are not among them.
func exchangesOf(t *engine.Tape) (all []certify.Exchange) {
	for _, e := range t.Exchanges {
		if e.Fault != nil && e.Fault.Unsent {
			continue
		}
		status := e.Status
		if e.Fault != nil {
			status = 0 // no answer, or one that broke off
		}
		all = append(all, certify.Exchange{Method: e.Method, URL: e.URL, Type: e.Header.Get("Content-Type"), Sent: e.Body, Status: status, Header: e.Answer, Body: e.Data})
	}
	return all
}
