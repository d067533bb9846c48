// Gen prints REFERENCE.md, or docs/errors.md with -errors; with -w it writes them and docs/devo.md, at the root of the repository.
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
	flag.Parse()
	if err := run(*write, *errors); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(write, errors bool) error {
	root, err := reference.Root()
	if err != nil {
		return err
	}
	text, err := reference.Render(root)
	if err != nil {
		return err
	}
	if write {
		if err := os.WriteFile(filepath.Join(root, "docs", "errors.md"), []byte(reference.Errors()), 0o644); err != nil {
			return err
		}
		devo, err := reference.Devo()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, "docs", "devo.md"), []byte(devo), 0o644); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(root, "REFERENCE.md"), []byte(text), 0o644)
	}
	if errors {
		text = reference.Errors()
	}
	_, err = fmt.Print(text)
	return err
}
