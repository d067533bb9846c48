package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"starling/cmd/internal/lint"
	"starling/cmd/internal/source"
	"starling/engine"
	"starling/scripts"
)

func newLint(p *program) *cobra.Command {
	var list bool
	c := &cobra.Command{
		Use:   "lint [FILE|FOLDER...]",
		Short: "Find mistakes in scripts that load, and then do not do what they seem to",
		Long: `Looks at scripts without running them, and tells what is suspicious, with its place and what to do:
windows that are not committed, cursors that are set too late, rows that are sent one by one, names
and arguments that no builtin has, secrets in URLs and logs, names that nothing uses, and more.
--list says what each lint is about. Without a file it looks at the folder scripts, or if there
is none, at the built-in scripts; with - at standard input.

What is meant so stays quiet with a comment on its line, or alone on the line above:

  print(token)  # lint: ignore secret-in-log it is a test's`,
		Example: "  starling lint scripts\n  starling lint --json scripts/example.star",
		RunE: func(_ *cobra.Command, args []string) error {
			if list {
				return p.listLints()
			}
			return p.lint(args)
		},
	}
	p.jsonFlag(c, oneObject)
	c.Flags().BoolVar(&list, "list", false, "list all lints, and what to do about each")
	return c
}

// A lintReport says what lint found.
type lintReport struct {
	OK       bool           `json:"ok"`
	Files    int            `json:"files"`
	Findings []lint.Finding `json:"findings"`
}

func (p *program) lint(args []string) error {
	r := lintReport{Findings: []lint.Finding{}}
	err := eachScript(args, func(display, name string, text []byte, reader *source.Reader) {
		r.Files++
		found := lint.File(reader, name, display, text)
		r.Findings = append(r.Findings, found...)
		for _, f := range found {
			if !p.asJSON {
				told := fmt.Sprintf("%s:%d:%d: %s (%s)%s\n", f.File, f.Line, f.Column, f.Message, f.Code, engine.Excerpt(f.Line, f.Column, text))
				if f.Fix != "" {
					told += fmt.Sprintf("    fix: %s\n", f.Fix)
				}
				fmt.Fprint(p.stdout, printable(told))
			}
		}
	})
	if err != nil {
		return err
	}
	r.OK = len(r.Findings) == 0
	p.answerWith(r, func() {
		fmt.Fprintf(p.stderr, "%s, %s\n", count(r.Files, "script"), count(len(r.Findings), "finding"))
	})
	if !r.OK {
		return &failure{code: exitWrong}
	}
	return nil
}

// eachScript reads what arguments name, or else the folder scripts or the built-in scripts.
func eachScript(args []string, f func(display, name string, text []byte, reader *source.Reader)) error {
	switch {
	case len(args) == 1 && args[0] == "-":
		text, err := readBounded("standard input", os.Stdin)
		if err != nil {
			return err
		}
		return readWith(nil, func(r *source.Reader) { f("standard input", "input.star", text, r) })
	case len(args) == 0 && !exists("scripts"):
		return eachBuiltin(f)
	case len(args) == 0:
		args = []string{"scripts"}
	}
	files, err := starFiles(args)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := readScript(file)
		if err != nil {
			return &failure{exitWrong, err}
		}
		root, name := source.Root(file, text, scripts.FS())
		if err := readWith(source.Folder(root, scripts.FS()), func(r *source.Reader) { f(file, name, text, r) }); err != nil {
			return err
		}
	}
	return nil
}

func eachBuiltin(f func(display, name string, text []byte, reader *source.Reader)) error {
	sources, err := builtinSources()
	if err != nil {
		return err
	}
	for _, name := range sources.Names() {
		if !strings.HasSuffix(name, ".star") {
			continue
		}
		text, _ := sources.Text(name)
		if err := readWith(sources.Text, func(r *source.Reader) { f("builtin:"+name, name, text, r) }); err != nil {
			return err
		}
	}
	return nil
}

func readWith(text func(string) ([]byte, bool), f func(*source.Reader)) error {
	r, err := source.NewReader(text)
	if err != nil {
		return &failure{exitOther, err}
	}
	f(r)
	return nil
}

func (p *program) listLints() error {
	type described struct {
		Name string `json:"name"`
		Doc  string `json:"doc"`
	}
	var all []described
	for _, l := range lint.Lints() {
		all = append(all, described{l.Name, l.Doc})
		if !p.asJSON {
			fmt.Fprintf(p.stdout, "%s\n    %s\n", l.Name, l.Doc)
		}
	}
	p.answer = all
	return nil
}
