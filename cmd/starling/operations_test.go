package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"starling/cmd/internal/bench"
)

// statementsPerEvent is how many statements of the packages on the path run for an event.
const statementsPerEvent = 2285

// TestOperationsOfTheWholePath counts the statements that run for an event on the path from the API to the receiver, by a
// program that is built to count them. The figure repeats within a percent, whatever else the machine does: what
// costs time and allocates nothing is found by it. Who needs fewer writes that here, so that it stays a guard.
func TestOperationsOfTheWholePath(t *testing.T) {
	program := filepath.Join(t.TempDir(), "starling")
	// Without the main package nothing is counted at all.
	build := exec.CommandContext(t.Context(), "go", "build", "-cover", "-covermode=atomic",
		"-coverpkg=starling/engine,starling/builtins,starling/builtins/internal/jsontape,starling/sinks,starling/cmd/starling", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const few, many = 20_000, 120_000
	got := float64(statements(t, program, many)-statements(t, program, few)) / (many - few)
	t.Logf("%.1f statements for an event", got)
	switch {
	case got > 1.03*statementsPerEvent:
		t.Errorf("%.0f statements for an event, want at most 3 %% more than %d", got, statementsPerEvent)
	case got < 0.95*statementsPerEvent:
		t.Errorf("%.0f statements for an event, which is better than %d: write it here", got, statementsPerEvent)
	}
}

// statements counts those that run for so many rows.
func statements(t *testing.T, program string, rows int) (n int64) {
	counted := t.TempDir()
	t.Setenv("GOCOVERDIR", counted)
	if _, err := bench.Run(t.Context(), bench.Options{Program: program, Dir: t.TempDir(), Rows: []int{rows}, Runs: 1, Script: "declared"}, "pipeline"); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "list")
	if out, err := exec.CommandContext(t.Context(), "go", "tool", "covdata", "textfmt", "-i", counted, "-o", list).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "mode:") {
			continue
		}
		var size, count int64 // of a block: FILE:FROM,TO SIZE COUNT
		if _, err := fmt.Sscan(lines.Text()[strings.IndexByte(lines.Text(), ' '):], &size, &count); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		n += size * count
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
