package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"starling/cmd/internal/format"
	"starling/cmd/internal/problem"
	"starling/engine"
)

// formatFlags are the flags of the command fmt.
type formatFlags struct{ check, diff bool }

func newFormat(p *program) *cobra.Command {
	var f formatFlags
	c := &cobra.Command{
		Use:   "fmt [FILE|FOLDER...]",
		Short: "Lay out scripts in the one form that all of them have",
		Long: `Formats scripts in place and prints the names of those that changed; in a folder, every file that
ends in .star. Without a file, or with -, it formats standard input to standard output.

It changes where things stand, never what they do, and leaves a file that does not parse as it is.
--check and --diff write nothing: the one lists what is not formatted and exits with 1, the other
shows what would change.`,
		Example: "  starling fmt scripts\n  starling fmt --check --diff scripts/example.star",
		RunE:    func(_ *cobra.Command, args []string) error { return p.format(args, f) },
	}
	c.Flags().BoolVar(&f.check, "check", false, "list what is not formatted, and exit with 1 if anything is")
	c.Flags().BoolVar(&f.diff, "diff", false, "show what would change")
	p.jsonFlag(c, oneObject)
	return c
}

// A formatReport says what fmt found.
type formatReport struct {
	OK       bool              `json:"ok"`
	Files    []formatFile      `json:"files"`
	Problems []problem.Problem `json:"problems"`
}

type formatFile struct {
	File    string `json:"file"`
	Changed bool   `json:"changed"` // or would be, with --check or --diff
	Diff    string `json:"diff,omitempty"`
}

func (p *program) format(args []string, f formatFlags) error {
	if len(args) == 0 || len(args) == 1 && args[0] == "-" {
		return p.formatInput(f)
	}
	files, err := starFiles(args)
	if err != nil {
		return err
	}
	r := formatReport{Files: []formatFile{}, Problems: []problem.Problem{}}
	for _, file := range files {
		one, err := p.formatFile(file, f)
		if err != nil {
			r.Problems = append(r.Problems, p.problems(err)...)
			if !p.asJSON {
				p.tell(err)
			}
			continue
		}
		r.Files = append(r.Files, one)
	}
	return p.formatted(r, f)
}

// formatted says what came of it.
func (p *program) formatted(r formatReport, f formatFlags) error {
	r.OK = len(r.Problems) == 0
	for _, one := range r.Files {
		r.OK = r.OK && !(f.check && one.Changed)
		if one.Changed && !p.asJSON {
			if !f.diff || f.check {
				fmt.Fprintln(p.stdout, printable(one.File))
			}
			fmt.Fprint(p.stdout, printable(one.Diff))
		}
	}
	p.answer = r
	if !r.OK {
		return &failure{code: exitWrong}
	}
	return nil
}

// formatFile formats a file in place, if it may.
func (p *program) formatFile(file string, f formatFlags) (formatFile, error) {
	before, err := readScript(file)
	if err != nil {
		return formatFile{}, err
	}
	after, err := formatSource(file, before)
	if err != nil {
		return formatFile{}, err
	}
	r := formatFile{File: file, Changed: !bytes.Equal(before, after)}
	if f.diff {
		r.Diff = string(format.Diff(file, before, after))
	}
	if r.Changed && !f.check && !f.diff {
		err = os.WriteFile(file, after, 0o644) // a file that is there keeps its mode
	}
	return r, err
}

// formatInput formats what stands on standard input.
func (p *program) formatInput(f formatFlags) error {
	const name = "standard input"
	before, err := readBounded(name, os.Stdin)
	if err != nil {
		return err
	}
	after, err := formatSource(name, before)
	if err != nil {
		if p.asJSON {
			return p.formatted(formatReport{Files: []formatFile{}, Problems: p.problems(err)}, f)
		}
		return &failure{exitWrong, err}
	}
	if f.check || f.diff || p.asJSON {
		one := formatFile{File: name, Changed: !bytes.Equal(before, after)}
		if f.diff {
			one.Diff = string(format.Diff(name, before, after))
		}
		return p.formatted(formatReport{Files: []formatFile{one}, Problems: []problem.Problem{}}, f)
	}
	if _, err := p.stdout.Write(after); err != nil {
		return &failure{exitOther, err}
	}
	return nil
}

func formatSource(name string, text []byte) ([]byte, error) {
	after, err := format.Source(name, text)
	if err != nil {
		return nil, &engine.Error{Code: engine.CodeScript, Err: errors.New(engine.DescribeScriptError(err, func(string) []byte { return text }))}
	}
	return after, nil
}

func readScript(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(file, f)
}

// readBounded reads a script, which may not be longer than one that runs.
func readBounded(name string, r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, engine.MaxScriptFile+1))
	switch {
	case err != nil:
		return nil, &failure{exitOther, err}
	case len(text) > engine.MaxScriptFile:
		return nil, &failure{exitWrong, fmt.Errorf("%s: a file of a script may have %d bytes", name, engine.MaxScriptFile)}
	}
	return text, nil
}

// starFiles returns the files that arguments name; of a folder, all scripts in it that are not hidden.
func starFiles(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, &failure{exitWrong, fmt.Errorf("%w (name a script or a folder of scripts that is there)", err)}
		case !info.IsDir():
			files = append(files, arg)
			continue
		}
		err = filepath.WalkDir(arg, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case name != arg && strings.HasPrefix(d.Name(), ".") && d.IsDir():
				return fs.SkipDir
			case !d.IsDir() && strings.HasSuffix(name, ".star") && !strings.HasPrefix(d.Name(), "."):
				files = append(files, name)
			}
			return nil
		})
		if err != nil {
			return nil, &failure{exitWrong, err}
		}
	}
	if files == nil {
		return nil, &failure{exitWrong, fmt.Errorf("no scripts in %s: they end in .star", strings.Join(args, ", "))}
	}
	return files, nil
}
