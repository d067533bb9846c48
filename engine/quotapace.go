package engine

import "time"

// spread returns the first moment from at on when a request that uses a share of n requests may be sent,
// so that no later one has to wait long: until half of n is used up, at once; then evenly. Whoever waits
// for a share can be the one who has something urgent to send next, and cannot until then. Shared are the
// sends with a share, sorted, of which those of the last per count.
func spread(shared []time.Time, at time.Time, n int, per time.Duration) time.Time {
	if len(shared) == 0 {
		return at
	}
	last := shared[len(shared)-1]
	used := shared[upTo(shared, last.Add(-per)):]
	k := len(used)
	if k < n/2 || k >= n {
		return at
	}
	// Before the j-th of them stops counting, n-k+j may be sent, if it is to be followed at once.
	var gap time.Duration
	for j, s := range used {
		gap = max(gap, s.Add(per).Sub(last)/time.Duration(n-k+j+1))
	}
	if next := last.Add(gap); next.After(at) {
		return next
	}
	return at
}
