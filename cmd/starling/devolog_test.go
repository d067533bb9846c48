package main

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"starling/engine"
)

func TestDevoLogShowsNoSecretsAndIsNotForged(t *testing.T) {
	t.Parallel()
	const secret = `pa"ss wörd\1`
	r := &engine.Redactor{}
	r.Add(secret)
	var out bytes.Buffer
	log := slog.New(&devoHandler{devoLog: &devoLog{level: slog.LevelInfo, redactor: r, w: &out, config: &engine.Config{}}})
	log.Info("message with "+secret, "text", secret, "error", errors.New("it was "+secret), "hidden", engine.NewSecret(secret),
		"list", []string{"a", secret}, slog.Group("group", "inner", "x"+secret))
	log.With("before", secret).Warn("with", "map", map[string]string{"k": secret})
	log.Warn("state is forgotten, the pull starts from the beginning", "because", "x", "was", secret, "is", forgery)
	log.Debug("not at this level")
	log.Error(forgery, "value", forgery, forgery, "key")
	text := out.String()
	if strings.Contains(text, "ss w") || strings.Contains(text, `rd\1`) || strings.Count(text, "****SANITIZED****") != 9 {
		t.Errorf("want a secret to be unreadable in 9 places:\n%s", text)
	}
	records := 0
	for line := range strings.Lines(text) {
		switch {
		case strings.ContainsFunc(line, misleads):
			t.Errorf("%q misleads", line)
		case regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} [ A-Z]{7} MainProcess::MainThread -> `).MatchString(line):
			records++
		case !strings.HasPrefix(line, "    | "):
			t.Errorf("%q is no record", line)
		}
	}
	if records != 4 {
		t.Errorf("%d records, want 4:\n%s", records, text)
	}
}

func TestDevoLogIsReadByPeople(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	config := &engine.Config{Outputs: []engine.Output{{Name: "s", Type: "sidecar"}}}
	log := slog.New(&devoHandler{devoLog: &devoLog{level: slog.LevelInfo, redactor: &engine.Redactor{}, w: &out, config: config}})
	log.With("collector", "o365/7/mail").Error("pull failed; it starts again at its last commit", "trace_id", "1", "error", "x.star:1:2: wrong\n    x = (\n")
	log.Warn("output did not close in order", "sink", "s")
	want := []string{`  ERROR InputProcess::O365Puller(o365,7,mail,predefined) -> pull failed; it starts again at its last commit collector=o365/7/mail error="x.star:1:2: wrong"`,
		"    |     x = (", `WARNING OutputProcess::SyslogSenderManager(standard_senders,s) -> output did not close in order sink=s`}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got\n%s", &out)
	}
	for i := range want {
		if !strings.HasSuffix(lines[i], want[i]) {
			t.Errorf("got %q, want it to end with %q", lines[i], want[i])
		}
	}
}
