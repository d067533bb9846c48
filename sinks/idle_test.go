package sinks

import (
	"errors"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// A connection with a window, and a session of RELP, are renewed when they have had their time, or were idle for
// too long: nothing is lost, nothing comes twice or out of order, and what the old one had is confirmed.
func TestOldConnectionsAreRenewedInOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		config  map[string]any
		passes  func(*link)
		renewed bool
	}{
		{"older than an hour", nil, func(l *link) { l.made = time.Now().Add(-time.Hour - time.Second) }, true},
		{"not so old", nil, func(l *link) { l.made = time.Now().Add(-59 * time.Minute) }, false},
		{"older than set", map[string]any{"connection_max_age": "5m"}, func(l *link) { l.made = time.Now().Add(-5*time.Minute - time.Second) }, true},
		{"idle for 20 s", nil, func(l *link) { l.used = time.Now().Add(-20 * time.Second) }, true},
		{"idle for less", map[string]any{"connection_max_idle": "30m"}, func(l *link) { l.used = time.Now().Add(-29 * time.Minute) }, false},
		{"idle for longer than set", map[string]any{"connection_max_idle": 90}, func(l *link) { l.used = time.Now().Add(-91 * time.Second) }, true},
	} {
		for _, kind := range []string{"window", "relp"} {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				renewals(t, kind, c.config, c.passes, c.renewed)
			})
		}
	}
}

func renewals(t *testing.T, kind string, config map[string]any, passes func(*link), renewed bool) {
	var sink engine.Sink
	var receiver *sinktest.Receiver
	var connection func() *link
	if kind == "window" {
		receiver = sinktest.NewReceiver(t, nil, false)
		s := openWindow(t, receiver, config)
		sink, connection = s, func() *link { return s.link }
	} else {
		receiver = sinktest.NewRelpReceiver(t, nil)
		s := openRelp(t, receiver, config)
		sink, connection = s, func() *link { return s.session.link }
	}
	events := sinktest.Events(0, 500)
	for i := range 5 {
		if err := sink.Send(t.Context(), events[100*i:][:50]); err != nil {
			t.Fatal(err)
		}
		if l := connection(); l != nil {
			passes(l) // in the middle of an epoch it is not renewed
		}
		if err := errors.Join(sink.Send(t.Context(), events[100*i+50:][:50]), sink.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
		if lagging, ok := sink.(engine.Lagging); ok && renewed && lagging.Confirmed() != uint64(i) {
			t.Fatalf("%d epochs are confirmed, want %d: of all older connections", lagging.Confirmed(), i)
		}
		passes(connection())
	}
	if lagging, ok := sink.(engine.Lagging); ok {
		if err := lagging.Settle(t.Context()); err != nil || lagging.Confirmed() != 5 {
			t.Errorf("got %v, %d epochs confirmed", err, lagging.Confirmed())
		}
	}
	want := 1
	if renewed {
		want = 5
	}
	if got := receiver.Connections(); got != want {
		t.Errorf("%d connections, want %d", got, want)
	}
	wantInOrder(t, receiver, 500)
}

// wantInOrder wants so many events of sinktest, each once.
func wantInOrder(t *testing.T, receiver *sinktest.Receiver, n int) {
	t.Helper()
	got := receiver.Bodies()
	if len(got) != n {
		t.Fatalf("got %d events, want %d", len(got), n)
	}
	for i, e := range sinktest.Events(0, n) {
		if got[i] != string(e.Body) {
			t.Fatalf("event %d: got %.100q", i, got[i])
		}
	}
}

// Every connection that is idle between two epochs, the spare among them, is closed by the receiver, in order
// or not. No epoch fails for it.
func TestConnectionsClosedWhileIdle(t *testing.T) {
	t.Parallel()
	for name, orderly := range map[string]bool{"in order": true, "reset": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for side, start := range sides {
				sink, receiver := start(t)
				for i := range 4 {
					if err := sink.Send(t.Context(), sinktest.Events(2000*i, 2000)); err != nil {
						t.Fatalf("%s, epoch %d: %v", side, i, err)
					}
					for receiver.Connections() < 2*i+2 { // ends with the test's time if no spare is made
						time.Sleep(time.Millisecond)
					}
					if err := sink.Flush(t.Context()); err != nil {
						t.Fatalf("%s, epoch %d: %v", side, i, err)
					}
					receiver.CloseOpen(orderly)
					for receiver.Open() > 0 {
						time.Sleep(time.Millisecond)
					}
					<-sink.spare.gone // it has seen that too
				}
				wantInOrder(t, receiver, 8000)
			}
		})
	}
}
