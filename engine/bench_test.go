package engine

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchEvents returns n bodies as of a message trace, some 600 bytes each: names and words repeat, identities do not.
func benchEvents(n int) [][]byte {
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
		words[i] = id(1 + random.IntN(4))
	}
	word := func() string { return words[random.IntN(len(words))] }
	bodies := make([][]byte, n)
	for i := range bodies {
		subject := make([]string, 2+random.IntN(8))
		for j := range subject {
			subject[j] = word()
		}
		at := time.UnixMilli(1_671_628_634_405 + int64(i)*7).UTC().Format("2006-01-02T15:04:05.0000000")
		bodies[i] = fmt.Appendf(nil, `{"organization":"contoso.com","message_id":"<%s@contoso.com>","received":"%s","sender_address":"%s@contoso.com","sender_domain":"contoso.com",`+
			`"recipient_address":"%s@fabrikam.com","recipient_domain":"fabrikam.com","subject":"%s","status":"Delivered","to_ip":"192.0.2.%d","from_ip":"198.51.100.%d","size":%d,"message_trace_id":"%s",`+
			`"start_date":"2022-12-21T12:00:00Z","end_date":"2022-12-21T13:00:00Z","index":%d,"@devo_pulling_id":"1671628634405"}`,
			id(16), at, word(), word(), strings.Join(subject, " "), random.IntN(256), random.IntN(256), random.IntN(1<<20), id(16), i)
	}
	return bodies
}

// reportProcessor reports what a million events have cost since the time of the processor was before.
func reportProcessor(b *testing.B, before time.Duration, events int) {
	b.ReportMetric((usedProcessor(b)-before).Seconds()*1e6/float64(events), "cpu-s/Mevents")
}

func usedProcessor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const benchPage = 2000 // events in a commit

func benchStore(b *testing.B) (*Store, *Env) {
	s, err := OpenStore(b.TempDir(), 1<<40)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := s.outputs([]string{"out"}); err != nil {
		b.Fatal(err)
	}
	return s, quietEnv(s)
}

// stageBench stages a page of events.
func stageBench(b *testing.B, p *Pull, bodies [][]byte) {
	for _, body := range bodies {
		if err := p.Stage(testTable, p.started, body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStage packs and compresses events, and commits none.
func BenchmarkStage(b *testing.B) {
	_, env := benchStore(b)
	p := NewPull(b.Context(), env, "in/1/svc")
	bodies := benchEvents(2 * benchPage)
	b.ReportAllocs()
	before, events := usedProcessor(b), 0
	size := int64(0)
	for b.Loop() {
		at := events % len(bodies)
		stageBench(b, p, bodies[at:at+benchPage])
		p.staged.seal()
		size += p.staged.size
		p.staged.empty()
		events += benchPage
	}
	b.ReportMetric(float64(size)/float64(events), "bytes/event")
	reportProcessor(b, before, events)
}

// BenchmarkCommit makes pages of chunks durable that are compressed already, and acknowledges them.
func BenchmarkCommit(b *testing.B) {
	for _, pages := range []int{1, 4} {
		b.Run(fmt.Sprintf("pages=%d", pages), func(b *testing.B) {
			s, env := benchStore(b)
			p := NewPull(b.Context(), env, "in/1/svc")
			stageBench(b, p, benchEvents(pages*benchPage))
			before, events := usedProcessor(b), 0
			for b.Loop() {
				c := p.staged.seal()
				c.collector = p.collector
				if err := s.commit(b.Context(), c); err != nil {
					b.Fatal(err)
				}
				if err := s.ack("out", s.nextChunk()); err != nil {
					b.Fatal(err)
				}
				events += pages * benchPage
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			reportProcessor(b, before, events)
		})
	}
}

// BenchmarkDrain reads back what is committed.
func BenchmarkDrain(b *testing.B) {
	s, env := benchStore(b)
	p := NewPull(b.Context(), env, "in/1/svc")
	stageBench(b, p, benchEvents(20*benchPage))
	if err := p.Commit(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before, events := usedProcessor(b), 0
	for b.Loop() {
		for id := s.tail("out"); id < s.nextChunk(); id++ {
			c, _, err := s.chunk(id)
			if err != nil {
				b.Fatal(err)
			}
			events += len(c.events)
			s.reuse(c.block)
		}
	}
	reportProcessor(b, before, events)
}
