package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/engine"
)

// TestScriptsAreBounded: what is cut off would be another script.
func TestScriptsAreBounded(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{engine.MaxScriptFile: true, engine.MaxScriptFile + 1: false} {
		text, err := readBounded("x.star", strings.NewReader(strings.Repeat("#", size)))
		if (err == nil) != ok || ok && len(text) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(text), err)
		}
	}
}

// TestTextsOfScriptsAreShownHarmless: a script of somebody else must not move the cursor of who looks at it.
func TestTextsOfScriptsAreShownHarmless(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "evil\x1b[2J.star")
	put(t, file, "\"\"\"Evil \x1b[2J.\"\"\"\nx = config.string(\"\x1b[2J_password\",doc=\"\x1b[2J\") # \x1b[2J\n")
	for _, args := range [][]string{
		{"lint", dir}, {"fmt", "--diff", dir}, {"fmt", "--check", dir}, {"docs", "--scripts", dir}, {"docs", "--scripts", dir, "--search", "evil"},
		{"docs", "--scripts", dir, "evil\x1b[2J"}, {"docs", "--scripts", dir, "--format", "md"},
	} {
		var stdout, stderr bytes.Buffer
		run(t.Context(), args, program{stdout: &stdout, stderr: &stderr, getenv: os.Getenv})
		if text := stdout.String() + stderr.String(); strings.Contains(text, "\x1b") || !strings.Contains(text, "?[2J") {
			t.Errorf("%q prints %q", args, text)
		}
	}
}
