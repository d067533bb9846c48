package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The clock says 2000 at one start and the present at the next: nothing is lost, moved or forgotten, and
// nothing passes for too old. The bubble's clock begins in 2000.
func TestClockIsSetBackAndAheadBetweenStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want []string
	check := func(when string, s *Store) {
		t.Helper()
		if got := outboxBodies(t, s, "out"); !slices.Equal(got, want) {
			t.Errorf("%s: the outbox has %q, want %q", when, got, want)
		}
		if v, _, err := s.Cursor("in/1/a", "at"); err != nil || string(v) != `"2026-01-01T00:00:00Z"` {
			t.Errorf("%s: the cursor is %s, %v", when, v, err)
		}
		if keys, err := s.seen("in/1/a", 5); err != nil || keys.len() != 1 {
			t.Errorf("%s: %d keys are known, %v", when, keys.len(), err)
		}
		if b := s.Backlog("out"); b.Oldest.After(time.Now()) {
			t.Errorf("%s: the oldest event is of %v, in the future", when, b.Oldest)
		}
	}
	commit := func(s *Store, body string) {
		t.Helper()
		p := NewPull(t.Context(), quietEnv(s), "in/1/a")
		stage(t, p, body)
		if _, err := p.Seen(time.Unix(5*3600, 0), Key{1}); err != nil {
			t.Fatal(err)
		}
		p.SetCursor("at", json.RawMessage(`"2026-01-01T00:00:00Z"`))
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		want = append(want, body)
	}
	s := openStore(t, dir, "out")
	commit(s, "in the present")
	s.Close()

	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		defer s.Close()
		s.setPolicy(policy{bytes: 1 << 30, age: time.Hour, drop: map[string]bool{"out": true}})
		time.Sleep(30 * time.Minute)
		check("in 2000", s)
		commit(s, "in 2000")
		if err := s.dropAged(); err != nil {
			t.Error(err)
		}
		check("in 2000", s)
		time.Sleep(31 * time.Minute) // since the start: older than that cannot be known
		if err := s.dropAged(); err != nil || s.Dropped("out").Events != 1 {
			t.Errorf("after an hour: %v dropped, %v; want the first", s.Dropped("out"), err)
		}
		want = want[1:]
	})

	s = openStore(t, dir)
	defer s.Close()
	check("in the present again", s)
	commit(s, "after it")
	check("in the present again", s)
}

// Ages are measured by a clock that nobody sets, those of events from before the start too.
func TestAgesDoNotFollowTheClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	p := NewPull(t.Context(), quietEnv(s), "in/1/a")
	stage(t, p, "before the start")
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, dir)
	defer s.Close()
	p = NewPull(t.Context(), quietEnv(s), "in/1/a")
	stage(t, p, "after the start")
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, info := range s.sizes {
		if !monotonic(info.committed) {
			t.Errorf("%v would age by a day when the clock leaps by a day", info.committed)
		}
	}
	if !monotonic(p.Clock()) {
		t.Errorf("a pull measures with %v", p.Clock())
	}
}

// monotonic reports whether a time carries a reading of the monotonic clock, which its text shows.
func monotonic(t time.Time) bool { return strings.Contains(t.String(), " m=") }

// A clock that is set back by a day must not hold requests up for a day.
func TestRatesAreMeasuredByAClockThatNobodySets(t *testing.T) {
	t.Parallel()
	var q Quota
	mustTake(t, &q, quotaPull(t.Context(), nil), Pace{N: 1, Per: time.Hour})
	if at := q.all[0]; !monotonic(at) {
		t.Errorf("the request is remembered at %s, by the clock that is set", at)
	}
}
