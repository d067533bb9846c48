package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// setFull has the outbox hold about n of the chunks that commit makes.
func (w *deliveryWorld) setFull(n int, age time.Duration, drop ...string) (dropped func() int64) {
	w.t.Helper()
	w.commit()
	var mu sync.Mutex
	var events int64
	p := policy{bytes: int64(n) * w.env.Store.Backlog("").Bytes, age: age, drop: map[string]bool{},
		dropped: func(d Dropped) { mu.Lock(); defer mu.Unlock(); events += d.Events }}
	for _, name := range drop {
		p.drop[name] = true
	}
	w.env.Store.setPolicy(p)
	return func() int64 { mu.Lock(); defer mu.Unlock(); return events }
}

func (s *memorySink) setFail(f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

func down() error { return errors.New("down") }

func TestDropOldestLetsOneOutputFallBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "up", "behind")
		dropped := w.setFull(20, 0, "behind")
		up, behind := newMemorySink(), newMemorySink()
		behind.setFail(down)
		_, stopUp := w.start("up", up)
		d, stopBehind := w.start("behind", behind)
		for range 300 {
			w.commit() // does not wait, or the test ends in a deadlock
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if b := w.env.Store.Backlog("behind"); b.Chunks > 20 || b.Chunks < 10 {
			t.Errorf("%d chunks wait, want up to 20", b.Chunks)
		}
		total := w.env.Store.Dropped("behind")
		if total.Events != dropped() || total.Events+w.env.Store.Backlog("behind").Chunks != int64(w.n) || total.First != 0 || w.env.Store.Dropped("up").Events != 0 {
			t.Errorf("of %d events %d wait and %v were dropped, %d told of", w.n, w.env.Store.Backlog("behind").Chunks, total, dropped())
		}
		behind.setFail(nil)
		time.Sleep(2 * maxSendBackOff)
		stopUp()
		stopBehind()
		wantCounted(t, up.got)
		if len(up.got) != w.n {
			t.Errorf("the other output got %d of %d events", len(up.got), w.n)
		}
		if len(behind.got) == 0 || behind.got[0] != fmt.Sprint(total.Events+1) || behind.got[len(behind.got)-1] != fmt.Sprint(w.n) || !inOrder(behind.got) {
			t.Errorf("the output that was behind got %q, want the rest in order", behind.got)
		}
		if s := d.snapshot(); s.Events+total.Events != int64(w.n) {
			t.Errorf("%d sent and %d dropped are not %d", s.Events, total.Events, w.n)
		}
	})
}

// inOrder reports whether numbers are written without a gap or a step back.
func inOrder(numbers []string) bool {
	for i := range numbers[1:] {
		a, _ := strconv.Atoi(numbers[i])
		if b, _ := strconv.Atoi(numbers[i+1]); b != a+1 {
			return false
		}
	}
	return true
}

func TestNothingIsDroppedOfAnOutputThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "waits", "drops")
		dropped := w.setFull(10, 0, "drops")
		for range 8 { // with a ninth, which is longer than the first, it is full
			w.commit()
		}
		p := NewPull(t.Context(), w.env, "a/1/b")
		done := make(chan error, 1)
		go func() { done <- errors.Join(p.Stage(testTable, time.Time{}, []byte("11")), p.Commit()) }()
		time.Sleep(time.Hour)
		select {
		case err := <-done:
			t.Fatalf("the commit did not wait: %v", err)
		default:
		}
		if dropped() != 0 {
			t.Errorf("%d events were dropped, which made no room", dropped())
		}
		if err := w.env.Store.ack("waits", 5); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := w.env.Store.Dropped("drops"); got.Events == 0 || got.Events > 5 {
			t.Errorf("dropped %v, want no more than the other output has", got)
		}
	})
}

func TestEventsThatAreTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		w.setFull(100, time.Hour)
		time.Sleep(2 * time.Hour)
		p := NewPull(t.Context(), w.env, "a/1/b")
		done := make(chan error, 1)
		go func() { done <- errors.Join(p.Stage(testTable, time.Time{}, []byte("2")), p.Commit()) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(done) > 0 {
			t.Errorf("a pull did not wait for an event that is too old: %v", <-done)
		}
		w.env.Store.setPolicy(policy{bytes: 1 << 30, age: time.Hour, drop: map[string]bool{"out": true}})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if d := w.env.Store.Dropped("out"); d.Events != 1 || w.env.Store.Backlog("out").Chunks != 1 {
			t.Errorf("dropped %v, %d chunks wait", d, w.env.Store.Backlog("out").Chunks)
		}
		time.Sleep(2 * time.Hour)
		if err := w.env.Store.dropAged(); err != nil || w.env.Store.Backlog("out").Chunks != 0 {
			t.Errorf("without commits nothing is dropped: %v", err)
		}
	})
}

func TestWhatWasDroppedIsKnownAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := OpenStore(dir, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	w := newDeliveryWorld(t, "out")
	if err := store.outputs([]string{"out"}); err != nil {
		t.Fatal(err)
	}
	w.env.Store = store
	w.setFull(5, 0, "out")
	for range 30 {
		w.commit()
	}
	before, waiting := store.Dropped("out"), store.Backlog("out").Chunks
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenStore(dir, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	after := again.Dropped("out")
	if before.Events == 0 || before.Events+waiting != 31 || after.String() != before.String() || again.Backlog("out").Chunks != waiting {
		t.Errorf("before %v and %d chunks, after %v and %d", before, waiting, after, again.Backlog("out").Chunks)
	}
}

func TestDeliveryGoesOnBehindWhatIsDroppedUnderIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		w.setFull(10, 0, "out")
		sink := newMemorySink()
		fail := 0
		sink.setFail(func() error { // every epoch takes long, so that drops happen under it
			time.Sleep(20 * time.Second)
			if fail++; fail%3 == 0 {
				return errors.New("now and then")
			}
			return nil
		})
		d, stop := w.start("out", sink)
		for range 500 {
			w.commit()
			time.Sleep(time.Second)
		}
		stop()
		s := d.snapshot()
		last := 0
		for _, text := range sink.got {
			n, _ := strconv.Atoi(text)
			if n <= last && fail == 0 {
				t.Fatalf("%d came after %d", n, last)
			}
			last = n
		}
		if last != w.n || w.env.Store.Dropped("out").Events == 0 || s.State != "ok" || strings.Contains(w.log.String(), "read chunk") {
			t.Errorf("the last is %d of %d; %+v\n%s", last, w.n, s, w.log)
		}
		if !slices.IsSortedFunc(sink.got, func(a, b string) int { x, _ := strconv.Atoi(a); y, _ := strconv.Atoi(b); return x - y }) {
			t.Error("out of order")
		}
	})
}

func TestOutboxAlarm(t *testing.T) {
	t.Parallel()
	log := &syncBuffer{}
	env := &Env{Logger: slog.New(slog.NewTextHandler(log, nil)), Limits: Limits{}.WithDefaults()}
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	a := alarm{}
	look := func(after time.Duration, share float64) string {
		state := "ok"
		if share >= env.Limits.OutboxAlarm {
			state = "alarm"
		}
		from := len(log.String())
		a.look(env, OutboxStatus{Share: share, State: state}, start.Add(after))
		return log.String()[from:]
	}
	for _, c := range []struct {
		after time.Duration
		share float64
		want  string // in the log; "" for no line
	}{
		{0, 0.5, ""},
		{10 * time.Second, 0.7, ""},
		{20 * time.Second, 0.8, "full_in=20s"},
		{30 * time.Second, 0.9, ""},
		{31 * time.Minute, 0.95, "outbox: alarm"},
		{32 * time.Minute, 0.75, ""}, // over only well below
		{33 * time.Minute, 0.7, "the alarm is over"},
		{34 * time.Minute, 0.85, "outbox: alarm"},
	} {
		if got := look(c.after, c.share); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("after %v with %v: got %q, want %q", c.after, c.share, got, c.want)
		}
	}
}

func TestStatusShowsThatTheOutboxFillsUp(t *testing.T) {
	t.Parallel()
	w := newDeliveryWorld(t, "out")
	w.commit()
	one := w.env.Store.Backlog("").Bytes
	for limit, want := range map[int64]string{one: "full", one + one/10: "alarm", 10 * one: "ok"} {
		w.env.Limits.OutboxBytes = limit
		if s := w.env.outbox(time.Now()); s.State != want {
			t.Errorf("%d of %d bytes: got %s, want %s", one, limit, s.State, want)
		}
	}
	w.env.Limits.OutboxAge, w.env.Limits.OutboxBytes = time.Hour, 10*one
	if s := w.env.outbox(time.Now().Add(50 * time.Minute)); s.State != "alarm" || s.Share < 0.8 || s.Share > 0.9 {
		t.Errorf("after 50 of 60 minutes: %+v", s)
	}
}

// Its cause, an output or a collector that fails, is told by itself.
func TestAFullOutboxIsReady(t *testing.T) {
	t.Parallel()
	s := Status{Outbox: OutboxStatus{Share: 1, State: "full"}, Collectors: []CollectorStatus{{State: "pulling"}}, Sinks: []SinkStatus{{State: "ok"}}}
	if problems := s.Ready(); len(problems) > 0 {
		t.Errorf("got %q, want none", problems)
	}
	s.Sinks[0] = SinkStatus{State: "retrying", LastError: "nobody listens"}
	if problems := s.Ready(); len(problems) != 1 || problems[0] != "nobody listens" {
		t.Errorf("got %q, want the output", problems)
	}
}
