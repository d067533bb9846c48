// Gen prints REFERENCE.md, docs/errors.md with -errors, or docs/devo.md with -devo; with -w it writes all
// three, at the root of the repository.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"starling/cmd/internal/reference"
)

func main() {
	write := flag.Bool("w", false, "write the files instead of printing one")
	errors := flag.Bool("errors", false, "print docs/errors.md")
	devo := flag.Bool("devo", false, "print docs/devo.md")
	flag.Parse()
	file := "REFERENCE.md"
	switch {
	case *errors:
		file = "docs/errors.md"
	case *devo:
		file = "docs/devo.md"
	}
	if err := run(*write, file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(write bool, file string) error {
	root, err := reference.Root()
	if err != nil {
		return err
	}
	text, err := reference.Render(root)
	if err != nil {
		return err
	}
	devo, err := reference.Devo()
	if err != nil {
		return err
	}
	texts := map[string]string{"REFERENCE.md": text, "docs/errors.md": reference.Errors(), "docs/devo.md": devo}
	if !write {
		_, err := fmt.Print(texts[file])
		return err
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
