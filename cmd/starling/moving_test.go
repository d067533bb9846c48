package main

import (
	"regexp"
	"testing"
)

// TestCommandsOfMovingAreRun holds that the scenario runs what docs/moving-from-devo.md says.
func TestCommandsOfMovingAreRun(t *testing.T) {
	t.Parallel()
	scenario := repositoryFile(t, "testdata/script/moving.txtar")
	lines := regexp.MustCompile(`(?m)^    (starling .*)$`).FindAllStringSubmatch(repositoryFile(t, "docs/moving-from-devo.md"), -1)
	if len(lines) < 12 {
		t.Fatalf("found %d command lines, want all of docs/moving-from-devo.md", len(lines))
	}
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^(exec|becomes '[^']*') ` + regexp.QuoteMeta(line[1]) + `( &\w+&)?$`).MatchString(scenario) {
			t.Errorf("%s: testdata/script/moving.txtar does not run it", line[1])
		}
	}
}
