package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

func TestDevoKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		d := newDevoSide(t, devoServer, false)
		return networkFixture(d.open(t, nil), d.Receiver)
	})
}

func TestDevoWithOctetCountingKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		d := newDevoSide(t, devoServer, true)
		return networkFixture(d.open(t, map[string]any{"multiline": true}), d.Receiver)
	})
}

func TestSyslogKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		r := sinktest.NewReceiver(t, nil, false)
		return networkFixture(openSyslog(t, r), r)
	})
}

// always is what has everything sent as gzip members.
var always = map[string]any{"threshold_for_using_gzip_in_transport_layer": -1}

func TestDevoWithGzipKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		d := newDevoSide(t, devoServer, false)
		f := networkFixture(d.open(t, always), d.Receiver)
		t.Cleanup(func() {
			if n := d.Members(); n == 0 && len(d.Frames()) > 0 {
				t.Error("nothing was compressed")
			}
		})
		return f
	})
}

// Two connections, compressed, with octet counting.
func TestDevoWithTwoConnectionsKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]map[string]any{
		"plain": {},
		"gzip":  {"threshold_for_using_gzip_in_transport_layer": -1, "multiline": true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				d := newDevoSide(t, devoServer, name == "gzip")
				more := maps.Clone(more)
				more["concurrent_connections"] = 2
				sink := open(t, "relay", d.dir, d.config(more)).(*wideDevo)
				return wideFixture(sink, sink.parallel, d.Receiver)
			})
		})
	}
}

func TestSyslogWithTwoConnectionsAndAWindowKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		r := sinktest.NewReceiver(t, nil, false)
		host, port := r.Address()
		sink := open(t, "syslog", "", map[string]any{"address": host, "port": port, "concurrent_connections": 2, "confirmation": "window"}).(*parallel)
		return wideFixture(sink, sink, r)
	})
}

// wideFixture has even a few events spread over the connections.
func wideFixture(sink engine.Sink, p *parallel, r *sinktest.Receiver) sinktest.Fixture {
	p.part = 100
	f := networkFixture(sink, r)
	f.Unordered = true
	return f
}

func networkFixture(sink engine.Sink, r *sinktest.Receiver) sinktest.Fixture {
	return sinktest.Fixture{Sink: sink, Bodies: r.Bodies,
		Break: func() { r.Break(sinktest.Fault{ResetAt: 1}) }, Mend: r.Mend,
		Stall: func() { r.Break(sinktest.Fault{Mute: true}) }}
}

func openSyslog(t testing.TB, r *sinktest.Receiver) *epochs {
	t.Helper()
	host, port := r.Address()
	return open(t, "syslog", "", map[string]any{"address": host, "port": port}).(*epochs)
}

// sides are the two transports, of which every fault is tried.
var sides = map[string]func(t *testing.T) (*epochs, *sinktest.Receiver){
	"devo": func(t *testing.T) (*epochs, *sinktest.Receiver) {
		d := newDevoSide(t, devoServer, false)
		return d.open(t, nil).epochs, d.Receiver
	},
	"syslog": func(t *testing.T) (*epochs, *sinktest.Receiver) {
		r := sinktest.NewReceiver(t, nil, false)
		return openSyslog(t, r), r
	},
}

func offer(ctx context.Context, sink engine.Sink, events []engine.Event) error {
	for batch := range slices.Chunk(events, 100) {
		if err := sink.Send(ctx, batch); err != nil {
			return err
		}
	}
	if err := sink.Flush(ctx); err != nil {
		return err
	}
	if lagging, ok := sink.(engine.Lagging); ok {
		return lagging.Settle(ctx)
	}
	return nil
}

// wantEverything fails unless every event is among the bodies received.
func wantEverything(t *testing.T, got []string, events []engine.Event) {
	t.Helper()
	there := make(map[string]bool, len(got))
	for _, body := range got {
		there[body] = true
	}
	for i := range events {
		if !there[string(events[i].Body)] {
			t.Fatalf("event %d was acknowledged and is not there", i)
		}
	}
}

