package campaign

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		result Result
		want   string // "" when it kept its promise
	}{
		{Result{Faults: 2, Rows: 10}, ""},
		{Result{Faults: 2, Rows: 10, Twice: 7}, ""},
		{Result{Faults: 2, Rows: 10, Lost: 1}, "1 rows are lost"},
		{Result{Faults: 2, Rows: 10, Extra: 1}, "1 came that nobody sent"},
		{Result{Faults: 2, Rows: 10, Disorder: 3}, "3 events came after later ones"},
		{Result{Faults: 2, Rows: 10, Twice: 2*mostTwice + 1}, "came again"},
	} {
		err := c.result.verdict()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.result, err, c.want)
		}
	}
}

func TestRoundsGoOnUntilTheSizeIsReached(t *testing.T) {
	t.Parallel()
	var seeds []uint64
	c := Campaign{Name: "x", Round: Size{Faults: 2, Rows: 10}, run: func(_ context.Context, r *round) error {
		seeds = append(seeds, r.seed)
		if r.size.Faults != 2 || r.size.Rows != 10 {
			t.Errorf("got a round of %+v, want 2 faults and 10 rows", r.size)
		}
		r.result.Faults, r.result.Rows = 1, 10 // all had arrived before the second
		return nil
	}}
	o := Options{Dir: t.TempDir(), Seed: 7, Size: Size{Faults: 3, Rows: 20}, Log: t.Logf}
	if got, err := c.Run(t.Context(), o); err != nil || got.Faults != 3 || got.Rows != 30 || len(seeds) != 3 || seeds[2] != 9 {
		t.Errorf("got %+v %v with seeds %v, want 3 rounds with seeds 7, 8, 9", got, err, seeds)
	}

	c.run = func(_ context.Context, r *round) error { r.result.Faults, r.result.Lost = 1, 1; return nil }
	if _, err := c.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "x, round with seed 7: 1 rows are lost") {
		t.Errorf("got %v, want the seed of the round that lost a row", err)
	}
	c.run = func(context.Context, *round) error { return nil }
	if _, err := c.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no fault hit") {
		t.Errorf("got %v, want that no fault hit: rounds would go on for ever", err)
	}
	c.run = func(context.Context, *round) error { return ErrSkipped }
	if _, err := c.Run(t.Context(), o); !errors.Is(err, ErrSkipped) {
		t.Errorf("got %v, want %v", err, ErrSkipped)
	}
}

func TestSizesComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"STARLING_SEED": "5", "STARLING_FAULTS": "7", "STARLING_SOAK": "90s", "STARLING_OUTAGE": "x"}
	getenv := func(name string) string { return env[name] }
	def := Size{Faults: 1, Rows: 2, For: time.Hour}
	seed, size, err := Campaign{Name: "soak"}.FromEnvironment(getenv, def)
	if want := (Size{Faults: 7, Rows: 2, For: 90 * time.Second}); err != nil || seed != 5 || size != want {
		t.Errorf("soak: got %d %+v %v, want 5 %+v", seed, size, err, want)
	}
	if _, _, err = (Campaign{Name: "outage"}).FromEnvironment(getenv, def); err == nil || !strings.Contains(err.Error(), "STARLING_OUTAGE") {
		t.Errorf("outage: got %v, want an error about STARLING_OUTAGE", err)
	}
}
