// Gen prints REFERENCE.md; with -w it writes the file, at the root of the repository.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"starling/cmd/internal/reference"
)

func main() {
	write := flag.Bool("w", false, "write the file instead of printing it")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(write bool) error {
	root, err := reference.Root()
	if err != nil {
		return err
	}
	text, err := reference.Render(root)
	if err != nil {
		return err
	}
	if !write {
		_, err = fmt.Print(text)
		return err
	}
	return os.WriteFile(filepath.Join(root, "REFERENCE.md"), []byte(text), 0o644)
}
