package main

import (
	"regexp"
	"testing"
)

// TestCommandsOfDocumentsAreRun holds that a scenario runs what a document says.
func TestCommandsOfDocumentsAreRun(t *testing.T) {
	t.Parallel()
	for document, d := range map[string]struct {
		scenario string
		commands int // at least
	}{
		"docs/moving-from-devo.md": {"testdata/script/moving.txtar", 12},
		"docs/new-collector.md":    {"testdata/script/init.txtar", 7},
	} {
		scenario := repositoryFile(t, d.scenario)
		lines := regexp.MustCompile(`(?m)^    (starling .*?)( < \S+)?$`).FindAllStringSubmatch(repositoryFile(t, document), -1)
		if len(lines) < d.commands {
			t.Fatalf("found %d command lines, want all of %s", len(lines), document)
		}
		for _, line := range lines {
			if !regexp.MustCompile(`(?m)^(exec|becomes '[^']*') ` + regexp.QuoteMeta(line[1]) + `( &\w+&)?$`).MatchString(scenario) {
				t.Errorf("%s: %s does not run it", line[1], d.scenario)
			}
		}
	}
}
