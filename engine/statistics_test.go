package engine

import (
	"context"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestStatisticsComeInTimeAndAddUp: each output is told of in its own period, and what was acknowledged
// from one time to the next is all that the receiver got.
func TestStatisticsComeInTimeAndAddUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out", "seldom")
		log := w.log
		sink, other := newMemorySink(), newMemorySink()
		d, stop := w.start("out", sink)
		o, stopOther := w.start("seldom", other)
		d.last.at, o.last.at = time.Now(), time.Now()
		e := &Engine{deliveries: map[string]*delivery{"out": d, "seldom": o},
			config: &Config{Outputs: []Output{{Name: "out", StatsPeriod: time.Minute}, {Name: "seldom", StatsPeriod: 3 * time.Minute}}}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.tellStatistics(ctx)
		}()
		for range 30 {
			w.commit()
			time.Sleep(7 * time.Second)
		}
		cancel()
		<-done
		stop()
		stopOther()
		e.statistics(true)

		for name, want := range map[string]int{"out": 3 + 1, "seldom": 1 + 1} { // and once at the end
			lines := regexp.MustCompile(`sink=`+name+` .* events=(\d+) bytes=(\d+) .*events_since=(\d+) bytes_since=(\d+) .*events_wait=0`).FindAllStringSubmatch(log.String(), -1)
			if len(lines) != want {
				t.Fatalf("%s: %d lines, want %d:\n%s", name, len(lines), want, log.String())
			}
			sum := 0
			for _, m := range lines {
				since, _ := strconv.Atoi(m[3])
				sum += since
			}
			if total, _ := strconv.Atoi(lines[want-1][1]); total != w.n || sum != w.n {
				t.Errorf("%s: %d in all, %d added up, want %d", name, total, sum, w.n)
			}
		}
		bytes := 0
		for _, body := range sink.got {
			bytes += len(body)
		}
		if got := d.snapshot().Bytes; got != int64(bytes) {
			t.Errorf("%d bytes, want %d", got, bytes)
		}
	})
}
