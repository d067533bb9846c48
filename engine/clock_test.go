package engine

import (
	"testing"
	"time"
)

func TestTheClockOfTheAPI(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		ahead []time.Duration // of the API, answer by answer
		want  time.Duration
		told  bool
	}{
		"no answer":               {nil, 0, false},
		"in time":                 {[]time.Duration{0, time.Second, -time.Second}, 0, false},
		"a little off":            {[]time.Duration{-30 * time.Second}, 0, false},
		"this machine is ahead":   {[]time.Duration{-time.Minute}, -time.Minute, false},
		"it is an hour ahead":     {[]time.Duration{-time.Hour}, -time.Hour, true},
		"it is behind":            {[]time.Duration{time.Hour, time.Hour, time.Hour}, time.Hour, true},
		"behind, two answers":     {[]time.Duration{time.Hour, time.Hour}, 0, false},
		"one server is ahead":     {[]time.Duration{0, 0, time.Hour, 0}, 0, false},
		"one server is behind":    {[]time.Duration{0, -time.Hour, 0}, -time.Hour, true},
		"which was long ago":      {[]time.Duration{-time.Hour, 0, 0, 0, 0, 0, 0, 0, 0}, 0, true},
		"the earliest one counts": {[]time.Duration{2 * time.Hour, time.Hour, 3 * time.Hour}, time.Hour, true},
	} {
		var clock APIClock
		told := false
		for i, ahead := range c.ahead {
			sent := base.Add(time.Duration(i) * time.Minute)
			_, tell := clock.Note(sent.Add(ahead).Truncate(time.Second), sent, sent, sent)
			told = told || tell
		}
		if got := clock.Skew(); got != c.want || told != c.told {
			t.Errorf("%s: got %v, told %v, want %v, %v", name, got, told, c.want, c.told)
		}
		if got := clock.Now(base, base); !got.Equal(base.Add(c.want)) {
			t.Errorf("%s: now is %v", name, got)
		}
	}
}

// An answer that takes two minutes says nothing about clocks.
func TestSlowAnswersAreNoSkew(t *testing.T) {
	t.Parallel()
	sent := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, date := range []time.Duration{0, time.Minute, 2 * time.Minute} {
		var clock APIClock
		if skew, _ := clock.Note(sent.Add(date), sent, sent.Add(2*time.Minute), sent.Add(2*time.Minute)); skew != 0 {
			t.Errorf("date %v after the request: got %v", date, skew)
		}
	}
}

func TestAWrongClockIsToldOnceAnHour(t *testing.T) {
	t.Parallel()
	var clock APIClock
	told := 0
	base := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i := range 150 {
		sent := base.Add(time.Duration(i) * time.Minute)
		if _, tell := clock.Note(sent.Add(-time.Hour), sent, sent, sent); tell {
			told++
		}
	}
	if told != 3 {
		t.Errorf("told %d times in 2.5 hours, want 3", told)
	}
}
