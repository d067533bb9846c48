package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is how much of what its container may use Go keeps to: the rest is for the files of the database,
// which are mapped, and for what else is not Go's.
const memoryShare = 0.8

// gcPercent is by how much the heap grows between two collections, unless GOGC says otherwise. Go's 100 takes 6 MiB more at full speed,
// and no less of the processor that could be measured.
const gcPercent = 75

// limitMemory has the garbage collector keep to a share of the limit, unless GOMEMLIMIT says what it is to keep
// to. Until ctx ends it asks again every minute, as the limit of a container can be changed while it runs.
func limitMemory(ctx context.Context, log *slog.Logger, limit memlimit.Provider) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	n, err := memlimit.Set(memlimit.WithProvider(limit), memlimit.WithRatio(memoryShare), memlimit.WithRefreshInterval(ctx, time.Minute))
	switch {
	case err != nil:
		log.Debug("nothing says how much memory may be used", "error", err)
	case n < math.MaxInt64:
		log.Info("memory is kept below a limit", "bytes", n)
	}
}
