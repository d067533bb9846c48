package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"starling/engine"
)

// trialTime ends a schedule in which something waits by the clock of the machine.
const trialTime = 5 * time.Minute

var missedSeed = flag.Int64("missed.seed", -1, "the one schedule that TestNothingIsMissed runs")

// failedSchedules are seeds that once failed. They run always.
var failedSchedules = []int64{}

// TestNothingIsMissed draws schedules of everything that may happen between Microsoft and a collector of
// message traces, and holds what is committed, and what the ledger says, against the truth. A failure
// prints its seed; run it again with
//
//	go test ./cmd/starling -run TestNothingIsMissed -missed.seed SEED
//
// STARLING_SCHEDULES is how many are drawn, from STARLING_SCHEDULES_FROM on.
func TestNothingIsMissed(t *testing.T) {
	if *missedSeed >= 0 {
		runTrials(t, []int64{*missedSeed})
		return
	}
	seeds := append([]int64{}, failedSchedules...)
	from, count := numberOf(t, "STARLING_SCHEDULES_FROM", 1), numberOf(t, "STARLING_SCHEDULES", 12)
	for n := range count {
		seeds = append(seeds, from+n)
	}
	runTrials(t, seeds)
}

func numberOf(t *testing.T, name string, otherwise int64) int64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// runTrials runs schedules, as many at once as there are processors, each of these with a store of its own.
func runTrials(t *testing.T, seeds []int64) {
	began := time.Now()
	next := make(chan int64)
	var workers sync.WaitGroup
	var total trialCounts
	var mu sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			store, err := engine.OpenStore("", 1<<30)
			if err != nil {
				t.Error(err)
				for range next {
				}
				return
			}
			defer func() { store.Close() }()
			for n := 1; ; n++ {
				seed, ok := <-next
				if !ok {
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), trialTime)
				counts, err := runTrial(ctx, store, seed)
				cancel()
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				mu.Lock()
				total.add(counts)
				mu.Unlock()
				if n%100 == 0 { // what it keeps is in memory
					store.Close()
					if store, err = engine.OpenStore("", 1<<30); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for _, seed := range seeds {
		next <- seed
	}
	close(next)
	workers.Wait()
	t.Logf("%d schedules in %v: %v", len(seeds), time.Since(began).Round(time.Second), total)
}

// trialCounts is what schedules had in them, to see that they are worth something.
type trialCounts struct {
	rows, events, late, changed, requests, throttled, faults, kills, failedPulls, gaps int
}

func (c *trialCounts) add(more trialCounts) {
	c.rows += more.rows
	c.events += more.events
	c.late += more.late
	c.changed += more.changed
	c.requests += more.requests
	c.throttled += more.throttled
	c.faults += more.faults
	c.kills += more.kills
	c.failedPulls += more.failedPulls
	c.gaps += more.gaps
}

func (c trialCounts) String() string {
	return fmt.Sprintf("%d rows (%d late, %d changed), %d events, %d requests, %d throttled, %d faults, %d kills, %d failed pulls, %d gaps",
		c.rows, c.late, c.changed, c.events, c.requests, c.throttled, c.faults, c.kills, c.failedPulls, c.gaps)
}
