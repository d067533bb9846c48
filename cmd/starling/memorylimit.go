package main

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is how much of what its container may use Go keeps to: the rest is for the files of the database,
// which are mapped, and for what else is not Go's.
const memoryShare = 0.8

// limitMemory has the garbage collector keep to a share of the limit, unless GOMEMLIMIT says what it is to keep
// to. Until ctx ends it asks again every minute, as the limit of a container can be changed while it runs.
func limitMemory(ctx context.Context, log *slog.Logger, limit memlimit.Provider) {
	n, err := memlimit.Set(memlimit.WithProvider(limit), memlimit.WithRatio(memoryShare), memlimit.WithRefreshInterval(ctx, time.Minute))
	switch {
	case err != nil:
		log.Debug("nothing says how much memory may be used", "error", err)
	case n < math.MaxInt64:
		log.Info("memory is kept below a limit", "bytes", n)
	}
}
