package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Two limits hold at once, for each collector of its own, over pulls and over a restart.
func TestRequestLimitsHold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		limits := []RequestLimit{{N: 2, Per: 10 * time.Second}, {N: 5, Per: time.Minute}}
		var sent []time.Duration
		began := time.Now()
		for range 2 {
			s := openStore(t, dir)
			for range 2 {
				p := NewPull(t.Context(), quietEnv(s), "in/1/a")
				p.limits = limits
				for range 2 {
					if err := p.TakeLimits("GET /"); err != nil {
						t.Fatal(err)
					}
					sent = append(sent, time.Since(began))
				}
			}
			other := NewPull(t.Context(), quietEnv(s), "in/1/b")
			other.limits = limits
			if at := time.Now(); other.TakeLimits("GET /") != nil || time.Since(at) != 0 {
				t.Error("a collector waits for the limits of another")
			}
			s.Close()
		}
		for i, most := range map[int]time.Duration{2: 10 * time.Second, 4: 20 * time.Second, 5: time.Minute} {
			if sent[i] < most {
				t.Errorf("request %d was sent after %v, want %v at the earliest", i+1, sent[i], most)
			}
		}
		if last := sent[len(sent)-1]; last > 71*time.Second {
			t.Errorf("the last one was sent after %v", last)
		}
	})
}

func TestARequestLimitThatIsTooFarAwayEndsThePull(t *testing.T) {
	t.Parallel()
	s := openStore(t, "")
	defer s.Close()
	p := NewPull(t.Context(), quietEnv(s), "in/1/a")
	p.limits = []RequestLimit{{N: 1, Per: 24 * time.Hour}}
	if err := p.TakeLimits("GET /"); err != nil {
		t.Fatal(err)
	}
	err := p.TakeLimits("GET /")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != CodeThrottled || e.Wait < 23*time.Hour {
		t.Errorf("got %v, want that the next one may be sent in a day", err)
	}
}
