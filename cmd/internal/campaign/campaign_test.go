package campaign

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	// The program is made of these. Without them go test would show again what it found with an older program.
	_ "starling/builtins"
	_ "starling/engine"
	_ "starling/scripts"
	_ "starling/sinks"
)

// program is the starling that the tests run.
var program string

// TestMain builds the program, and lets this binary be a receiver in a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "receiver" {
		if err := Receive(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "starling-campaign-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "starling")
	args := []string{"build", "-buildvcs=false", "-o", program}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "starling/cmd/starling")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	// Campaigns wait more than they work, so that more of them fit beside each other than there are processors.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// draw runs a campaign as small as its CI size.
func draw(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	if _, err := os.ReadDir("../../starling"); err != nil { // as the imports above: package main cannot be imported
		t.Fatal(err)
	}
	all := All()
	c := all[slices.IndexFunc(all, func(c Campaign) bool { return c.Name == name })]
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Starling: program, Receiver: []string{self, "receiver"}, Dir: t.TempDir(), Log: t.Logf}
	if o.Seed, o.Size, err = c.FromEnvironment(os.Getenv, c.CI); err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d", o.Seed)
	result, err := c.Run(t.Context(), o)
	if errors.Is(err, ErrSkipped) && os.Getenv("STARLING_NO_SKIP") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\nrepeat it with: STARLING_SEED=%d go test ./cmd/internal/campaign -run '^%s$'", err, o.Seed, t.Name())
	}
	t.Logf("%d faults, %d events: %d lost, %d extra, %d twice", result.Faults, result.Rows, result.Lost, result.Extra, result.Twice)
}

func TestKillsOfTheCollectorLoseNothing(t *testing.T)    { draw(t, "kills") }
func TestKillsWithAWindowLoseNothing(t *testing.T)       { draw(t, "window") }
func TestKillsOfTheReceiverLoseNothing(t *testing.T)     { draw(t, "receiver") }
func TestKillsOfRsyslogOverTLSLoseNothing(t *testing.T)  { draw(t, "rsyslog") }
func TestKillsOfRsyslogOverRELPLoseNothing(t *testing.T) { draw(t, "relp") }
func TestStallAndResetLoseNothing(t *testing.T)          { draw(t, "stall") }
func TestKillsWithGzipLoseNothing(t *testing.T)          { draw(t, "gzip-kills") }
func TestReceiverKillsWithGzipLoseNothing(t *testing.T)  { draw(t, "gzip-receiver") }
func TestStallAndResetWithGzipLoseNothing(t *testing.T)  { draw(t, "gzip-stall") }
func TestOutagesLoseNothing(t *testing.T)                { draw(t, "outage") }
func TestFullDisksLoseNothing(t *testing.T)              { draw(t, "diskfull") }
func TestSoakLosesNothingAndGrowsNowhere(t *testing.T)   { draw(t, "soak") }
