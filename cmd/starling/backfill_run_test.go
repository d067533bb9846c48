package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/cmd/internal/sim"
	"starling/engine"
)

// A backfillRun is a starling that collects from a simulated Graph into a simulated Devo, and the commands that
// a person gives beside it.
type backfillRun struct {
	t    *testing.T
	w    *sim.World
	from time.Time // where the mail begins
}

const historyDays = 14

func newBackfillRun(t *testing.T) *backfillRun {
	from := time.Now().UTC().AddDate(0, 0, -historyDays)
	w, err := sim.NewWorld(t.TempDir(), sim.WorldOptions{Service: sim.GraphService, Microsoft: sim.Options{Seed: 14, Rows: sim.Rows{From: from, PerSecond: 0.003}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	edit(t, w.ConfigFile(), "mode: delayed", "mode: fresh")
	edit(t, w.ConfigFile(), "outputs:\n", "starling:\n  listen: 127.0.0.1:0\n\noutputs:\n")
	return &backfillRun{t: t, w: w, from: from}
}

// slow has each answer of Microsoft take so long.
func (b *backfillRun) slow(latency time.Duration) {
	b.w.Microsoft.Change(func(o *sim.Options) { o.Latency = latency })
}

// command runs starling, which must end with the exit code 0.
func (b *backfillRun) command(args ...string) string {
	b.t.Helper()
	c := exec.Command("starling", args...)
	c.Dir = b.w.Dir
	out, err := c.CombinedOutput()
	if err != nil {
		b.t.Fatalf("starling %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// says runs a command and wants texts in what it prints.
func (b *backfillRun) says(args []string, want ...string) {
	b.t.Helper()
	out := b.command(args...)
	for _, text := range want {
		if !strings.Contains(out, text) {
			b.t.Errorf("starling %s: got\n%s\nwant %q in it", strings.Join(args, " "), out, text)
		}
	}
}

// A coverageAnswer is what the test reads of starling coverage --json.
type coverageAnswer struct {
	Complete  bool
	Settled   time.Time
	Backfill  *engine.Backfill
	Intervals []struct {
		From, To time.Time
		Complete bool
	}
}

// coverage is what starling coverage says, after what it calls complete was held against what Devo has.
func (b *backfillRun) coverage() (c coverageAnswer) {
	b.t.Helper()
	var all struct{ Collectors []coverageAnswer }
	if err := json.Unmarshal([]byte(b.command("coverage", "--json", "--from", b.from.Format(time.RFC3339))), &all); err != nil || len(all.Collectors) > 1 {
		b.t.Fatalf("coverage of one collector: got %+v, %v", all, err)
	}
	if len(all.Collectors) == 0 { // nothing was committed yet
		return c
	}
	c = all.Collectors[0]
	for _, x := range c.Intervals {
		if missing, _, _ := b.w.Devo.Compare(b.w.Microsoft.TruthBy(x.From, x.To, time.Now())); x.Complete && missing > 0 {
			b.t.Fatalf("%v to %v is said to be complete, and %d rows of it are missing", x.From, x.To, missing)
		}
	}
	return c
}

// running starts starling and waits until a backfill can be asked for.
func (b *backfillRun) running() *process {
	b.t.Helper()
	p := startRun(b.t, b.w.Dir)
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("%.5000s", p.log.String())
		}
	})
	until(b.t, "a day is settled", func() bool { return b.coverage().Settled.After(time.Now().Add(-time.Hour)) })
	return p
}

// TestBackfillBesideARunningStarling gives the commands that a person would, to a starling that runs, is
// killed and starts again, and to one that is stopped.
func TestBackfillBesideARunningStarling(t *testing.T) {
	t.Parallel()
	b := newBackfillRun(t)
	p := b.running()
	age := b.from.Format(time.RFC3339)
	settled := b.coverage().Settled.Format(time.RFC3339)
	ask := []string{"backfill", sim.GraphService, "--from", age, "--to", settled}

	b.says(append(ask, "--dry-run"), "  requests         about ", "  share of quota   at most 67 of 90 requests in 5m (74%)", "  time             about ")
	b.says([]string{"coverage", "--from", age}, "it was never asked for", "do:  starling backfill "+sim.GraphService+" --from "+age)
	if c := b.coverage(); c.Backfill != nil || c.Complete {
		t.Fatalf("after a dry run: %+v", c)
	}

	b.slow(time.Second)
	b.says(ask, "pulls carry it out from now on")
	until(t, "it has begun", func() bool { return b.coverage().Backfill.Next.After(b.from.Add(time.Hour)) })
	p.signal(syscall.SIGKILL)
	p.exitCode(time.Minute)
	c := b.coverage() // of the state directory
	if c.Backfill.Over() || c.Complete {
		t.Fatalf("it was to be killed in the middle: %+v", c.Backfill)
	}
	b.says([]string{"coverage", "--from", age}, "  backfill ", "comes to it")
	b.says([]string{"coverage", "--from", age, "--strip"}, "  backfill ", "not asked for")

	p = startRun(t, b.w.Dir)
	next := c.Backfill.Next
	until(t, "it goes on", func() bool { return b.coverage().Backfill.Next.After(next) })
	b.says([]string{"coverage", "--from", age}, "  backfill ", "% done, is at ")
	b.says([]string{"backfill", sim.GraphService, "--cancel"}, "ends at")
	if c := b.coverage(); c.Backfill != nil || c.Complete {
		t.Fatalf("after it was ended: %+v", c)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(2 * time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}

	// Of one that is stopped, with what is left.
	b.slow(0)
	b.says([]string{"coverage", "--from", age}, "it was never asked for")
	b.says(ask, "pulls carry it out from now on")
	startRun(t, b.w.Dir)
	end, err := time.Parse(time.RFC3339, settled)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it is done", func() bool { return b.coverage().Backfill.Over() })
	until(t, "all of it is delivered", func() bool {
		missing, _, _ := b.w.Devo.Compare(b.w.Microsoft.TruthBy(b.from, end, time.Now()))
		return missing == 0
	})
	until(t, "it says so", func() bool {
		return strings.Contains(b.command("coverage", "--from", age, "--to", settled), " UTC: complete\n")
	})
	b.says(append(ask, "--dry-run"), "nothing to do: all of it is settled")
	_, extra, twice := b.w.Devo.Compare(b.w.Microsoft.TruthBy(b.from, time.Now(), time.Now()))
	t.Logf("%d rows, %d of them twice; %d requests", b.w.Devo.Different(), twice, b.w.Microsoft.Counters().Requests)
	if extra > 0 {
		t.Errorf("%d events of no row", extra)
	}
}
