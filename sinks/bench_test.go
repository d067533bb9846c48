package sinks

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// traces returns n events as of a message trace, some 560 bytes each: names and words repeat, identities
// do not.
func traces(n int) []engine.Event {
	random := rand.New(rand.NewPCG(3, 4))
	id := func(bytes int) string {
		b := make([]byte, bytes)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return hex.EncodeToString(b)
	}
	words := make([]string, 400)
	for i := range words {
		words[i] = strings.ToLower(id(1 + random.IntN(4)))
	}
	table := &engine.Table{Tag: "cloud.office365.messagetracing", Priority: engine.DefaultPriority}
	events := make([]engine.Event, n)
	for i := range events {
		at := time.UnixMilli(1_671_628_634_405 + int64(i)*7).UTC()
		subject := make([]string, 2+random.IntN(8))
		for j := range subject {
			subject[j] = words[random.IntN(len(words))]
		}
		events[i] = engine.Event{Table: table, Time: at, Body: fmt.Appendf(nil, `{"Organization": "contoso.com", "MessageId": "<%s@contoso.com>", "Received": "%s", "SenderAddress": "%s@contoso.com", `+
			`"RecipientAddress": "%s@fabrikam.com", "Subject": "%s", "Status": "Delivered", "ToIP": "192.0.2.%d", "FromIP": "198.51.100.%d", "Size": %d, "MessageTraceId": "%s", `+
			`"StartDate": "2022-12-21T12:00:00Z", "EndDate": "2022-12-21T13:00:00Z", "Index": %d, "@devo_pulling_id": "1671628634405"}`,
			id(16), at.Format("2006-01-02T15:04:05.0000000"), words[random.IntN(len(words))], words[random.IntN(len(words))], strings.Join(subject, " "),
			random.IntN(256), random.IntN(256), random.IntN(1<<20), id(16), i)}
	}
	return events
}

// BenchmarkDevoSink sends events over TLS on loopback. The receiver runs in the same process, so it has its
// share of the time and of the processor.
func BenchmarkDevoSink(b *testing.B) {
	for _, c := range []struct {
		name   string
		epoch  int
		pause  time.Duration // of the receiver, between two reads of 4 KiB of a connection
		config map[string]any
	}{
		{"epoch=1MiB", 1 << 20, 0, nil},
		{"epoch=8MiB", 8 << 20, 0, nil},
		{"epoch=8MiB,connections=2", 8 << 20, 0, map[string]any{"concurrent_connections": 2}},
		{"epoch=8MiB,connections=4", 8 << 20, 0, map[string]any{"concurrent_connections": 4}},
		{"epoch=8MiB,gzip", 8 << 20, 0, map[string]any{"threshold_for_using_gzip_in_transport_layer": -1}},
		{"epoch=8MiB,gzip,connections=2", 8 << 20, 0, map[string]any{"threshold_for_using_gzip_in_transport_layer": -1, "concurrent_connections": 2}},
		{"slow", 8 << 20, 100 * time.Microsecond, nil},
		{"slow,connections=2", 8 << 20, 100 * time.Microsecond, map[string]any{"concurrent_connections": 2}},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := newDevoSide(b, devoServer, false)
			d.Break(sinktest.Fault{Forget: true, Pause: c.pause})
			sink := open(b, "devo_platform", d.dir, d.config(c.config))
			events := traces(1000)
			size := 0
			for i := range events {
				size += len(events[i].Body)
			}
			b.SetBytes(int64(size))
			before, sent, count := processorTime(b), 0, 0
			for b.Loop() {
				if err := sink.Send(b.Context(), events); err != nil {
					b.Fatal(err)
				}
				count += len(events)
				if sent += size; sent < c.epoch {
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
			b.ReportMetric((processorTime(b)-before).Seconds()*1e6/float64(count), "cpu-s/Mevent")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkGzip makes members of frames: what gzip costs, and what it saves.
func BenchmarkGzip(b *testing.B) {
	for _, level := range []int{1, 6, 9} {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			z, f, events := zipper{threshold: -1, level: level, size: 51200}, framer{host: "host"}, traces(10_000)
			var frames, members int
			var out []byte
			before := processorTime(b)
			for b.Loop() {
				for i := range events {
					had := len(z.frames)
					z.frames = f.append(z.frames, &events[i])
					if frames += len(z.frames) - had; len(z.frames) > z.size {
						out = z.flush(out[:0])
						members += len(out)
					}
				}
			}
			count := float64(b.N) * float64(len(events))
			b.SetBytes(int64(frames / b.N))
			b.ReportMetric((processorTime(b)-before).Seconds()*1e6/count, "cpu-s/Mevent")
			b.ReportMetric(float64(frames)/float64(members), "ratio")
		})
	}
}
