package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/cmd/internal/sim"
	"starling/engine"
)

// TestInternalEventsReachDevo: lines of the log come to Devo under the tag and with the keys of Devo's
// collectors, beside the events, and none of them says a secret or who signs in.
func TestInternalEventsReachDevo(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-of-the-app"
	record := filepath.Join(t.TempDir(), "record")
	w, err := sim.NewWorld(t.TempDir(), sim.WorldOptions{Delay: time.Second, Devo: sim.DevoOptions{Record: record},
		Microsoft: sim.Options{ClientSecret: secret, Rows: sim.Rows{From: time.Now().Add(-time.Minute).UTC(), PerSecond: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	edit(t, w.ConfigFile(), "inputs:\n", "starling:\n  listen: \"off\"\n\ninputs:\n")
	const tag = "devo.collectors.out.local."
	runDevoLog(t, w, func(*lockedBuffer) {
		until(t, "lines of the log are received", func() bool {
			return w.Devo.Tags()[tag+"info"] >= 2 && w.Devo.Tags()["cloud.office365.messagetracing"] > 0
		})
		w.Microsoft.Change(func(o *sim.Options) { o.ClientSecret = "changed" })
		w.Microsoft.RevokeTokens() // signing in fails, with an error that names the tenant and the application
		until(t, "a line about a failure is received", func() bool { return w.Devo.Tags()[tag+"error"] > 0 })
	})
	for name := range w.Devo.Tags() {
		if !strings.HasPrefix(name, tag) && name != "cloud.office365.messagetracing" {
			t.Errorf("events of the tag %s", name)
		}
	}
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "****SANITIZED****") {
		t.Error("nothing is hidden: the test looks at nothing")
	}
	options := w.Microsoft.Options()
	for _, hidden := range []string{secret, options.TenantID, options.ClientID} {
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, hidden) && strings.Contains(line, tag) {
				t.Errorf("%s is in: %s", hidden, line)
			}
		}
	}
}

// addedLines keeps the lines that are to go to Devo.
type addedLines struct{ all []string }

func (*addedLines) On() bool { return true }
func (a *addedLines) Add(table *engine.Table, _ time.Time, body []byte) {
	a.all = append(a.all, table.Tag+" "+string(body))
}

func TestInternalLinesHoldNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-of-the-app"
	redactor := &engine.Redactor{}
	redactor.Add(secret)
	var lines addedLines
	log := slog.New(&internalHandler{slog.NewTextHandler(io.Discard, nil), nil, &internalLog{to: &lines, level: slog.LevelInfo, redactor: redactor}})
	log.With("with", secret).Error("message "+secret, "error", errors.New(secret), slog.Group("group", "inner", secret))
	log.Debug("below the level " + secret)
	if len(lines.all) != 1 || strings.Contains(lines.all[0], secret) || strings.Count(lines.all[0], "****SANITIZED****") != 4 {
		t.Errorf("got %q, want one line with four secrets hidden", lines.all)
	}
}
