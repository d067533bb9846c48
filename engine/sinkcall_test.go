package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// timedSink is a memorySink that notes when it was asked and how old what it takes is.
type timedSink struct {
	memorySink
	asked  []time.Time
	offers int // events, again and again
}

func newTimedSink() *timedSink { return &timedSink{memorySink: *newMemorySink()} }

func (s *timedSink) Flush(ctx context.Context) error {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	s.offers += len(s.epoch)
	s.mu.Unlock()
	return s.memorySink.Flush(ctx)
}

func TestOneOfTwoSinksDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "up", "down")
		up, sick := newTimedSink(), newTimedSink()
		const outage = 30 * time.Minute
		began := time.Now()
		sick.setFail(func() error {
			if time.Since(began) < outage {
				return errors.New("nobody there")
			}
			return nil
		})
		_, stopUp := w.start("up", up)
		d, stopDown := w.start("down", sick)
		for time.Since(began) < outage+5*time.Minute {
			w.commit() // pulls go on
			time.Sleep(5 * time.Second)
			if b := w.env.Store.Backlog("up"); b.Chunks > 0 && time.Since(b.Oldest) > maxEpochAge+epochIdle {
				t.Fatalf("the output that works is behind by %v", time.Since(b.Oldest))
			}
			if s := d.snapshot(); time.Since(began) > time.Minute && time.Since(began) < outage && (s.State != "retrying" || s.LastError != "nobody there" || s.Failures == 0) {
				t.Fatalf("the status does not show the outage: %+v", s)
			}
		}
		if s := d.snapshot(); s.State != "ok" || s.Failures != 0 || w.env.Store.Backlog("down").Chunks > 1 {
			t.Errorf("it did not recover by itself: %+v, %d chunks wait", s, w.env.Store.Backlog("down").Chunks)
		}
		stopUp()
		stopDown()
		for name, sink := range map[string]*timedSink{"up": up, "down": sick} {
			wantCounted(t, sink.got)
			if len(sink.got) != w.n {
				t.Errorf("%s has %d of %d events", name, len(sink.got), w.n)
			}
		}
		checkBackOff(t, sick.asked, began.Add(outage))
	})
}

// checkBackOff wants pauses between attempts that double up to the ceiling, with up to a quarter of
// jitter and the time of an epoch on top.
func checkBackOff(t *testing.T, asked []time.Time, until time.Time) {
	t.Helper()
	jitter := map[time.Duration]bool{}
	want := firstSendBackOff
	for i := 1; i < len(asked) && asked[i-1].Before(until); i++ {
		pause := asked[i].Sub(asked[i-1])
		if pause < want || pause > want+want/4+maxEpochAge+epochIdle {
			t.Errorf("attempt %d came after %v, want %v and a little more", i, pause, want)
		}
		if want == maxSendBackOff {
			jitter[pause] = true
		}
		want = min(want*2, maxSendBackOff)
	}
	if len(jitter) < 10 {
		t.Errorf("%d different pauses at the ceiling, want jitter", len(jitter))
	}
}

func TestNoReceiverCanAskForAYear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		sink := newTimedSink()
		sink.setFail(func() error {
			return &Error{Code: CodeSink, Op: "out", Wait: 365 * 24 * time.Hour, Err: errors.New("come back next year")}
		})
		_, stop := w.start("out", sink)
		w.commit()
		time.Sleep(time.Hour)
		sink.setFail(nil)
		time.Sleep(maxWait + maxWait/4 + time.Second)
		synctest.Wait()
		stop()
		if len(sink.got) != 1 {
			t.Error("the event was not delivered when the receiver worked again")
		}
	})
}

// deafSink blocks in Flush, whatever its context says, until it is released.
type deafSink struct {
	memorySink
	release chan struct{}
	flushes int
}

func (s *deafSink) Flush(context.Context) error {
	s.mu.Lock()
	s.flushes++
	s.mu.Unlock()
	<-s.release
	return s.memorySink.Flush(context.Background())
}

func (s *deafSink) is(closed bool, flushes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed == closed && s.flushes == flushes
}

func TestAnOutputThatIgnoresItsContextHoldsNothingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		sink := &deafSink{memorySink: *newMemorySink(), release: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { newDelivery(w.env, Output{Name: "out"}, sink).run(ctx) })
		w.commit()
		time.Sleep(time.Minute)
		stop()
		began := time.Now()
		running.Wait()
		if took := time.Since(began); took > 2*callGrace {
			t.Errorf("the stop took %v", took)
		}
		if log := w.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "sink=out") || !sink.is(false, 1) {
			t.Errorf("the log does not name the output, or it was used while it was busy:\n%s", log)
		}
		close(sink.release)
		synctest.Wait()
		if !sink.is(true, 1) {
			t.Error("it was not closed once it had returned")
		}
		if w.env.Store.Backlog("out").Chunks != 1 {
			t.Error("what an abandoned call did counts as acknowledged")
		}
	})
}

