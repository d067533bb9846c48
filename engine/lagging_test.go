package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// laggingSink confirms an epoch only when two more were handed over, and at Settle. The other side
// loses what is not confirmed whenever an error occurs.
type laggingSink struct {
	mu         sync.Mutex
	epoch, got []string
	window     [][]string
	confirmed  uint64
	calls      int
	settled    int
	fail       func(call int) bool
}

func (s *laggingSink) Send(_ context.Context, events []Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		s.epoch = append(s.epoch, string(e.Body))
	}
	return nil
}

func (s *laggingSink) Flush(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window = append(s.window, s.epoch)
	s.epoch = nil
	return s.confirm(2)
}

func (s *laggingSink) confirm(keep int) error {
	if s.calls++; s.fail(s.calls) {
		s.window = nil
		return errors.New("connection lost")
	}
	for len(s.window) > keep {
		s.got = append(s.got, s.window[0]...)
		s.window = s.window[1:]
		s.confirmed++
	}
	return nil
}

func (s *laggingSink) Settle(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled++
	return s.confirm(0)
}

func (s *laggingSink) Confirmed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.confirmed
}

func (s *laggingSink) Close() error { return nil }

// seen returns what the other side has and how often the sink was asked to settle.
func (s *laggingSink) seen() (got []string, settled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got), s.settled
}

// deliveryWorld is an outbox in memory with one delivery that a test runs by itself.
type deliveryWorld struct {
	t   *testing.T
	env *Env
	log *syncBuffer
	n   int // events committed
}

func newDeliveryWorld(t *testing.T, outputs ...string) *deliveryWorld {
	store, err := OpenStore("", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.outputs(outputs); err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	return &deliveryWorld{t: t, log: log, env: &Env{Logger: slog.New(slog.NewTextHandler(log, nil)), Telemetry: NewTelemetry(nil, nil),
		Shared: &Shared{}, Redactor: &Redactor{}, Limits: Limits{}.WithDefaults(), Store: store}}
}

// commit commits the next number as an event.
func (w *deliveryWorld) commit() {
	w.t.Helper()
	w.n++
	p := NewPull(w.t.Context(), w.env, "a/1/b")
	if err := errors.Join(p.Stage(testTable, time.Time{}, fmt.Append(nil, w.n)), p.Commit()); err != nil {
		w.t.Fatal(err)
	}
}

// start runs a delivery; stop ends it after it delivered what is there.
func (w *deliveryWorld) start(name string, sink Sink) (d *delivery, stop func()) {
	d = newDelivery(w.env, Output{Name: name, Type: "memory"}, sink)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.run(w.t.Context())
	}()
	return d, func() { close(d.finish); <-done }
}

func TestLaggingSinkIsAcknowledgedAsItConfirms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		sink := &laggingSink{fail: func(int) bool { return false }}
		_, stop := w.start("out", sink)
		for range 3 {
			w.commit()
			time.Sleep(500 * time.Millisecond) // longer than an epoch waits for more, shorter than settleAfter
		}
		synctest.Wait()
		got, settled := sink.seen()
		if kept := w.env.Store.Backlog("out").Chunks; len(got) != 1 || kept != 2 || settled != 0 {
			t.Errorf("the sink confirmed %q, settled %d times, the outbox keeps %d chunks; want one, none, 2", got, settled, kept)
		}
		time.Sleep(2 * settleAfter)
		got, _ = sink.seen()
		if kept := w.env.Store.Backlog("out").Chunks; len(got) != 3 || kept != 0 {
			t.Errorf("with nothing more to come, the sink has %q and the outbox keeps %d chunks", got, kept)
		}
		w.commit()
		stop()
		wantCounted(t, sink.got)
		if len(sink.got) != 4 {
			t.Errorf("after the stop the sink has %q, want 4 events", sink.got)
		}
	})
}

func TestLaggingSinkIsOfferedAgainAllThatItDidNotConfirm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		sink := &laggingSink{fail: func(call int) bool { return call%5 == 4 }}
		d, stop := w.start("out", sink)
		for range 40 {
			w.commit()
			time.Sleep(700 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		stop()
		wantCounted(t, sink.got)
		if len(sink.got) != w.n || d.status.Events != int64(w.n) || sink.settled == 0 {
			t.Errorf("the other side has %d events, the status says %d, of %d; settled %d times", len(sink.got), d.status.Events, w.n, sink.settled)
		}
	})
}

func TestLaggingSinkLosesNothingByAKill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		first := &laggingSink{fail: func(int) bool { return false }}
		d := newDelivery(w.env, Output{Name: "out"}, first)
		ctx, kill := context.WithCancel(t.Context())
		go d.run(ctx)
		for range 5 {
			w.commit()
			time.Sleep(500 * time.Millisecond)
		}
		kill()
		synctest.Wait()
		second := &laggingSink{fail: func(int) bool { return false }}
		_, stop := w.start("out", second)
		stop()
		if len(first.got) != 3 {
			t.Errorf("before the kill %q were confirmed, want 3 of 5", first.got)
		}
		wantCounted(t, append(first.got, second.got...))
		if len(second.got) != 2 {
			t.Errorf("after the kill %q came, want the 2 that were not confirmed", second.got)
		}
	})
}

// loadedSink notes what it is told.
type loadedSink struct {
	laggingSink
	loads []float64
}

func (s *loadedSink) Load(share float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads = append(s.loads, share)
}

// A Loaded sink knows before each epoch how much waits for it.
func TestLoadedSinkIsToldHowMuchWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out", "other")
		sink := &loadedSink{laggingSink: laggingSink{fail: func(call int) bool { return call == 1 }}}
		for range 3 {
			w.commit()
		}
		w.env.Limits.OutboxBytes = w.env.Store.Backlog("out").Bytes / 2
		_, stop := w.start("out", sink)
		time.Sleep(time.Minute) // the epoch fails, is offered again, and is settled
		w.commit()              // what waits for others does not count
		share := float64(w.env.Store.Backlog("out").Bytes) / float64(w.env.Limits.OutboxBytes)
		stop()
		if want := []float64{1, 1, share}; !slices.Equal(sink.loads, want) || share >= 1 {
			t.Errorf("got %v, want %v", sink.loads, want)
		}
	})
}
