package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func office365(t *testing.T) string { return repositoryFile(t, "docs/office365.md") }

func TestConfigurationsOfServicesAreInOrder(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"office365.md", "github.md", "okta.md", "entra.md", "duo.md"} {
		dir := t.TempDir()
		_, rest, _ := strings.Cut(repositoryFile(t, "docs/"+file), "\n```yaml\n")
		config, _, ok := strings.Cut(rest, "\n```\n")
		if !ok {
			t.Fatalf("docs/%s has no configuration", file)
		}
		config = regexp.MustCompile(`\$\{[A-Z_]+\}`).ReplaceAllString(config, "not-a-real-secret")
		config = strings.Replace(config, "{address: collector-eu.devo.io, port: 443, type: SSL, chain: chain.crt, cert: my_domain.crt, key: my_domain.key}", "{address: 127.0.0.1, port: 1}", 1)
		config = strings.Replace(config, "devo_1: {type: devo_platform,", "devo_1: {type: syslog,", 1)
		put(t, filepath.Join(dir, "config.yaml"), config)
		out := output(t, dir, "check", "--config", "config.yaml")
		if !strings.Contains(out, "is in order: 1 collector, 1 output") || strings.Contains(out, "(a warning)") {
			t.Errorf("docs/%s: got\n%s", file, out)
		}
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
