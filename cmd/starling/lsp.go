package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"starling/cmd/internal/lsp"
	"starling/scripts"
)

func newLSP(p *program) *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:   "lsp",
		Short: "A language server for scripts, for editors",
		Long: `Speaks the Language Server Protocol over standard input and output: what check and lint find in scripts,
completion, help on what the cursor is at, signatures, definitions, formatting
and symbols. Files count as the editor has them, saved or not. Editors start it; docs/editors.md
of the repository says how to tell them.

Scripts of a configuration are loaded with it, as check does: that of --config or of the editor's
initialization option config, or else config/config.yaml or config.yaml in a folder above the
script. Those of none are loaded with the settings of their tests. Nothing uses the network or the state.`,
		Example: "  starling lsp\n  starling lsp --config config/config.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			orderly, err := lsp.Serve(os.Stdin, p.stdout, lsp.Options{Builtin: scripts.FS(), Check: p.lspCheck(config), Cache: lspCache()})
			switch {
			case err != nil:
				return &failure{exitOther, err}
			case !orderly:
				return &failure{exitWrong, errors.New("the client went away without a shutdown")}
			}
			return nil
		},
	}
	configFlag(c, &config)
	return c
}

// lspCache is where copies of files inside of the program lie, for editors to open; "" if there is no place for them.
func lspCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // as an editor names files in it
	}
	return filepath.Join(dir, "starling")
}
