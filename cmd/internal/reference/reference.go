// Package reference writes REFERENCE.md, the manual of everything that has a name: configuration keys,
// built-in scripts and their settings, what scripts can use, metrics and error codes. Nothing of it
// is written twice: it comes from the stubs of the builtins, from the scripts, and from the source.
// Only the configuration's own keys are described here, in config.go, and a test finds those that are
// missing.
package reference

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:generate go run ./gen -w

// Render returns the text of REFERENCE.md for the repository at root.
func Render(root string) (string, error) {
	var b strings.Builder
	b.WriteString(`# Reference

Made by ` + "`go generate ./cmd/internal/reference`" + ` from the source and its stubs. Do not edit it: a test compares the two.

- [Configuration](#configuration)
- [Built-in scripts](#built-in-scripts)
- [What scripts can use](#what-scripts-can-use)
- [Values](#values)
- [Lints](#lints)
- [Metrics](#metrics)
- [Error codes](#error-codes)
`)
	for _, section := range []func(root string) (string, error){configuration, builtinScripts, modules, values, lints, metrics, errorCodes} {
		text, err := section(root)
		if err != nil {
			return "", err
		}
		b.WriteString("\n" + strings.TrimSpace(text) + "\n")
	}
	return b.String(), nil
}

// Root returns the directory of go.mod, at or above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod at or above the working directory: run it inside of the repository")
		}
		dir = up
	}
}

// table writes a table; rows without a cell at the end are filled up.
func table(head []string, rows [][]string) string {
	var b strings.Builder
	write := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(strings.ReplaceAll(c, "\n", " "), "|", `\|`))
		}
		b.WriteString("|\n")
	}
	write(head)
	b.WriteString(strings.Repeat("| --- ", len(head)) + "|\n")
	for _, row := range rows {
		write(row)
	}
	return b.String()
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
