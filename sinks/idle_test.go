package sinks

import (
	"errors"
	"testing"
	"time"

	"starling/sinks/sinktest"
)

// A connection with a window, and a session of RELP, are renewed when they have had their time: nothing is
// lost, nothing comes twice or out of order, and what the old one had is confirmed.
func TestOldConnectionsAreRenewedInOrder(t *testing.T) {
	t.Parallel()
	t.Run("window", func(t *testing.T) {
		t.Parallel()
		receiver := sinktest.NewReceiver(t, nil, false)
		sink := openSyslog(t, receiver)
		sink.confirmation.mode = byWindow
		events := sinktest.Events(0, 500)
		for i := range 5 {
			if err := errors.Join(sink.Send(t.Context(), events[100*i:100*i+100]), sink.Flush(t.Context())); err != nil {
				t.Fatal(err)
			}
			if sink.Confirmed() != uint64(i) {
				t.Fatalf("%d epochs are confirmed, want %d: of all older connections", sink.Confirmed(), i)
			}
			sink.link.made = sink.link.made.Add(-maxAge - time.Second)
		}
		if err := sink.Settle(t.Context()); err != nil || sink.Confirmed() != 5 || receiver.Connections() != 5 {
			t.Errorf("got %v, %d epochs confirmed on %d connections, want 5 on 5", err, sink.Confirmed(), receiver.Connections())
		}
		wantInOrder(t, receiver, 500)
	})
	t.Run("relp", func(t *testing.T) {
		t.Parallel()
		receiver := sinktest.NewRelpReceiver(t, nil)
		sink := openRelp(t, receiver, nil)
		events := sinktest.Events(0, 500)
		for i := range 5 {
			// In the middle of an epoch it is not renewed.
			for half := range 2 {
				if err := sink.Send(t.Context(), events[100*i+50*half:][:50]); err != nil {
					t.Fatal(err)
				}
				sink.session.made = sink.session.made.Add(-maxAge - time.Second)
			}
			if err := sink.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if receiver.Connections() != 5 {
			t.Errorf("%d sessions, want 5", receiver.Connections())
		}
		wantInOrder(t, receiver, 500)
	})
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
				}
				wantInOrder(t, receiver, 8000)
			}
		})
	}
}
