package sinks

import (
	"fmt"
	"testing"

	"starling/sinks/sinktest"
)

// BenchmarkDevoSink sends events of about 600 bytes over TLS on loopback. The receiver runs in the
// same process, so it has its share of the time.
func BenchmarkDevoSink(b *testing.B) {
	for _, epoch := range []int{1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("epoch=%dMiB", epoch>>20), func(b *testing.B) {
			d := newDevoSide(b, devoServer, false)
			d.Break(sinktest.Fault{Forget: true})
			sink := d.open(b, nil)
			events := sinktest.Events(0, 1000)
			size := 0
			for i := range events {
				events[i].Body = fmt.Appendf(events[i].Body, "%*s", 600-len(events[i].Body), "")
				size += len(events[i].Body)
			}
			b.SetBytes(int64(size))
			sent, count := 0, 0
			for b.Loop() {
				if err := sink.Send(b.Context(), events); err != nil {
					b.Fatal(err)
				}
				count += len(events)
				if sent += size; sent < epoch {
					continue
				}
				sent = 0
				if err := sink.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			if err := sink.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
