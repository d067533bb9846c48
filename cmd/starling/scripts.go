package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.starlark.net/syntax"

	"starling/engine"
	"starling/scripts"
)

func newScripts(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "scripts",
		Short: "List the built-in scripts, or copy them for editing",
		Long: `The program has scripts inside. A file of the same name in the folder scripts beside the
configuration (or where starling.scripts says) stands in front of a built-in one, so only
what is changed needs to be there.`,
		Example: "  starling scripts list\n  starling scripts copy ./scripts",
	}
	var force bool
	list := &cobra.Command{
		Use:   "list",
		Short: "List the built-in scripts",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return p.listScripts() },
	}
	cp := &cobra.Command{
		Use:     "copy DIR",
		Short:   "Copy the built-in scripts, their library and their tests to a folder",
		Long:    "Copies the built-in scripts, their library and their tests to a folder. Files that are there\nalready are never touched without --force; then nothing is copied.",
		Example: "  starling scripts copy ./scripts",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return p.copyScripts(args[0], force) },
	}
	p.jsonFlag(list, oneObject)
	p.jsonFlag(cp, oneObject)
	cp.Flags().BoolVar(&force, "force", false, "overwrite files")
	c.AddCommand(list, cp)
	return c
}

func builtinSources() (*engine.Sources, error) {
	sources, err := (&engine.Library{Builtin: scripts.FS()}).Read()
	return sources, fail(err, engine.CodeScript)
}

func (p *program) listScripts() error {
	sources, err := builtinSources()
	if err != nil {
		return err
	}
	l := scriptListing{}
	for _, name := range sources.Scripts() {
		text, _ := sources.Text(name)
		l.Scripts = append(l.Scripts, listedScript{name, firstLine(name, text)})
	}
	p.answerWith(l, func() {
		for _, s := range l.Scripts {
			fmt.Fprintf(p.stdout, "%-40s  %s\n", s.File, s.Doc)
		}
	})
	return nil
}

// scriptListing is what the command list prints.
type scriptListing struct {
	Scripts []listedScript `json:"scripts"`
}

type listedScript struct {
	File string `json:"file"`
	Doc  string `json:"doc"` // its first line
}

// copiedScripts is what the command copy prints.
type copiedScripts struct {
	Files []string `json:"files"`
}

// firstLine returns the first line of a script's docstring.
func firstLine(name string, text []byte) string {
	f, err := (&syntax.FileOptions{}).Parse(name, text, 0)
	if err != nil || len(f.Stmts) == 0 {
		return ""
	}
	if e, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
		if lit, ok := e.X.(*syntax.Literal); ok && lit.Token == syntax.STRING {
			line, _, _ := strings.Cut(strings.TrimSpace(lit.Value.(string)), "\n")
			return line
		}
	}
	return ""
}

func (p *program) copyScripts(dir string, force bool) error {
	sources, err := builtinSources()
	if err != nil {
		return err
	}
	var there []error
	for _, name := range sources.Names() {
		if _, err := os.Lstat(filepath.Join(dir, name)); !force && !errors.Is(err, fs.ErrNotExist) {
			there = append(there, fmt.Errorf("%s: is there already", filepath.Join(dir, name)))
		}
	}
	if there != nil {
		return &failure{exitWrong, errors.Join(append(there, errors.New("nothing was copied; --force overwrites"))...)}
	}
	var copied copiedScripts
	for _, name := range sources.Names() {
		text, _ := sources.Text(name)
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, text, 0o644)); err != nil {
			return &failure{exitOther, err}
		}
		copied.Files = append(copied.Files, file)
		if !p.asJSON {
			fmt.Fprintln(p.stdout, file)
		}
	}
	p.answer = copied
	return nil
}
