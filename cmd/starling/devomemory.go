package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// tellMemory logs, at once and then every few minutes until ctx ends, what memory the process has before
// and after it gives back what it does not need: in Devo's form of the log, where people look for it.
func tellMemory(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(devoEvery)
	defer tick.Stop()
	for {
		if before, ok := readMemory(); ok {
			debug.FreeOSMemory()
			after, _ := readMemory()
			log.Info("memory", "used_before", before.used, "used_after", after.used, "rss_before", before.rss, "rss_after", after.rss,
				"vms_before", before.vms, "vms_after", after.vms)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// A memory is the share of the machine's memory that is used, in percent, and what the process has of it.
type memory struct {
	used     float64
	rss, vms int64
}

// readMemory asks Linux; elsewhere there is nothing to read.
func readMemory() (m memory, ok bool) {
	statm, err1 := os.ReadFile("/proc/self/statm")
	info, err2 := os.ReadFile("/proc/meminfo")
	pages := strings.Fields(string(statm))
	if err1 != nil || err2 != nil || len(pages) < 2 {
		return m, false
	}
	sizes := map[string]float64{}
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 1 {
			sizes[f[0]], _ = strconv.ParseFloat(f[1], 64)
		}
	}
	total, available := sizes["MemTotal:"], sizes["MemAvailable:"]
	vms, err1 := strconv.ParseInt(pages[0], 10, 64)
	rss, err2 := strconv.ParseInt(pages[1], 10, 64)
	if err1 != nil || err2 != nil || total <= 0 {
		return m, false
	}
	size := int64(os.Getpagesize())
	return memory{100 * (total - available) / total, rss * size, vms * size}, true
}
