package sinks

import (
	"slices"
	"testing"

	"starling/sinks/sinktest"
)

// The threshold decides for an epoch as a whole, by how full the outbox was at its beginning.
func TestGzipFollowsTheThreshold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		threshold float64
		want      []bool // with the outbox empty, half full, full
	}{
		{-1, []bool{true, true, true}},
		{-0.001, []bool{true, true, true}},
		{0, []bool{true, true, true}},
		{0.5, []bool{false, true, true}},
		{0.501, []bool{false, false, true}},
		{1, []bool{false, false, true}},
		{1.1, []bool{false, false, false}},
	} {
		d := newDevoSide(t, devoServer, false)
		sink := d.open(t, map[string]any{"threshold_for_using_gzip_in_transport_layer": c.threshold})
		var got []bool
		for _, load := range []float64{0, 0.5, 1} {
			before := d.Members()
			sink.Load(load)
			for i := range 2 {
				if err := sink.Send(t.Context(), sinktest.Events(i, 1)); err != nil {
					t.Fatal(err)
				}
				sink.Load(1 - load) // is for the next epoch
			}
			if err := sink.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			got = append(got, d.Members() > before)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("threshold %v: got %v, want %v", c.threshold, got, c.want)
		}
		wantEverything(t, d.Bodies(), sinktest.Events(0, 2))
	}
}

// Nothing waits in a buffer: an epoch of one event is there when it is confirmed, and so is every part of
// one that fills many members; a smaller buffer makes more of them.
func TestNoMemberWaits(t *testing.T) {
	t.Parallel()
	for size, members := range map[int]int{1: 1000, 10_000: 30, 10 << 20: 1} {
		d := newDevoSide(t, devoServer, false)
		sink := d.open(t, map[string]any{"threshold_for_using_gzip_in_transport_layer": -1, "compression_buffer_in_bytes": size, "compression_level": 1})
		for i := range 3 {
			if err := offer(t.Context(), sink, sinktest.Events(i, 1)); err != nil {
				t.Fatal(err)
			}
			if got := len(d.Bodies()); got != i+1 || d.Members() != i+1 {
				t.Fatalf("%d events confirmed, %d received in %d members", i+1, got, d.Members())
			}
		}
		if err := offer(t.Context(), sink, sinktest.Events(3, 1000)); err != nil {
			t.Fatal(err)
		}
		wantInOrder(t, d.Receiver, 1003)
		if got := d.Members() - 3; got < members/2 || got > members {
			t.Errorf("buffer of %d bytes: %d members, want about %d", size, got, members)
		}
	}
}
