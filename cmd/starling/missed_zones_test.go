package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine may have none
)

// TestZonesChangeNothing runs the same schedules in processes of several time zones: all events, cursors
// and ledgers are the same. They cross the end of summer time in one of them.
func TestZonesChangeNothing(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	count := max(2, numberOf(t, "STARLING_SCHEDULES", 0)/20)
	outputs := map[string]string{}
	for _, zone := range []string{"UTC", "America/New_York", "Asia/Kolkata"} {
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestNothingIsMissed$", "-test.timeout=0")
		cmd.Env = append(os.Environ(), "TZ="+zone, "STARLING_SCHEDULES_DIGEST=1", fmt.Sprintf("STARLING_SCHEDULES=%d", count))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", zone, err, out)
		}
		outputs[zone] = digestsOf(string(out))
		if n := strings.Count(outputs[zone], "\n"); n != int(count)+1 {
			t.Fatalf("%s: got %d lines, want %d schedules and the zone:\n%s", zone, n, count, out)
		}
		if !strings.Contains(outputs[zone], "zone "+zone+"\n") {
			t.Fatalf("the process was not in the zone %s:\n%s", zone, out)
		}
		outputs[zone] = strings.ReplaceAll(outputs[zone], zone, "")
	}
	for zone, got := range outputs {
		if got != outputs["UTC"] {
			t.Errorf("%s changes what comes of schedules:\n%s\nwithout it:\n%s", zone, got, outputs["UTC"])
		}
	}
}

// digestsOf are the lines that tellDigest printed, sorted.
func digestsOf(output string) string {
	var lines []string
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "schedule ") || strings.HasPrefix(line, "zone ") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// tellDigests reports whether this process is one of TestZonesChangeNothing, and prints its zone.
func tellDigests() bool {
	if os.Getenv("STARLING_SCHEDULES_DIGEST") == "" {
		return false
	}
	fmt.Printf("zone %s\n", time.Local)
	return true
}