func TestFaultsAreNeverAcknowledged(t *testing.T) {
	t.Parallel()
	for side, start := range sides {
		for _, c := range []struct {
			name  string
			fault sinktest.Fault
			want  string // in the error; empty where the kernel decides what it is
			short bool   // the fault is only known by waiting
		}{
			{name: "reset within an epoch", fault: sinktest.Fault{ResetAt: 300_000}},
			{name: "reset of the first byte", fault: sinktest.Fault{ResetAt: 1}},
			{name: "closed in good order within an epoch", fault: sinktest.Fault{CloseAt: 300_000}},
			{name: "reads nothing", fault: sinktest.Fault{Mute: true}, short: true},
			{name: "reads nothing and says it is done", fault: sinktest.Fault{Hangup: true}, want: "the receiver closed the connection"},
			{name: "reads everything and does not answer", fault: sinktest.Fault{Silent: true}, short: true,
				want: "the receiver did not answer the end of the connection within 300ms"},
		} {
			t.Run(side+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				sink, receiver := start(t)
				if c.short {
					sink.patience, sink.timeout = 300*time.Millisecond, 300*time.Millisecond
				}
				events := sinktest.Events(0, 5000)
				if err := offer(t.Context(), sink, events[:1000]); err != nil {
					t.Fatal(err)
				}
				receiver.Break(c.fault)
				begun := time.Now()
				err := sink.Send(t.Context(), events[1000:])
				if err == nil && c.fault.Hangup {
					// Later, nobody could tell it from a receiver that has read everything.
					<-sink.link.over
				}
				if err == nil {
					err = sink.Flush(t.Context())
				}
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got error %v, want one with %q", err, c.want)
				}
				if took := time.Since(begun); c.short && took > 25*time.Second {
					t.Errorf("took %s", took)
				}
				if code := engine.CodeOf(err, ""); code != engine.CodeSink {
					t.Errorf("got code %q", code)
				}
				receiver.Mend()
				sink.patience, sink.timeout = confirmTimeout, writeTimeout
				if err := offer(t.Context(), sink, events[1000:]); err != nil {
					t.Fatalf("the next offer: %v", err)
				}
				wantEverything(t, receiver.Bodies(), events)
			})
		}
	}
}

// A receiver that stops in good order within an epoch, with bytes unread, says close_notify like one
// that has read everything. Only how TCP ends tells them apart.
func TestCloseWithBytesUnreadIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	for side, start := range sides {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			sink, receiver := start(t)
			receiver.Break(sinktest.Fault{Pause: 50 * time.Millisecond})
			events := sinktest.Events(0, 2000)
			for batch := range slices.Chunk(events, 500) {
				if err := sink.Send(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error)
			go func() { done <- sink.Flush(t.Context()) }()
			for len(receiver.Frames()) == 0 {
				time.Sleep(time.Millisecond)
			}
			receiver.Break(sinktest.Fault{Leave: true})
			if err := <-done; err == nil {
				t.Fatalf("acknowledged, with %d of %d events read", len(receiver.Frames()), len(events))
			}
			receiver.Mend()
			if err := offer(t.Context(), sink, events); err != nil {
				t.Fatal(err)
			}
			wantEverything(t, receiver.Bodies(), events)
		})
	}
}

func TestSlowReceiverGetsTheTimeItNeeds(t *testing.T) {
	t.Parallel()
	sink, receiver := sides["devo"](t)
	receiver.Break(sinktest.Fault{Pause: 5 * time.Millisecond})
	sink.patience = 3 * time.Second // a busy machine must not look like a receiver that has stopped
	events := sinktest.Events(0, 6000)
	for i := range events {
		events[i].Body = append(events[i].Body, strings.Repeat(" ", 600)...)
	}
	begun := time.Now()
	if err := offer(t.Context(), sink, events); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < sink.patience {
		t.Fatalf("took %s: too fast to prove anything", took)
	}
	wantEverything(t, receiver.Bodies(), events)
}

