package builtins

import (
	"encoding/json"
	"sync"
	"time"

	"starling/engine"
)

// sweepState is what the cursor "sweeps" keeps: how the windows have adapted.
type sweepState struct {
	V        int            `json:"v"`
	Size     map[string]int `json:"size"`   // by lane, seconds
	RowsS    float64        `json:"rows_s"` // rows in a second of event time
	PageRows int            `json:"page_rows"`
	Settles  int            `json:"settles"`         // seconds
	Keeps    int            `json:"keeps,omitempty"` // how far back the API can be asked, seconds; 0: without end
	Base     int            `json:"base"`            // the first size of a window, seconds
	Least    int            `json:"least"`           // the smallest window, seconds
	Most     int            `json:"most"`            // the largest window, seconds
}

// sweepSizes is how large the windows of a collector are and how its lanes fare. It outlives pulls;
// sizes outlive the process too.
type sweepSizes struct {
	mu          sync.Mutex
	state       sweepState
	base        time.Duration
	least, most time.Duration
	lanes       map[string]*laneState
	fresh       time.Time // when the last fresh sweep began that came to its end
	rescan      rescanRound
}

// A rescanRound is one time that all younger ranges are asked for again.
type rescanRound struct {
	begun  time.Time
	at, to time.Time // what is left of it
}

// rescanRange returns what is left of the round, or begins a new one over from, …, to if it is time.
func (z *sweepSizes) rescanRange(now time.Time, every time.Duration, from, to time.Time) (time.Time, time.Time, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	r := &z.rescan
	if !r.at.Before(r.to) && now.Sub(r.begun) >= every {
		*r = rescanRound{begun: now, at: from, to: to}
	}
	r.at = latest(r.at, earliest(from, r.to)) // it may have grown too old meanwhile
	return r.at, r.to, nil
}

func (z *sweepSizes) rescanned(to time.Time) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rescan.at = latest(z.rescan.at, to)
}

type laneState struct {
	failed  int           // in a row
	until   time.Time     // when it is tried again
	failure *engine.Error // the last one
	before  time.Duration // the size before it failed; 0 if it has recovered
	good    int           // in a row since
	gapStep time.Duration
}

func sizesOf(s *sweeps) *sweepSizes {
	made := false
	z := s.pull.Env().Shared.Get("checkpoint.sweeps "+s.pull.Collector(), func() any {
		made = true
		return &sweepSizes{}
	}).(*sweepSizes)
	z.mu.Lock()
	defer z.mu.Unlock()
	if made {
		// What cannot be read is found out again.
		_, _ = readJSON(s.pull, engine.SweepsCursor, &z.state)
		z.lanes = map[string]*laneState{}
	}
	s.pull.Given("checkpoint.sweeps", func() json.RawMessage { return z.save(s.pull, made) }, z.restore)
	if z.state.Size == nil {
		z.state.Size = map[string]int{}
	}
	z.base, z.least, z.most = s.size, s.least, s.most
	z.state.V, z.state.PageRows, z.state.Settles, z.state.Most = 1, s.pageRows, int(s.settles/time.Second), int(s.most/time.Second)
	z.state.Keeps = int(s.keeps / time.Second)
	z.state.Base, z.state.Least = int(s.size/time.Second), int(s.least/time.Second)
	return z
}

func (z *sweepSizes) lane(name string) *laneState {
	l := z.lanes[name]
	if l == nil {
		l = &laneState{}
		z.lanes[name] = l
	}
	return l
}

const (
	manyPages  = 5                // a window with more is too large
	aimPages   = 2 * manyPages    // no window is begun that seems to have more
	freshBegin = 10 * time.Minute // the first window of all: how dense rows are is not known yet
	lapPages   = 30               // of a fresh sweep, for what was swept before
)

// of returns how long a window of a lane may be.
func (z *sweepSizes) of(lane string) time.Duration {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.sizeOf(lane)
}

