package builtins

import (
	"net/http"
	"testing"
	"time"

	"starling/engine"
)

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"120", "", 2 * time.Minute},
		{" 1.5 ", "", 1500 * time.Millisecond},
		{"0", "", 0},
		{"-5", "", 0},
		{"NaN", "", 0},
		{"soon", "", 0},
		{"99999999999999999999", "", 24 * time.Hour},
		{"Mon, 23 Nov 2026 12:01:00 GMT", "", time.Minute},
		{"Mon, 23 Nov 2026 11:00:00 GMT", "", 0},
		{"Mon, 23 Nov 2026 15:01:00 GMT", "Mon, 23 Nov 2026 15:00:00 GMT", time.Minute},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", 24 * time.Hour},
	} {
		if got := retryAfter(http.Header{"Retry-After": {c.after}, "Date": {c.date}}, now); got != c.want {
			t.Errorf("%q with date %q: got %v, want %v", c.after, c.date, got, c.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("1", "x")
	f.Add("Mon, 23 Nov 2026 12:01:00 GMT", "Mon, 23 Nov 2026 12:00:00 GMT")
	f.Fuzz(func(t *testing.T, after, date string) {
		got := retryAfter(http.Header{"Retry-After": {after}, "Date": {date}}, time.Unix(0, 0))
		if got < 0 || got > maxRetryAfter {
			t.Errorf("got %v", got)
		}
	})
}

func TestDelaysGrowUpToTheCap(t *testing.T) {
	t.Parallel()
	r := &retryPolicy{backoff: 2 * time.Second, cap: 8 * time.Second}
	p := engine.NewPull(t.Context(), testEnv(t), "in/1/svc")
	for n, want := range []time.Duration{2, 4, 8, 8, 8} {
		want *= time.Second
		for range 100 {
			if got := r.delay(p, n); got < want || got > want+want/4 {
				t.Fatalf("delay %d: got %v, want %v and up to a quarter", n, got, want)
			}
		}
	}
	r.cap = time.Hour
	if got := r.delay(p, 1000); got < time.Hour || got > 75*time.Minute {
		t.Errorf("delay 1000: got %v", got)
	}
}
