package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestCommandsOfTestingAreRun holds that the scenario runs what docs/testing.md says.
func TestCommandsOfTestingAreRun(t *testing.T) {
	t.Parallel()
	scenario := repositoryFile(t, "testdata/script/testing.txtar") + repositoryFile(t, "testdata/script/from_case.txtar")
	lines := regexp.MustCompile(`(?m)^    (starling .*)$`).FindAllStringSubmatch(repositoryFile(t, "docs/testing.md"), -1)
	if len(lines) < 6 {
		t.Fatalf("found %d command lines, want all of docs/testing.md", len(lines))
	}
	for _, line := range lines {
		if !strings.Contains(scenario, "\nexec "+line[1]+"\n") {
			t.Errorf("docs/testing.md has %q, testdata/script/testing.txtar does not run it", line[1])
		}
	}
}
