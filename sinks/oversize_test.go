package sinks

import (
	"errors"
	"strings"
	"testing"

	"starling/engine"
	"starling/sinks/sinktest"
)

// An event over the limit is refused before anything of it is on the wire, and the limit that is told
// is one that the receiver would take.
func TestMaxEventBytes(t *testing.T) {
	t.Parallel()
	const most = 1000
	for name, start := range map[string]func(t *testing.T) (engine.Sink, func() []string){
		"syslog": func(t *testing.T) (engine.Sink, func() []string) {
			r := sinktest.NewReceiver(t, nil, true)
			host, port := r.Address()
			return open(t, "syslog", "", map[string]any{"address": host, "port": port, "multiline": true, "max_event_bytes": most}), r.Frames
		},
		"syslog over three connections": func(t *testing.T) (engine.Sink, func() []string) {
			r := sinktest.NewReceiver(t, nil, false)
			host, port := r.Address()
			sink := open(t, "syslog", "", map[string]any{"address": host, "port": port, "max_event_bytes": most, "concurrent_connections": 3}).(*parallel)
			sink.part = 1
			return sink, r.Frames
		},
		"devo_platform": func(t *testing.T) (engine.Sink, func() []string) {
			d := newDevoSide(t, devoServer, false)
			return d.open(t, map[string]any{"max_event_bytes": most, "threshold_for_using_gzip_in_transport_layer": -1}), d.Frames
		},
		"relp": func(t *testing.T) (engine.Sink, func() []string) {
			r := sinktest.NewRelpReceiver(t, nil)
			return openRelp(t, r, map[string]any{"max_event_bytes": most}), r.Frames
		},
		"kafka": func(t *testing.T) (engine.Sink, func() []string) {
			b := newBroker(t, 1)
			return openKafka(t, b, map[string]any{"max_event_bytes": most}), func() []string { return b.bodies(t) }
		},
		"http": func(t *testing.T) (engine.Sink, func() []string) {
			c := newCollector(t, false)
			return openHTTP(t, c, map[string]any{"max_event_bytes": most, "format": "frame"}), c.got
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink, frames := start(t)
			events := sinktest.Events(0, 500)
			events[321].Body = []byte(strings.Repeat("x", 2000) + "\n")
			err := offer(t.Context(), sink, events)
			r, ok := errors.AsType[*engine.Refused](err)
			if !ok || r.Index != 321 || r.Limit <= 0 || !strings.Contains(err.Error(), "over max_event_bytes of the output, 1000") {
				t.Fatalf("got %v (%+v), want event 321 refused", err, r)
			}
			before := len(frames())
			events[321].Body = events[321].Body[:r.Limit]
			if err := offer(t.Context(), sink, events); err != nil {
				t.Fatalf("cut to the limit: %v", err)
			}
			got := frames()[before:]
			longest := 0
			for _, frame := range got {
				longest = max(longest, len(frame))
			}
			if len(got) < len(events) || longest > most || longest < most-10 {
				t.Errorf("got %d frames of up to %d bytes, want %d of up to %d", len(got), longest, len(events), most)
			}
		})
	}
}
