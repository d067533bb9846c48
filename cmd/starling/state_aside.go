package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"starling/engine"
)

func (s *stateTool) newAside() *cobra.Command {
	c := &cobra.Command{
		Use:   "aside [FILE]",
		Short: "List or print events that were set aside",
		Long: `Lists the files of events that were too large or that an output refused, or prints one of them:
an event to a line, as JSON with its table, time, reason and body. The files lie in the folder
"` + engine.AsideDir + `" of the state directory; move away or delete those that are settled. Works also while
starling runs.`,
		Example: "  starling state aside\n  starling state aside output-devo-2026-05-01.jsonl",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, _, err := s.find()
			if err != nil {
				return err
			}
			files, err := engine.ListAside(dir)
			if err != nil {
				return &failure{exitState, err}
			}
			if len(args) == 0 {
				return s.listAside(files)
			}
			return s.printAside(files, args[0])
		},
	}
	s.p.jsonFlag(c, "list the files as one JSON array; a file has an object to each line anyway")
	return c
}

func (s *stateTool) listAside(files []engine.AsideFile) error {
	if s.p.asJSON {
		s.p.answer = append([]engine.AsideFile{}, files...)
		return nil
	}
	if len(files) == 0 {
		fmt.Fprintln(s.p.stdout, "nothing was set aside")
	}
	for _, f := range files {
		fmt.Fprintf(s.p.stdout, "%s: %d bytes\n", f.Path, f.Bytes)
	}
	return nil
}

// printAside prints the file that is called name, with or without its folder.
func (s *stateTool) printAside(files []engine.AsideFile, name string) error {
	for _, f := range files {
		if filepath.Base(f.Path) != filepath.Base(name) {
			continue
		}
		file, err := os.Open(f.Path)
		if err != nil {
			return &failure{exitState, err}
		}
		defer file.Close()
		if _, err := io.Copy(s.p.stdout, file); err != nil {
			return &failure{exitState, err}
		}
		return nil
	}
	return usage("there is no file %q; starling state aside lists them", name)
}
