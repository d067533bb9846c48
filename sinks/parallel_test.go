package sinks

import (
	"errors"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// openTwo makes a sink with two connections, each to a receiver of its own, that spreads even a few events.
func openTwo(t *testing.T, more map[string]any) (p *parallel, first, second *sinktest.Receiver) {
	t.Helper()
	first, second = sinktest.NewReceiver(t, nil, false), sinktest.NewReceiver(t, nil, false)
	host, port := first.Address()
	values := map[string]any{"address": host, "port": port, "concurrent_connections": 2}
	for key, value := range more {
		values[key] = value
	}
	p = open(t, "syslog", "", values).(*parallel)
	p.part = 1
	p.lanes[1].address = addressOf(second.Address())
	return p, first, second
}

// An epoch is confirmed by all of its connections, or by none.
func TestOneOfTwoConnectionsFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sinktest.Fault{"reset": {ResetAt: 1}, "no answer": {Silent: true}, "closed within the epoch": {CloseAt: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, first, second := openTwo(t, nil)
			if err := offer(t.Context(), p, sinktest.Events(0, 100)); err != nil {
				t.Fatal(err)
			}
			p.lanes[1].patience = 100 * time.Millisecond
			second.Break(fault)
			events := sinktest.Events(100, 2000)
			for range 3 {
				if err := offer(t.Context(), p, events); err == nil {
					t.Fatal("acknowledged, and one of two receivers has failed")
				}
			}
			if got := p.Confirmed(); got != 1 {
				t.Errorf("%d epochs are confirmed, want the one before", got)
			}
			second.Mend()
			p.lanes[1].patience = confirmTimeout
			if err := offer(t.Context(), p, events); err != nil {
				t.Fatal(err)
			}
			if len(first.Bodies()) < 1000 || len(second.Bodies()) < 1000 {
				t.Errorf("one receiver has %d events, the other %d: they are not spread", len(first.Bodies()), len(second.Bodies()))
			}
			wantEverything(t, append(first.Bodies(), second.Bodies()...), sinktest.Events(0, 2100))
		})
	}
}

// With a window, a connection that has confirmed waits for the other.
func TestTwoConnectionsWithAWindowConfirmTogether(t *testing.T) {
	t.Parallel()
	p, first, second := openTwo(t, map[string]any{"confirmation": "window"})
	p.lanes[0].window.age = 0
	epoch := func(i int) error {
		return errors.Join(p.Send(t.Context(), sinktest.Events(100*i, 100)), p.Flush(t.Context()))
	}
	for i := range 3 {
		if err := epoch(i); err != nil {
			t.Fatal(err)
		}
	}
	for p.lanes[0].Confirmed() < 3 { // ends with the test's time
		p.confirm()
	}
	if p.lanes[1].Confirmed() != 0 || p.Confirmed() != 0 {
		t.Fatalf("one connection has confirmed %d epochs, and both %d, want none", p.lanes[1].Confirmed(), p.Confirmed())
	}
	p.lanes[1].window.age = 0
	for p.Confirmed() < 3 {
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.confirm()
	}
	// What one confirms of an epoch that the other lost counts for nothing.
	p.lanes[1].window.age = time.Hour
	if err := epoch(3); err != nil {
		t.Fatal(err)
	}
	for len(second.Bodies()) < 200 { // an age of 0 has confirmed what it had not read
		time.Sleep(time.Millisecond)
	}
	second.CloseOpen(false)
	<-p.lanes[1].link.over
	if err := epoch(4); err == nil {
		t.Fatal("no error from a connection that was reset")
	}
	if got := p.Confirmed(); got != 3 {
		t.Errorf("%d epochs are confirmed, want the 3 from before the reset", got)
	}
	for i := 3; i < 6; i++ {
		if err := epoch(i); err != nil {
			t.Fatal(err)
		}
	}
	p.lanes[0].window.age = time.Hour
	if err := p.Settle(t.Context()); err != nil || p.Confirmed() != 6 {
		t.Errorf("got %v, %d epochs confirmed, want 6", err, p.Confirmed())
	}
	wantEverything(t, append(first.Bodies(), second.Bodies()...), sinktest.Events(0, 600))
}

// What one connection finds out about the receiver, the others know.
func TestConnectionsLearnTogether(t *testing.T) {
	t.Parallel()
	p, first, second := openTwo(t, nil)
	first.Break(sinktest.Fault{Silent: true})
	second.Break(sinktest.Fault{Silent: true})
	for _, lane := range p.lanes {
		lane.patience, lane.window.age = 100*time.Millisecond, 100*time.Millisecond
	}
	failures := 0
	for offer(t.Context(), p, sinktest.Events(0, 1)) != nil { // one event goes to the first
		failures++
	}
	if failures != silentAfter || !p.lanes[1].confirmation.windowed() {
		t.Errorf("%d failures, want %d; does the other know? %v", failures, silentAfter, p.lanes[1].confirmation.windowed())
	}
}

// Few events are not worth a second handshake.
func TestSmallEpochsTakeOneConnection(t *testing.T) {
	t.Parallel()
	receiver := sinktest.NewReceiver(t, nil, false)
	host, port := receiver.Address()
	p := open(t, "sidecar", "", map[string]any{"address": host, "port": port, "concurrent_connections": 16}).(*parallel)
	for i := range 5 {
		if err := offer(t.Context(), p, sinktest.Events(i, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if n := receiver.Connections(); n != 5 {
		t.Errorf("5 small epochs took %d connections", n)
	}
	if parts := p.split(make([]engine.Event, 3)); len(parts) != 1 || len(parts[0]) != 3 {
		t.Errorf("got %d parts", len(parts))
	}
	big := sinktest.Events(0, 20)
	for i := range big {
		big[i].Body = make([]byte, partBytes)
	}
	if parts := p.split(big); len(parts) != 16 {
		t.Errorf("got %d parts, want one for each connection", len(parts))
	}
}
