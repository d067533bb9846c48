package sinks

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"starling/sinks/sinktest"
)

func TestDevoWithAWindowKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		d := newDevoSide(t, devoServer, false)
		return networkFixture(d.open(t, map[string]any{"confirmation": "window"}), d.Receiver)
	})
}

func TestSyslogWithAWindowKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		r := sinktest.NewReceiver(t, nil, false)
		return networkFixture(openWindow(t, r, nil), r)
	})
}

func openWindow(t testing.TB, r *sinktest.Receiver, more map[string]any) *epochs {
	t.Helper()
	host, port := r.Address()
	values := map[string]any{"address": host, "port": port, "confirmation": "window"}
	for key, value := range more {
		values[key] = value
	}
	return open(t, "syslog", "", values).(*epochs)
}

func TestWindowConfirmsWhatIsFarEnoughBehind(t *testing.T) {
	t.Parallel()
	start := time.Now()
	w := window{size: 1000, age: time.Minute, epochs: []handed{{end: 100}, {end: 300}, {end: 500}, {end: 2000}}}
	for _, c := range []struct {
		taken, room int64
		after       time.Duration
		want        uint64
	}{
		{taken: 0, want: 0},
		{taken: 1099, want: 0},
		{taken: 1100, want: 1},
		{taken: 1300, room: 700, want: 0}, // the receiver may hold more than the window says
		{taken: 1699, room: 600, want: 0}, // it was larger before
		{taken: 1700, want: 1},
		{taken: 1700, after: time.Minute - 1, want: 0},
		{taken: 1700, after: time.Minute, want: 1},     // the third was taken at the start
		{taken: 1999, after: 2 * time.Minute, want: 0}, // the last is not taken
		{taken: 2000, after: 2 * time.Minute, want: 0},
		{taken: 2000, after: 3*time.Minute - 1, want: 0},
		{taken: 2000, after: 3 * time.Minute, want: 1},
	} {
		if got := w.confirm(c.taken, c.room, start.Add(c.after)); got != c.want {
			t.Errorf("%d bytes taken, room for %d, after %s: got %d epochs, want %d", c.taken, c.room, c.after, got, c.want)
		}
	}
}

func TestUnansweredEndsLeadToTheWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode     string
		answered bool // the receiver answers first
		window   bool // what the sink comes to
	}{
		{auto, false, true},
		{auto, true, false},
		{closeNotify, false, false},
		{fin, false, false},
	} {
		t.Run(fmt.Sprintf("%s,answered=%v", c.mode, c.answered), func(t *testing.T) {
			t.Parallel()
			d := newDevoSide(t, devoServer, false)
			sink := d.open(t, map[string]any{"confirmation": c.mode})
			var log bytes.Buffer
			sink.confirmation.log = slog.New(slog.NewTextHandler(&log, nil))
			sink.patience, sink.window.age = 50*time.Millisecond, 50*time.Millisecond
			if c.answered {
				sink.patience = confirmTimeout
				if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
					t.Fatal(err)
				}
				sink.patience = 50 * time.Millisecond
			}
			d.Break(sinktest.Fault{Silent: true})
			failures := 0
			for failures < 3*silentAfter && offer(t.Context(), sink, sinktest.Events(0, 10)) != nil {
				failures++
			}
			if !c.window {
				if failures != 3*silentAfter || log.Len() > 0 {
					t.Errorf("acknowledged after %d failures by a receiver that did not answer; log: %s", failures, log.String())
				}
				return
			}
			if failures != silentAfter || strings.Count(log.String(), "does not answer the end of a connection") != 1 {
				t.Errorf("acknowledged after %d failures, want %d; log: %s", failures, silentAfter, log.String())
			}
			// When it answers after all, its answers count again.
			d.Mend()
			sink.patience, sink.window.age = confirmTimeout, confirmTimeout
			if err := offer(t.Context(), sink, sinktest.Events(10, 10)); err != nil {
				t.Fatal(err)
			}
			if sink.confirmation.windowed() {
				t.Error("a receiver that answers is not believed")
			}
			wantEverything(t, d.Bodies(), sinktest.Events(0, 20))
		})
	}
}

func TestWindowEndsWithTheCertificate(t *testing.T) {
	t.Parallel()
	d := newDevoSide(t, devoServer, false)
	sink := d.open(t, map[string]any{"confirmation": "window"})
	for i, name := range []string{"first", "second"} {
		d.writeCredential(t, sinktest.Identity{Name: name}, d.authority)
		if err := sink.Reload(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(sink.Send(t.Context(), sinktest.Events(i, 1)), sink.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if got := sink.Confirmed(); got != 1 {
		t.Errorf("%d epochs confirmed, want the one whose connection was ended", got)
	}
	if err := sink.Settle(t.Context()); err != nil || sink.Confirmed() != 2 {
		t.Errorf("got %v, %d epochs confirmed", err, sink.Confirmed())
	}
	if got := strings.Join(d.Subjects(), " "); got != "first second" {
		t.Errorf("got certificates %q", got)
	}
}
