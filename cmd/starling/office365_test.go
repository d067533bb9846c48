package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func office365(t *testing.T) string { return repositoryFile(t, "docs/office365.md") }

func TestConfigurationOfOffice365IsInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, rest, _ := strings.Cut(office365(t), "\n```yaml\n")
	config, _, ok := strings.Cut(rest, "\n```\n")
	if !ok {
		t.Fatal("docs/office365.md has no configuration")
	}
	put(t, filepath.Join(dir, "config.yaml"), config)
	out := output(t, dir, "check", "--config", "config.yaml")
	if !strings.Contains(out, "is in order: 1 collector, 1 output") || strings.Contains(out, "(a warning)") {
		t.Errorf("got\n%s", out)
	}
}

// TestNamesOfOffice365Exist looks for every setting, service and code that docs/office365.md names.
func TestNamesOfOffice365Exist(t *testing.T) {
	t.Parallel()
	text, reference, script := office365(t), repositoryFile(t, "REFERENCE.md"), repositoryFile(t, "scripts/lib/microsoft.star")
	names := regexp.MustCompile("`([a-z0-9]+(?:_[a-z0-9]+)+)(?:: true)?`").FindAllStringSubmatch(text, -1)
	codes := regexp.MustCompile("`AADSTS(\\d+)`").FindAllStringSubmatch(text, -1)
	if len(names) < 30 || len(codes) < 10 {
		t.Fatalf("found %d names and %d codes, want all of the document", len(names), len(codes))
	}
	values := map[string]bool{"gcc_high": true, "terminal_only": true}
	for _, m := range names {
		if !values[m[1]] && !strings.Contains(reference, "| `"+m[1]+"`") && !strings.Contains(reference, "### "+m[1]+"\n") {
			t.Errorf("%s: neither a setting nor a service", m[1])
		}
	}
	for value := range values {
		if !strings.Contains(script+repositoryFile(t, "scripts/lib/message_trace.star"), `"`+value+`"`) {
			t.Errorf("%s: no such value", value)
		}
	}
	for _, m := range codes {
		if !strings.Contains(script, "\n    "+m[1]+": ") {
			t.Errorf("AADSTS%s: no such code", m[1])
		}
	}
}
