package engine

import (
	"errors"
	"testing"
	"time"
)

func TestFailuresThatAPersonMustMendAreRetriedSlowly(t *testing.T) {
	t.Parallel()
	upstream := Errorf(CodeUpstream, "", "down")
	auth := Errorf(CodeAuth, "", "no permission")
	config := Errorf(CodeConfig, "", "nothing at this address")
	told := &Error{Code: CodeThrottled, Err: errors.New("told to wait"), Wait: 10 * time.Minute}
	for _, c := range []struct {
		err         error
		n           int
		least, most time.Duration
	}{
		{upstream, 1, 2 * time.Second, 2500 * time.Millisecond},
		{upstream, 4, 16 * time.Second, 20 * time.Second},
		{upstream, 1000, 5 * time.Minute, 375 * time.Second},
		{auth, 1, 5 * time.Minute, 375 * time.Second},
		{auth, 2, 10 * time.Minute, 750 * time.Second},
		{auth, 3, 12 * time.Minute, 15 * time.Minute},
		{auth, 1 << 60, 12 * time.Minute, 15 * time.Minute},
		{config, 1, 5 * time.Minute, 375 * time.Second},
		{told, 1, 10 * time.Minute, 750 * time.Second},
	} {
		for range 100 {
			if got := backOff(c.err, c.n); got < c.least || got > c.most+1 {
				t.Fatalf("%v, failure %d: got %v, want %v to %v", c.err, c.n, got, c.least, c.most)
			}
		}
	}
}
