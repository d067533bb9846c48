package main

import (
	"regexp"
	"strings"
	"testing"
)

// documentCommand is a line of a document that is a command of the program, or of a shell that every machine has.
var documentCommand = regexp.MustCompile(`(?m)^    ((?:starling|cd|cp|grep|mkdir|sed) .*?)(?: [<>] \S+)?$`)

// TestCommandsOfDocumentsAreRun holds that scenarios run the commands of a document, and have its fenced blocks in files of theirs.
func TestCommandsOfDocumentsAreRun(t *testing.T) {
	t.Parallel()
	for document, d := range map[string]struct {
		scenarios        []string
		commands, blocks int // at least
	}{
		"docs/moving-from-devo.md": {[]string{"moving"}, 17, 1},
		"docs/new-collector.md":    {[]string{"init"}, 8, 0},
		"docs/office365.md":        {[]string{"office365"}, 10, 0}, // TestConfigurationsOfServicesAreInOrder has its block
		"docs/recordings.md":       {[]string{"recordings"}, 5, 1},
		"docs/testing.md":          {[]string{"testing", "from_case"}, 10, 5},
	} {
		scenario := ""
		for _, name := range d.scenarios {
			scenario += repositoryFile(t, "testdata/script/"+name+".txtar")
		}
		text := repositoryFile(t, document)
		lines := documentCommand.FindAllStringSubmatch(text, -1)
		var blocks [][]string
		if d.blocks > 0 {
			blocks = regexp.MustCompile("(?s)\n```\\w+\n(.*?)```\n").FindAllStringSubmatch(text, -1)
		}
		if len(lines) < d.commands || len(blocks) < d.blocks {
			t.Errorf("found %d command lines and %d blocks, want all of %s", len(lines), len(blocks), document)
		}
		for _, line := range lines {
			// What goes on until Ctrl-C is in the background there, or ends at once.
			if !regexp.MustCompile(`(?m)^(exec |becomes '[^']*' |)` + regexp.QuoteMeta(line[1]) + `( &\w+&| --plain --saves 1)?$`).MatchString(scenario) {
				t.Errorf("%s: %s does not run %s", document, d.scenarios, line[1])
			}
		}
		for _, b := range blocks {
			if !strings.Contains(scenario, "\n"+b[1]) {
				t.Errorf("%s: %s does not have\n%s", document, d.scenarios, b[1])
			}
		}
	}
}
