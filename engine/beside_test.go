package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.starlark.net/starlark"
)

func besidePull(t *testing.T, clock *Clock) *Pull {
	env := testEnv(t, nil)
	env.Clock = clock
	return NewPull(t.Context(), env, "in/1/beside")
}

func TestWorkBesideAScriptIsCountedAndEnds(t *testing.T) {
	t.Parallel()
	p := besidePull(t, nil)
	left := errors.New("left")
	var whole error
	w := p.Beside(func(own *Pull) {
		own.Stats.Requests, own.Stats.Retries = 2, 1
		<-own.Context().Done()
		whole = own.Whole(func() error { return own.Context().Err() })
		if context.Cause(own.Context()) != left {
			t.Errorf("got %v", context.Cause(own.Context()))
		}
	})
	p.Stats.Requests++
	w.Cancel(left)
	if p.Stats.Requests != 3 || p.Stats.Retries != 1 || p.Context().Err() != nil || whole != nil {
		t.Errorf("got %+v, %v, %v", p.Stats, p.Context().Err(), whole)
	}
	defer func() {
		if got := recover(); got != "wrong" {
			t.Errorf("got %v", got)
		}
	}()
	p.Beside(func(*Pull) { panic("wrong") }).Wait()
}

// TestWorkWithAClockThatIsSetIsDoneAtOnce: or what a test sees would be chance.
func TestWorkWithAClockThatIsSetIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	p := besidePull(t, &Clock{Now: func() time.Time { return now }, Wait: func(d time.Duration) { now = now.Add(d) }})
	var waited time.Time
	w := p.Beside(func(own *Pull) {
		if err := own.Wait(time.Hour); err != nil {
			t.Error(err)
		}
		waited = own.Now()
	})
	if got := waited.Sub(time.Unix(1e9, 0)); got != time.Hour {
		t.Errorf("waited %v", got)
	}
	w.Wait()
}

func TestWithoutAPullNothingHappens(t *testing.T) {
	t.Parallel()
	p := besidePull(t, nil)
	thread := p.NewThread("t")
	lines := 0
	thread.Print = func(*starlark.Thread, string) { lines++ }
	for _, c := range []struct {
		f     func() error
		fails bool
	}{
		{func() error { return nil }, false},
		{func() error { _, err := PullOf(thread); return err }, true},
		{func() error { thread.Print(thread, "x"); return nil }, true},
	} {
		if err := WithoutPull(thread, c.f); (err != nil) != c.fails {
			t.Errorf("got %v", err)
		}
	}
	if got, err := PullOf(thread); got != p || err != nil || lines != 0 {
		t.Errorf("afterwards: %v, %v, %d lines", got, err, lines)
	}
	if thread.Print(thread, "x"); lines != 1 {
		t.Error("afterwards nothing is printed")
	}
}
