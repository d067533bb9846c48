package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pickySink refuses some events, at Flush as an HTTP receiver does, and takes the rest.
type pickySink struct {
	memorySink
	refuse func(body string) *Refused // its Index is set by the sink unless it is negative
}

func newPickySink(refuse func(string) *Refused) *pickySink {
	return &pickySink{memorySink: *newMemorySink(), refuse: refuse}
}

func (s *pickySink) Flush(ctx context.Context) error {
	s.mu.Lock()
	r := s.refused()
	s.mu.Unlock()
	if r != nil {
		return &Error{Code: CodeSink, Op: "output out", Err: r}
	}
	return s.memorySink.Flush(ctx)
}

func (s *pickySink) refused() *Refused {
	for i, body := range s.epoch {
		if r := s.refuse(body); r != nil {
			if r.Index >= 0 {
				r.Index = i
			}
			s.epoch = nil
			return r
		}
	}
	return nil
}

func bad(body string) *Refused {
	if strings.Contains(body, "7") {
		return &Refused{Err: errors.New("400 bad event")}
	}
	return nil
}

func badSomewhere(body string) *Refused {
	r := bad(body)
	if r != nil {
		r.Index = -1
	}
	return r
}

// commitMany commits n numbers in one chunk.
func (w *deliveryWorld) commitMany(n int) {
	w.t.Helper()
	p := NewPull(w.t.Context(), w.env, "a/1/b")
	for range n {
		w.n++
		if err := p.Stage(testTable, time.Time{}, fmt.Append(nil, w.n)); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := p.Commit(); err != nil {
		w.t.Fatal(err)
	}
}

// good returns the numbers from 1 to n that refuse lets pass.
func good(n int, refuse func(string) *Refused) (numbers []string) {
	for i := range n {
		if text := fmt.Sprint(i + 1); refuse(text) == nil {
			numbers = append(numbers, text)
		}
	}
	return numbers
}

func TestRefusedEventsHoldNobodyBack(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(string) *Refused{"known": bad, "unknown": badSomewhere} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newDeliveryWorld(t, "out")
				dir := t.TempDir()
				w.env.Store.aside = newAside(dir)
				sink := newPickySink(refuse)
				d, stop := w.start("out", sink)
				for _, n := range []int{5, 1, 1, 1, 92, 100} { // 7 is a chunk of its own
					w.commitMany(n)
				}
				time.Sleep(time.Minute)
				stop()
				if want := good(w.n, refuse); !slices.Equal(sink.got, want) {
					t.Errorf("got %q, want all that is not refused, in order, once", sink.got)
				}
				events, paths := readAside(t, dir)
				var aside []string
				for _, e := range events {
					aside = append(aside, e.Body)
				}
				none := func(s string) *Refused {
					if bad(s) == nil {
						return &Refused{}
					}
					return nil
				}
				if want := good(w.n, none); !slices.Equal(aside, want) || events[0].Output != "out" || events[0].Reason != "400 bad event" {
					t.Errorf("set aside %q in %v, want %q", aside, paths, want)
				}
				if s := d.status; s.Events+s.SetAside != int64(w.n) || s.Refused != int64(len(aside)) || s.Cut != 0 || s.State != "ok" {
					t.Errorf("the counters do not add up: %+v", s)
				}
			})
		})
	}
}

func TestNothingIsSetAsideWhileTheOutputTakesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		dir := t.TempDir()
		w.env.Store.aside = newAside(dir)
		broken := true
		sink := newPickySink(func(body string) *Refused {
			if broken || body == "1" {
				return &Refused{Err: errors.New("400 what is this")}
			}
			return nil
		})
		d, stop := w.start("out", sink)
		w.commitMany(300)
		time.Sleep(time.Hour)
		synctest.Wait()
		status := d.snapshot()
		if events, _ := readAside(t, dir); len(events) != 0 || status.State != "retrying" || !strings.Contains(status.LastError, "refuses every event") {
			t.Errorf("an output that takes nothing had %d events set aside; status %+v", len(events), status)
		}
		sink.mu.Lock()
		broken = false
		sink.mu.Unlock()
		time.Sleep(2 * maxSendBackOff)
		stop()
		events, _ := readAside(t, dir)
		if len(sink.got) != 299 || len(events) != 1 || events[0].Body != "1" {
			t.Errorf("afterwards got %d events, %d aside", len(sink.got), len(events))
		}
	})
}

func TestALongRowOfRefusedEventsIsPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		sink := newPickySink(func(body string) *Refused {
			if len(body) < 4 {
				return &Refused{Err: errors.New("400 too short")}
			}
			return nil
		})
		d, stop := w.start("out", sink)
		w.commitMany(500)
		w.commitMany(500) // 1000 is the first that is taken
		time.Sleep(10 * time.Minute)
		stop()
		if !slices.Equal(sink.got, []string{"1000"}) || d.status.SetAside != 999 {
			t.Errorf("got %q, status %+v", sink.got, d.status)
		}
	})
}

func TestAnOutputsOwnLimitAndSetting(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0", 200)
	for how, want := range map[Oversized]string{Cut: "cut", SetAside: "set aside", Fail: "retrying"} {
		t.Run(string(how), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newDeliveryWorld(t, "out")
				sink := newPickySink(func(body string) *Refused {
					if len(body) > 100 {
						return &Refused{Limit: 100, Err: errors.New("413")}
					}
					return nil
				})
				d := newDelivery(w.env, Output{Name: "out", Oversized: how}, sink)
				ctx, stop := context.WithCancel(t.Context())
				go d.run(ctx)
				p := NewPull(ctx, w.env, "a/1/b")
				if err := errors.Join(p.Stage(testTable, time.Time{}, []byte("1")), p.Stage(testTable, time.Time{}, []byte(long)),
					p.Stage(testTable, time.Time{}, []byte("2")), p.Commit()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				stop()
				synctest.Wait()
				got := "?"
				switch s := d.status; {
				case s.State == "retrying" && len(sink.got) == 0 && s.Refused == 0:
					got = "retrying"
				case len(sink.got) == 2 && s.SetAside == 1 && s.Refused == 1:
					got = "set aside"
				case len(sink.got) == 3 && len(sink.got[1]) == 100 && strings.HasSuffix(sink.got[1], "bytes]") && s.Cut == 1 && s.Refused == 1:
					got = "cut"
				}
				if got != want {
					t.Errorf("got %s, want %s: %q, %+v", got, want, sink.got, d.status)
				}
			})
		})
	}
}

func TestAKillWhileEventsAreIsolatedLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newDeliveryWorld(t, "out")
		dir := t.TempDir()
		w.env.Store.aside = newAside(dir)
		there := map[string]int{}
		for range 30 {
			w.commitMany(20)
			sink := newPickySink(bad)
			ctx, kill := context.WithCancel(t.Context())
			go newDelivery(w.env, Output{Name: "out"}, sink).run(ctx)
			time.Sleep(time.Duration(w.n*37%4000) * time.Millisecond) // isolating one event takes 2 s
			kill()
			synctest.Wait()
			for _, body := range sink.got {
				there[body]++
			}
		}
		sink := newPickySink(bad)
		_, stop := w.start("out", sink)
		w.commit()
		time.Sleep(time.Minute)
		stop()
		for _, body := range sink.got {
			there[body]++
		}
		events, _ := readAside(t, dir)
		for _, e := range events {
			there[e.Body]++
		}
		twice := 0
		for n := range w.n {
			switch body := fmt.Sprint(n + 1); {
			case there[body] == 0:
				t.Errorf("%s is lost", body)
			case there[body] > 1:
				twice++
			}
		}
		if len(events) == 0 || twice > 30*40 { // the chunk in hand may come again
			t.Errorf("%d set aside, %d came twice", len(events), twice)
		}
	})
}
