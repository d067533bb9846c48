package main

import (
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The limit of a container is that of memory, unless GOMEMLIMIT is another. It is so large here that no other
// test notices.
func TestMemoryIsKeptBelowTheLimitOfTheContainer(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	percent := debug.SetGCPercent(100)
	defer debug.SetGCPercent(percent)
	wantPercent := gcPercent
	if _, set := os.LookupEnv("GOGC"); set {
		wantPercent = 100
	}
	want := int64(8 << 40)
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		want = before
	}
	var said strings.Builder
	log := slog.New(slog.NewTextHandler(&said, nil))
	limitMemory(t.Context(), log, memlimit.Limit(10<<40))
	if got := debug.SetMemoryLimit(-1); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	if got := debug.SetGCPercent(100); got != wantPercent {
		t.Errorf("garbage is collected when the heap has grown by %d %%, want %d", got, wantPercent)
	}
	if !strings.Contains(said.String(), "memory is kept below a limit") {
		t.Errorf("the log says nothing of it: %s", &said)
	}
}
