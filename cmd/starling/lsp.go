package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"starling/cmd/internal/lsp"
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
			orderly, err := lsp.Serve(os.Stdin, p.stdout, scripts.FS())
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
