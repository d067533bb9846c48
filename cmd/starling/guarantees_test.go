package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestGuaranteesAreThoseOfTheEngine(t *testing.T) {
	t.Parallel()
	comment := strings.ReplaceAll(repositoryFile(t, "engine/doc.go"), "\n//", "\n")
	want := between(t, comment, "# Guarantees", "package engine")
	if got := between(t, repositoryFile(t, "docs/guarantees.md"), "a test compares them. -->", "\n\n"); got != want {
		t.Errorf("docs/guarantees.md says\n%s\nengine/doc.go says\n%s", got, want)
	}
}

// TestEveryGuaranteeIsTested looks for the tests that the table of faults names.
func TestEveryGuaranteeIsTested(t *testing.T) {
	t.Parallel()
	tests := testsOfTheProject(t)
	_, faults, _ := strings.Cut(repositoryFile(t, "docs/guarantees.md"), "\n## Fault by fault\n")
	_, table, _ := strings.Cut(faults, "| --- | --- | --- | --- |\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if len(rows) < 5 {
		t.Fatalf("docs/guarantees.md has %d rows, want a row for every fault", len(rows))
	}
	name := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) < 3 {
			t.Errorf("not a row of fault, promise, tests and measurement: %s", row)
			continue
		}
		named := name.FindAllStringSubmatch(cells[2], -1)
		if named == nil {
			t.Errorf("%s: names no test", cells[0])
		}
		for _, n := range named {
			if !tests[n[1]] {
				t.Errorf("%s: there is no %s", cells[0], n[1])
			}
		}
	}
}

// TestEveryAnswerToAThreatIsTested looks for the tests that SECURITY.md names.
func TestEveryAnswerToAThreatIsTested(t *testing.T) {
	t.Parallel()
	tests := testsOfTheProject(t)
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(repositoryFile(t, "SECURITY.md"), -1)
	if len(named) < 20 {
		t.Errorf("SECURITY.md names %d tests, which cannot be all", len(named))
	}
	for _, n := range named {
		if !tests[n[1]] {
			t.Errorf("SECURITY.md: there is no %s", n[1])
		}
	}
}

// testsOfTheProject returns the names of all tests and fuzz targets.
func testsOfTheProject(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
