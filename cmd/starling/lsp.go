package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"starling/builtins"
	"starling/cmd/internal/lint"
	"starling/cmd/internal/lsp"
	"starling/engine"
	"starling/scripts"
)

func newLSP(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "lsp",
		Short: "A language server for scripts, for editors",
		Long: `Speaks the Language Server Protocol over standard input and output: what check and lint find in scripts,
completion, help on what the cursor is at, signatures, definitions also across load, formatting
and symbols. Files count as the editor has them, saved or not. Editors start it; docs/editors.md
of the repository says how to tell them.`,
		Example: "  starling lsp",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			orderly, err := lsp.Serve(os.Stdin, p.stdout, scripts.FS(), compileErrors)
			switch {
			case err != nil:
				return &failure{exitOther, err}
			case !orderly:
				return &failure{exitWrong, errors.New("the client went away without a shutdown")}
			}
			return nil
		},
	}
}

// compileErrors are what the engine says of a file before anything runs.
func compileErrors(_, name string, text func(string) ([]byte, bool)) []lint.Finding {
	source, ok := text(name)
	if !ok {
		return nil
	}
	var found []lint.Finding
	for _, e := range engine.CompileErrors(name, source, builtins.All()) {
		found = append(found, lint.Finding{Code: "check", Line: int(e.Pos.Line), Column: int(e.Pos.Col), EndLine: int(e.Pos.Line), EndColumn: int(e.Pos.Col) + 1, Message: e.Msg})
	}
	return found
}