func (z *sweepSizes) sizeOf(lane string) time.Duration {
	size := z.base
	if lane == laneFresh {
		size = min(size, freshBegin)
	}
	if s := z.state.Size[lane]; s > 0 {
		size = time.Duration(s) * time.Second
	}
	if z.state.RowsS > 0 && z.state.PageRows > 0 {
		size = min(size, wholeSeconds(aimPages*float64(z.state.PageRows)/z.state.RowsS))
	}
	return min(max(size, z.least), z.most)
}

// wholeSeconds is a whole number of seconds, at most a hundred years.
func wholeSeconds(s float64) time.Duration { return time.Duration(min(s, 3e9)) * time.Second }

// overlap shortens the overlap of fresh sweeps where it would cost too many requests.
func (z *sweepSizes) overlap(full time.Duration) time.Duration {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.state.RowsS <= 0 || z.state.PageRows == 0 {
		return full
	}
	return min(full, max(z.least, wholeSeconds(lapPages*float64(z.state.PageRows)/z.state.RowsS)))
}

func (z *sweepSizes) freshAt() time.Time {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.fresh
}

func (z *sweepSizes) setFreshAt(t time.Time) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.fresh = t
}

// held returns until when a lane waits, and because of what.
func (z *sweepSizes) held(lane string) (time.Time, *engine.Error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	l := z.lane(lane)
	if l.failure == nil {
		return l.until, nil
	}
	e := *l.failure
	return l.until, &e
}

// good adapts to a sweep that came to its end, and returns what to keep.
func (z *sweepSizes) good(lane string, length time.Duration, pages, rows int64) sweepState {
	z.mu.Lock()
	defer z.mu.Unlock()
	if length >= z.least {
		rate := float64(rows) / length.Seconds()
		if z.state.RowsS > 0 {
			rate = (rate + z.state.RowsS) / 2
		}
		z.state.RowsS = float64(int64(rate*1000)) / 1000
	}
	l, size := z.lane(lane), z.sizeOf(lane)
	l.failed, l.until, l.failure, l.gapStep = 0, time.Time{}, nil, 0
	l.good++
	full := length >= size/2 // a short one says nothing about long ones
	switch {
	case pages > manyPages:
		size = length / 2
	case !full:
	case pages <= 1 && z.state.PageRows > 0 && rows*5 < int64(z.state.PageRows):
		size *= 2
	case l.before > size && l.good >= 5:
		size, l.good = min(2*size, l.before), 0
	}
	if size >= l.before {
		l.before = 0
	}
	z.set(lane, size)
	state := z.state
	state.Size = map[string]int{}
	for name, s := range z.state.Size {
		state.Size[name] = s
	}
	return state
}

func (z *sweepSizes) set(lane string, size time.Duration) {
	z.state.Size[lane] = int(min(max(size, z.least), z.most) / time.Second)
}

const (
	firstHold = 30 * time.Second
	mostHold  = 15 * time.Minute
)

// bad halves the windows of a lane and holds it back; one that is as small as can be, ever longer.
func (z *sweepSizes) bad(lane string, length time.Duration, now time.Time, failure *engine.Error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	l := z.lane(lane)
	l.good, l.failure = 0, failure
	l.before = max(l.before, z.sizeOf(lane))
	hold := min(firstHold<<min(l.failed, 10), mostHold)
	l.failed++
	if length > z.least {
		z.set(lane, length/2)
		hold = firstHold
	}
	l.until = now.Add(hold)
}

// shrink halves the windows of a lane, of which one took so long that its beginning grew too old.
func (z *sweepSizes) shrink(lane string, length time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	l := z.lane(lane)
	l.good, l.before = 0, max(l.before, z.sizeOf(lane))
	z.set(lane, length/2)
}

// gapStep is how much of a range is given up when the API says that it is too old: ever more.
func (z *sweepSizes) gapStep(lane string) time.Duration {
	z.mu.Lock()
	defer z.mu.Unlock()
	l := z.lane(lane)
	l.gapStep = min(max(2*l.gapStep, time.Minute), time.Hour)
	return l.gapStep
}
