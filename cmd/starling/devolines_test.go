package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"starling/cmd/internal/sim"
)

// A devoEntry is a line of the log of Devo's collectors, and whether there is the same here.
type devoEntry struct {
	Part, Form, State, Pattern, Why string
}

func devoEntries(t *testing.T) (entries []devoEntry) {
	t.Helper()
	text, err := os.ReadFile("testdata/devo_lines.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&entries); err != nil {
		t.Fatal(err)
	}
	return entries
}

// TestDevoLines runs the program with each form of Devo's lines against a simulated Microsoft and a simulated
// Devo, first while that is down, and finds every line of testdata/devo_lines.yaml that is the same, and no
// other. What the statistics say was sent is what was received.
func TestDevoLines(t *testing.T) {
	t.Parallel()
	entries := devoEntries(t)
	w, err := sim.NewWorld(t.TempDir(), sim.WorldOptions{Service: sim.ReportService, Delay: time.Second,
		Microsoft: sim.Options{Rows: sim.Rows{From: time.Now().Add(-5 * time.Minute).UTC(), PerSecond: 20}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	config := w.ConfigFile()
	edit(t, config, "inputs:\n", "starling:\n  listen: \"off\"\n  log: {format: devo, level: debug}\n\ninputs:\n")
	edit(t, config, "        override_delay_in_seconds", "        requests_per_second: 4\n        reset_persistence_auth: 2026-01-01\n        override_delay_in_seconds")

	w.Devo.Kill()
	first := runDevoLog(t, w, func(log *lockedBuffer) {
		waitLog(t, log, regexp.MustCompile(`(Some error happened)`))
		if err := w.Devo.Restart(); err != nil {
			t.Fatal(err)
		}
		waitLog(t, log, regexp.MustCompile(`(Local rate limit is blocking new calls)`))
		waitLog(t, log, regexp.MustCompile(`(Last retrieval took too much time)`))
		edit(t, config, "reset_persistence_auth: 2026-01-01", "reset_persistence_auth: 2026-01-02")
		waitLog(t, log, regexp.MustCompile(`(Some changes have been detected)`))
		edit(t, config, "        requests_per_second: 4\n", "")
		edit(t, config, "request_period_in_seconds: 1", "request_period_in_seconds: 20")
		waitLog(t, log, regexp.MustCompile(`(Data collection completed)`))
	})
	received := w.Devo.Counters().Events
	edit(t, config, "level: debug", "devo_form: old")
	second := runDevoLog(t, w, func(log *lockedBuffer) { waitLog(t, log, regexp.MustCompile(`(Data collection completed)`)) })

	for _, e := range entries {
		pattern, err := regexp.Compile("(?m)" + e.Pattern)
		if err != nil {
			t.Fatal(err)
		}
		if e.State == "absent" && e.Why == "" || e.State != "absent" && e.State != "same" {
			t.Errorf("%s: state %q, why %q: want same, or absent and why", e.Pattern, e.State, e.Why)
		}
		newForm, oldForm := pattern.MatchString(first), pattern.MatchString(second)
		want := e.State == "same"
		if e.Form == "" && (newForm || oldForm) != want || e.Form == "new" && (!newForm || oldForm) || e.Form == "old" && (newForm || !oldForm) {
			t.Errorf("%s is %s, %s: found in the new form %v, in the old one %v", e.Pattern, e.State, e.Form, newForm, oldForm)
		}
	}
	for i, log := range []string{first, second} {
		for line := range strings.Lines(log) {
			if !devoLinePattern.MatchString(line) {
				t.Errorf("not in Devo's form: %s", line)
			}
		}
		want := received
		if i == 1 {
			want = w.Devo.Counters().Events - received
		}
		if total, since := sentFigures(t, log); total != want || since != want {
			t.Errorf("run %d: the statistics say %d sent, %d since the one before; received %d", i+1, total, since, want)
		}
	}
	if t.Failed() {
		t.Logf("new form:\n%s\nold form:\n%s", first, second)
	}
}

var (
	devoLinePattern = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} (  DEBUG|   INFO|WARNING|  ERROR) \w+Process::\S+ -> |    \| )`)
	sentPattern     = regexp.MustCompile(`Standard - Total number of messages(?: sent)?: (\d+),? .*": (\d+)`)
)

// sentFigures returns the last total, and the sum of what was sent from one line to the next.
func sentFigures(t *testing.T, log string) (total, sum int) {
	t.Helper()
	for _, m := range sentPattern.FindAllStringSubmatch(log, -1) {
		total, _ = strconv.Atoi(m[1])
		since, _ := strconv.Atoi(m[2])
		sum += since
	}
	return total, sum
}

// runDevoLog runs the program in the folder of a world while do lasts, and returns its log.
func runDevoLog(t *testing.T, w *sim.World, do func(*lockedBuffer)) string {
	t.Helper()
	var log lockedBuffer
	c := exec.Command("starling", "run", "--config", filepath.Join("config", "config.yaml"))
	c.Dir, c.Stderr, c.Stdout = w.Dir, &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	do(&log)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
	return log.String()
}
