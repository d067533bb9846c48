package engine

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSharesComeEvenly draws senders that use a share, with pauses, and wants them to get all of it and
// never to wait long. A sender that takes its share at once waits for most of the time after it.
func TestSharesComeEvenly(t *testing.T) {
	const per = 5 * time.Minute
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		pace := Pace{N: 8 + r.IntN(100), Per: per, Share: 0.75}
		n := int(float64(pace.N) * pace.Share)
		var sent []time.Time
		now := time.Unix(1e9, 0)
		pauses := 5
		for pauses > 0 {
			at := earliest(sent, sent, now, pace)
			if wait := at.Sub(now); wait > 2*per/time.Duration(n/2) {
				t.Fatalf("seed %d: of %d in %v, one waits for %v", seed, n, per, wait)
			}
			sent = insert(sent, at)
			now = at.Add(time.Duration(r.Int64N(int64(2 * time.Second))))
			if r.IntN(n/2) == 0 {
				now = now.Add(time.Duration(r.Int64N(int64(per))))
				pauses--
			}
		}
		from := len(sent)
		for end := now.Add(10 * per); now.Before(end); {
			now = earliest(sent, sent, now, pace)
			sent = insert(sent, now)
		}
		if got := len(sent) - from; got < 10*n*9/10 {
			t.Errorf("seed %d: %d of %d were sent", seed, got, 10*n)
		}
		for i := range sent[n:] {
			if d := sent[i+n].Sub(sent[i]); d < per {
				t.Fatalf("seed %d: %d in %v", seed, n+1, d)
			}
		}
	}
}