func TestBareFIN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode   string
		before int // epochs that the receiver confirms with close_notify first
		failed int // epochs that fail before one is acknowledged; -1: none ever is
	}{
		{closeNotify, 0, -1},
		{fin, 0, 0},
		{auto, 0, learnAfter - 1},
		{auto, 1, relearnAfter - 1},
	} {
		t.Run(fmt.Sprintf("%s,before=%d", c.mode, c.before), func(t *testing.T) {
			t.Parallel()
			d := newDevoSide(t, devoServer, false)
			sink := d.open(t, map[string]any{"confirmation": c.mode})
			for range c.before {
				if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
					t.Fatal(err)
				}
			}
			d.Break(sinktest.Fault{BareFIN: true})
			failed := 0
			for ; failed < 2*relearnAfter; failed++ {
				err := offer(t.Context(), sink, sinktest.Events(0, 10))
				if err == nil {
					break
				}
				if !strings.Contains(err.Error(), "confirmation: fin") {
					t.Fatalf("got %v, want an error that names the setting", err)
				}
			}
			if want := c.failed; failed != want && !(want < 0 && failed == 2*relearnAfter) {
				t.Errorf("%d epochs failed, want %d", failed, want)
			}
			if c.failed < 0 {
				return
			}
			// What was learnt stays.
			if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBareFINNeverCoversUnreadBytes(t *testing.T) {
	t.Parallel()
	d := newDevoSide(t, devoServer, false)
	d.Break(sinktest.Fault{ResetAt: 1})
	sink := d.open(t, map[string]any{"confirmation": fin})
	if err := offer(t.Context(), sink, sinktest.Events(0, 5000)); err == nil {
		t.Error("a reset was acknowledged")
	}
}

func TestEpochsHaveOneConnectionEach(t *testing.T) {
	t.Parallel()
	sink, receiver := sides["devo"](t)
	for i := range 5 {
		if err := offer(t.Context(), sink, sinktest.Events(i*10, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if n := receiver.Connections(); n != 5 {
		t.Errorf("5 small epochs took %d connections", n)
	}
	if sink.link != nil || sink.spare != nil {
		t.Error("a connection is kept with nothing to send")
	}
}

func TestNextConnectionIsMadeAheadOfNeed(t *testing.T) {
	t.Parallel()
	sink, receiver := sides["devo"](t)
	for i := range 3 {
		events := sinktest.Events(i*2000, 2000)
		if err := sink.Send(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		for receiver.Connections() < i+2 { // ends with the test's time if no spare is made
			time.Sleep(time.Millisecond)
		}
		if err := sink.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := receiver.Connections(); n != 4 {
		t.Errorf("3 epochs and a spare took %d connections", n)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	for receiver.Open() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestOrderIsKeptAcrossSpares(t *testing.T) {
	t.Parallel()
	sink, receiver := sides["syslog"](t)
	events := sinktest.Events(0, 20_000)
	for epoch := range slices.Chunk(events, 1000) {
		if err := offer(t.Context(), sink, epoch); err != nil {
			t.Fatal(err)
		}
	}
	got := receiver.Bodies()
	if len(got) != len(events) {
		t.Fatalf("got %d events, want %d", len(got), len(events))
	}
	for i := range got {
		if got[i] != string(events[i].Body) {
			t.Fatalf("event %d: got %.100q", i, got[i])
		}
	}
}

func TestSpareIsDroppedWhenOld(t *testing.T) {
	t.Parallel()
	// The clock of the bubble jumps only while all in it wait for time; a link made outside does not hinder that.
	receiver := sinktest.NewReceiver(t, nil, false)
	host, port := receiver.Address()
	sink := open(t, "syslog", "", map[string]any{"address": host, "port": port, "connection_max_idle": 7}).(*epochs)
	made, err := sink.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s := newSpare(func(context.Context) (*link, error) {
			return &link{tcp: made.tcp, over: make(chan struct{}), ended: closedChannel()}, nil
		}, sink.lifetime.idle)
		<-s.gone
		if age := time.Since(begun); age != 7*time.Second {
			t.Errorf("dropped after %s, want %s", age, 7*time.Second)
		}
		if s.take(t.Context()) != nil {
			t.Error("taken after it was dropped")
		}
	})
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestSpareThatCannotConnectIsNoError(t *testing.T) {
	t.Parallel()
	s := newSpare(func(context.Context) (*link, error) { return nil, io.ErrUnexpectedEOF }, time.Minute)
	if s.take(t.Context()) != nil {
		t.Error("got a link")
	}
	s.drop()
}

func TestCancelEndsConnecting(t *testing.T) {
	t.Parallel()
	// A receiver of plain TCP that reads nothing never answers the TLS handshake.
	d := newDevoSide(t, devoServer, false)
	mute := sinktest.NewReceiver(t, nil, false)
	mute.Break(sinktest.Fault{Mute: true})
	host, port := mute.Address()
	sink := d.open(t, map[string]any{"address": host, "port": port})
	cause := errors.New("stop")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
	defer cancel()
	begun := time.Now()
	err := offer(ctx, sink, sinktest.Events(0, 1))
	if !errors.Is(err, cause) || engine.CodeOf(err, "") != engine.CodeCanceled {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 9*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	receiver := sinktest.NewReceiver(t, nil, false)
	host, port := receiver.Address()
	sink := open(t, "syslog", "", map[string]any{"address": host, "port": 1})
	err := offer(t.Context(), sink, sinktest.Events(0, 1))
	if err == nil || !strings.Contains(err.Error(), "output out_1 (127.0.0.1:1): nobody listens there") {
		t.Errorf("got %v (port %d)", err, port)
	}
}
