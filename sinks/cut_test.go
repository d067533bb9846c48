package sinks

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"starling/engine"
	"starling/sinks/sinktest"
)

// behindCutter returns a sink of each kind that has connections, with a cutter in front of its receiver.
var behindCutter = map[string]func(t *testing.T) (engine.Sink, *cutter, *sinktest.Receiver){
	"devo": func(t *testing.T) (engine.Sink, *cutter, *sinktest.Receiver) {
		d := newDevoSide(t, devoServer, false)
		c := newCutter(t, "127.0.0.1:0", addressOf(d.Address()))
		return d.open(t, map[string]any{"port": c.port()}), c, d.Receiver
	},
	"devo with a window": func(t *testing.T) (engine.Sink, *cutter, *sinktest.Receiver) {
		d := newDevoSide(t, devoServer, false)
		c := newCutter(t, "127.0.0.1:0", addressOf(d.Address()))
		return d.open(t, map[string]any{"port": c.port(), "confirmation": "window"}), c, d.Receiver
	},
	"devo with gzip": func(t *testing.T) (engine.Sink, *cutter, *sinktest.Receiver) {
		d := newDevoSide(t, devoServer, false)
		c := newCutter(t, "127.0.0.1:0", addressOf(d.Address()))
		return d.open(t, map[string]any{"port": c.port(), "threshold_for_using_gzip_in_transport_layer": -1, "compression_buffer_in_bytes": 5000}), c, d.Receiver
	},
	"devo with two connections": func(t *testing.T) (engine.Sink, *cutter, *sinktest.Receiver) {
		d := newDevoSide(t, devoServer, false)
		c := newCutter(t, "127.0.0.1:0", addressOf(d.Address()))
		sink := open(t, "devo_platform", d.dir, d.config(map[string]any{"port": c.port(), "concurrent_connections": 2})).(*wideDevo)
		sink.part = 1
		return sink, c, d.Receiver
	},
	"syslog": func(t *testing.T) (engine.Sink, *cutter, *sinktest.Receiver) {
		r := sinktest.NewReceiver(t, nil, false)
		c := newCutter(t, "127.0.0.1:0", addressOf(r.Address()))
		return open(t, "syslog", "", map[string]any{"address": "127.0.0.1", "port": c.port()}), c, r
	},
	"relp": func(t *testing.T) (engine.Sink, *cutter, *sinktest.Receiver) {
		r := sinktest.NewRelpReceiver(t, nil)
		c := newCutter(t, "127.0.0.1:0", addressOf(r.Address()))
		return open(t, "relp", "", map[string]any{"address": "127.0.0.1", "port": c.port(), "type": "TCP"}), c, r
	},
}

// seed draws the places; STARLING_SEED repeats a run.
func seed(t *testing.T) *rand.Rand {
	n, err := strconv.ParseUint(os.Getenv("STARLING_SEED"), 10, 64)
	if err != nil {
		n = rand.Uint64()
	}
	t.Logf("STARLING_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// A connection is reset at the first bytes, at the last ones, at the end itself, and at drawn places:
// within the handshake, a record, a frame, close_notify. What was acknowledged is there.
func TestResetAtAnyByte(t *testing.T) {
	t.Parallel()
	random := seed(t)
	for kind, start := range behindCutter {
		drawn := make([]float64, 12)
		for i := range drawn {
			drawn[i] = random.Float64()
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			sink, c, receiver := start(t)
			all := sinktest.Events(0, 300)
			if err := offer(t.Context(), sink, all); err != nil {
				t.Fatal(err)
			}
			_ = sink.Close()
			length := c.count()
			places := []int{0, 1, 2, 5, 6, length / 2, length - 2, length - 1, length}
			for _, f := range drawn {
				places = append(places, int(f*float64(length)))
			}
			failed := 0
			for i, place := range places {
				events := sinktest.Events(1000*(i+1), 300)
				c.at(place, -1)
				err := offer(t.Context(), sink, events)
				if err != nil {
					failed++
					c.at(-1, -1)
					if err := offer(t.Context(), sink, events); err != nil {
						t.Fatalf("reset at byte %d of %d: the next offer: %v", place, length, err)
					}
				}
				wantEverything(t, receiver.Bodies(), events)
				_ = sink.Close() // so that the next epoch has a connection of its own
			}
			t.Logf("%d of %d resets within %d bytes ended an epoch", failed, len(places), length)
			if failed < len(places)/2 {
				t.Error("most resets were not noticed: the test proves nothing")
			}
		})
	}
}

// A byte that is changed on the way makes the receiver's TLS send an alert in the middle of the stream.
func TestAlertWithinTheStream(t *testing.T) {
	t.Parallel()
	sink, c, receiver := behindCutter["devo"](t)
	events := sinktest.Events(0, 5000)
	if err := offer(t.Context(), sink, events[:100]); err != nil {
		t.Fatal(err)
	}
	for _, place := range []int{c.count() - 10_000, c.count() + 200_000} { // behind the handshake
		_ = sink.Close() // a spare connection would not be changed
		c.at(-1, place)
		err := offer(t.Context(), sink, events)
		if err == nil || !strings.Contains(err.Error(), "the server refused the TLS connection: remote error: tls: bad record MAC") {
			t.Errorf("got %v, want the alert", err)
		}
		_ = sink.Close()
		c.at(-1, -1)
		if err := offer(t.Context(), sink, events); err != nil {
			t.Fatal(err)
		}
		wantEverything(t, receiver.Bodies(), events)
	}
}