func TestAnOutputThatHangsIsUsedAgainWhenItReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		sink := &deafSink{memorySink: *newMemorySink(), release: make(chan struct{})}
		d, stop := w.start("out", sink)
		w.commit()
		time.Sleep(callTimeout + time.Hour)
		if s := d.snapshot(); s.State != "retrying" || !strings.Contains(s.LastError, "has still not returned") || !sink.is(false, 1) {
			t.Errorf("got %+v", s)
		}
		close(sink.release)
		time.Sleep(2 * maxSendBackOff)
		stop()
		if !slices.Equal(slices.Compact(sink.got), []string{"1"}) || d.snapshot().State != "ok" || w.env.Store.Backlog("out").Chunks != 0 {
			t.Errorf("got %q, %+v", sink.got, d.snapshot())
		}
	})
}

func TestPanicInAnOutputIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		sink := newMemorySink()
		calls := 0
		sink.setFail(func() error {
			if calls++; calls < 3 {
				panic("a defect in an output")
			}
			return nil
		})
		d, stop := w.start("out", sink)
		w.commit()
		time.Sleep(600 * time.Millisecond)
		if s := d.snapshot(); s.State != "retrying" || !strings.Contains(s.LastError, "a defect in an output") {
			t.Errorf("got %+v", s)
		}
		time.Sleep(time.Minute)
		stop()
		wantCounted(t, sink.got)
		if len(sink.got) != 1 || d.snapshot().State != "ok" {
			t.Errorf("got %q, %+v", sink.got, d.snapshot())
		}
	})
}

func TestAMillionStagedEvents(t *testing.T) {
	t.Parallel()
	const events = 1_000_000
	w := newDeliveryWorld(t, "out")
	w.env.Limits.StagedBytes = 64 << 20
	body := []byte(`{"id":"00000000-0000-0000-0000-000000000000","what":"something happened"}`)
	p := NewPull(t.Context(), w.env, "a/1/b")
	for range events {
		if err := p.Stage(testTable, time.Time{}, body); err != nil {
			t.Fatal(err)
		}
	}
	if size := p.staged.size; size > w.env.Limits.StagedBytes {
		t.Errorf("%d bytes are staged, the limit is %d", size, w.env.Limits.StagedBytes)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	counts := &countingSink{}
	d, stop := w.start("out", counts)
	stop()
	if counts.acknowledged != events || d.snapshot().Events != events || w.env.Store.Backlog("out").Chunks != 0 {
		t.Errorf("%d of %d events arrived", counts.acknowledged, events)
	}
}

// countingSink counts.
type countingSink struct{ sent, acknowledged int }

func (s *countingSink) Send(_ context.Context, events []Event) error {
	s.sent += len(events)
	return nil
}

func (s *countingSink) Flush(context.Context) error {
	s.acknowledged += s.sent
	s.sent = 0
	return nil
}

func (s *countingSink) Close() error { return nil }

// keepingSink is deaf and looks at its events until it is released.
type keepingSink struct {
	deafSink
	events []Event
}

func (s *keepingSink) Send(_ context.Context, events []Event) error {
	s.events = append(s.events, events...)
	return nil
}

// The memory of events serves others when an epoch has ended, but not while a sink that was abandoned may still read them.
func TestAnAbandonedOutputKeepsItsEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "deaf", "out")
		deaf := &keepingSink{deafSink: deafSink{memorySink: *newMemorySink(), release: make(chan struct{})}}
		_, stopDeaf := w.start("deaf", deaf)
		w.commit()
		time.Sleep(callTimeout + 2*callGrace)
		out := newMemorySink()
		_, stopOut := w.start("out", out)
		for range 20 {
			w.commit()
			time.Sleep(maxEpochAge)
		}
		if len(deaf.events) != 1 || string(deaf.events[0].Body) != "1" || deaf.events[0].Table == nil {
			t.Errorf("a sink that was abandoned with event 1 reads %v", deaf.events)
		}
		close(deaf.release)
		time.Sleep(2 * maxSendBackOff)
		stopDeaf()
		stopOut()
		if wantCounted(t, out.got); len(out.got) != w.n {
			t.Errorf("the other output has %d of %d events", len(out.got), w.n)
		}
	})
}

// copyingSink is done with events when Send returns.
type copyingSink struct{ *memorySink }

func (copyingSink) CopiesEvents() {}

// The memory of a chunk serves the next one of the same epoch, if the sink has said that it needs it no more.
func TestACopierGetsEveryEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		for range 50 {
			w.commit()
		}
		sink := copyingSink{newMemorySink()}
		d, stop := w.start("out", sink)
		time.Sleep(time.Minute)
		stop()
		if wantCounted(t, sink.got); len(sink.got) != w.n || len(d.blocks) != 0 {
			t.Errorf("%d of %d events came, %d blocks are held", len(sink.got), w.n, len(d.blocks))
		}
	})
}
