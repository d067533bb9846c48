package sim

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Quota is how many requests a tenant may make in a rolling time. The zero value sets no limit.
type Quota struct {
	Requests int
	Window   time.Duration // default 5 minutes
	Lenient  bool          // refused requests do not count; by default they do, as Microsoft warns
	Form     RetryAfter    // default Seconds
	Others   int           // requests that other tools of the tenant make in one go, at some moment of every Window
}

// quotaState is how much of a Quota is used.
type quotaState struct {
	stamps []time.Time // of requests that count, oldest first
	until  time.Time   // when the last refusal told to come back
}

// take counts a request. It returns whether it is refused, for how long, and whether it came before the pause it was told.
func (s *quotaState) take(q Quota, seed uint64, now time.Time) (pause time.Duration, refused, early bool) {
	if q.Requests <= 0 {
		return 0, false, false
	}
	window := q.window()
	s.stamps = slices.DeleteFunc(s.stamps, func(t time.Time) bool { return !t.After(now.Add(-window)) })
	used := append(slices.Clone(s.stamps), q.others(seed, now)...)
	early = now.Before(s.until)
	if len(used) < q.Requests {
		s.stamps = append(s.stamps, now)
		return 0, false, early
	}
	if !q.Lenient {
		s.stamps = append(s.stamps, now)
		used = append(used, now)
	}
	slices.SortFunc(used, time.Time.Compare)
	pause = max(time.Second, used[len(used)-q.Requests].Add(window).Sub(now))
	if q.Form != Absent && q.Form != Zero {
		s.until = now.Add(pause)
	}
	return pause, true, early
}

func (q Quota) window() time.Duration {
	if q.Window == 0 {
		return 5 * time.Minute
	}
	return q.Window
}

// others lists the requests of the others within the window that ends now.
func (q Quota) others(seed uint64, now time.Time) (stamps []time.Time) {
	if q.Others == 0 {
		return nil
	}
	window := q.window()
	for back := range 2 {
		start := now.Truncate(window).Add(-time.Duration(back) * window)
		r := rand.New(rand.NewPCG(seed, uint64(start.UnixNano())))
		at := start.Add(time.Duration(r.Int64N(int64(window))))
		if !at.After(now) && at.After(now.Add(-window)) {
			stamps = append(stamps, slices.Repeat([]time.Time{at}, q.Others)...)
		}
	}
	return stamps
}

// header writes a pause as a Retry-After header; now is the moment of the Date header.
func (f RetryAfter) header(pause time.Duration, now time.Time) string {
	seconds := int((pause + time.Second - 1) / time.Second)
	switch f {
	case Absent:
		return ""
	case Zero:
		return "0"
	case TooLong:
		return "86400000"
	case Date:
		return now.Add(time.Duration(seconds)*time.Second + time.Second - 1).UTC().Format(http.TimeFormat)
	}
	return strconv.Itoa(seconds)
}
