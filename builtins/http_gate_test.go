package builtins

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/engine"
)

// sendTimes answers everything and keeps when it was asked.
type sendTimes struct {
	mu sync.Mutex
	at []time.Time
}

func (s *sendTimes) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.at = append(s.at, time.Now())
	s.mu.Unlock()
	io.WriteString(w, `{}`)
}

// most returns the most sends in any stretch of per.
func (s *sendTimes) most(per time.Duration) int {
	most := 0
	for i := range s.at {
		n := 0
		for j := i; j < len(s.at) && s.at[j].Sub(s.at[i]) < per; j++ {
			n++
		}
		most = max(most, n)
	}
	return most
}

const tenRequests = `
def pull():
    for i in range(10):
        api.get("/")
`

func TestRatesHoldForAnyStretchOfTime(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var sent sendTimes
		n.serve(sent.ServeHTTP)
		s := n.load(t, `api = http.client(base, rate = http.rate(3, per = "10s"))`+tenRequests)
		began := time.Now()
		for range 2 { // the rate outlives a pull
			if _, err := s.pull(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if got := sent.most(10 * time.Second); got != 3 {
			t.Errorf("got %d requests within 10s, want 3", got)
		}
		// The 20th request comes 6 stretches after the 2nd, which went out at once; that is 60s, and two
		// sleeps, of which one fell into a time of waiting that it made end 1s later.
		if got := time.Since(began).Round(time.Second); got != 62*time.Second {
			t.Errorf("took %v, want 1m2s", got)
		}
		if n.waits.sum < 59 || n.waits.sum > 60 {
			t.Errorf("counted %vs of waiting, want 59s to 60s", n.waits.sum)
		}
	})
}

func TestNamedRatesAreShared(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var sent sendTimes
		n.serve(sent.ServeHTTP)
		var wg sync.WaitGroup
		for range 4 {
			s := n.load(t, `api = http.client(base, rate = http.rate(5, per = "1m", name = "quota"))`+tenRequests)
			wg.Go(func() {
				if _, err := s.pull(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(sent.at) != 40 || sent.most(time.Minute) != 5 {
			t.Errorf("got %d requests, %d within a minute, want 40, 5", len(sent.at), sent.most(time.Minute))
		}
	})
}

func TestARateThatTheScriptChangesCountsWhatWasSent(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var sent sendTimes
		n.serve(sent.ServeHTTP)
		for _, rate := range []string{"20", "12"} {
			s := n.load(t, `api = http.client(base, rate = http.rate(`+rate+`, per = "1m", name = "quota"))`+tenRequests)
			if _, err := s.pull(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := sent.most(time.Minute); got != 12 {
			t.Errorf("got %d requests within a minute, want 12", got)
		}
	})
}

// throttling answers 429 with a Retry-After to the first requests.
func throttling(times int, after string) (http.HandlerFunc, *sendTimes) {
	sent := &sendTimes{}
	return func(w http.ResponseWriter, r *http.Request) {
		if len(sent.at) < times {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusTooManyRequests)
		}
		sent.ServeHTTP(w, r)
	}, sent
}

const oneRequest = `
def pull():
    api.get("/")
`

func TestRetryAfterPausesEverybody(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		handler, sent := throttling(1, "120")
		n.serve(handler)
		first := n.load(t, `api = http.client(base)`+oneRequest)
		second := n.load(t, `api = http.client(base)`+oneRequest)
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := first.pull(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		time.Sleep(time.Second)
		if _, err := second.pull(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if len(sent.at) != 3 {
			t.Fatalf("got %d requests, want 3", len(sent.at))
		}
		for _, at := range sent.at[1:] {
			if d := at.Sub(began); d < 121*time.Second || d > 122*time.Second {
				t.Errorf("a request was sent after %v, want 121s to 122s", d)
			}
		}
		if n.waits.sum < 241 || n.waits.sum > 244 {
			t.Errorf("counted %vs of waiting, want about 240s for two", n.waits.sum)
		}
	})
}

func TestOtherCredentialsAreNotPaused(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		handler, _ := throttling(1, "600")
		n.serve(handler)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := n.load(t, `api = http.client(base, auth = http.basic("one", config.secret("secret")))`+oneRequest).pull(ctx)
		wantError(t, err, engine.CodeThrottled, "429 Too Many Requests")
		other := n.load(t, `api = http.client(base, auth = http.basic("two", config.secret("secret")))`+oneRequest)
		if _, err := other.pull(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAPauseBeyondTheEndOfThePullEndsIt(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		handler, sent := throttling(1, "120")
		n.serve(handler)
		script := n.load(t, `api = http.client(base)`+oneRequest)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		for range 2 { // the second is told without asking the API
			_, err := script.pull(ctx)
			wantError(t, err, engine.CodeThrottled)
			e, _ := errors.AsType[*engine.Error](err)
			if e.Wait < 121*time.Second || e.Wait > 122*time.Second {
				t.Errorf("got wait %v, want 121s to 122s", e.Wait)
			}
		}
		if len(sent.at) != 1 || time.Since(began) != 0 {
			t.Errorf("got %d requests in %v, want 1 and no waiting", len(sent.at), time.Since(began))
		}
	})
}

func TestNoPauseIsLongerThanAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		handler, sent := throttling(1, "86400")
		n.serve(handler)
		if _, err := n.load(t, `api = http.client(base)`+oneRequest).pull(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := sent.at[1].Sub(sent.at[0]); d < 15*time.Minute+time.Second || d > 15*time.Minute+2*time.Second {
			t.Errorf("the second request came after %v, want 15m1s to 15m2s", d)
		}
	})
}

func TestRetriesAreBoundedAndBackOff(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		sent := &sendTimes{}
		n.serve(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			sent.ServeHTTP(w, r)
		})
		_, err := n.load(t, `api = http.client(base, retry = http.retry(3, backoff = "2s", cap = "5s"))`+oneRequest).pull(t.Context())
		wantError(t, err, engine.CodeUpstream, "GET https://api.example.com/: 503 Service Unavailable")
		if len(sent.at) != 4 {
			t.Fatalf("got %d requests, want 4", len(sent.at))
		}
		for i, most := range []time.Duration{2 * time.Second, 4 * time.Second, 5 * time.Second} {
			if d := sent.at[i+1].Sub(sent.at[i]); d < most || d > most+most/4 {
				t.Errorf("wait %d was %v, want %v and up to a quarter", i+1, d, most)
			}
		}
	})
}

// overused answers 429, without saying for how long, from the moment on when more than n requests came
// in any 5 minutes; rejected ones count as well.
type overused struct {
	sendTimes
	n        int
	rejected int
}

func (o *overused) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	used := 0
	for _, at := range o.at {
		if time.Since(at) < 5*time.Minute {
			used++
		}
	}
	if used >= o.n {
		o.rejected++
		w.WriteHeader(http.StatusTooManyRequests)
	}
	o.mu.Unlock()
	o.sendTimes.ServeHTTP(w, r)
}

// Fifty collectors want more than the API gives, and know nothing of its quota. A pause must not end in
// a rush of all of them, and each time that it ends one request finds out.
func TestManyCollectorsMakeNoRetryStorm(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		api := overused{n: 100}
		n.serve(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			api.ServeHTTP(w, r)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var wg sync.WaitGroup
		for range 50 {
			s := n.load(t, `api = http.client(base, rate = http.rate(1000, per = "5m", name = "storm"))`+tenRequests)
			wg.Go(func() {
				for i := 0; i < 3 && ctx.Err() == nil; i++ {
					if _, err := s.pull(ctx); err != nil {
						wantError(t, err, engine.CodeThrottled)
						time.Sleep(time.Minute)
					}
				}
			})
		}
		wg.Wait()
		// The API gives 1200 in an hour. When it first says no, up to 50 are in flight; then one tries for all.
		// Without that, the rejected ones alone use the quota up, and hardly anything is answered again.
		if answered := len(api.at) - api.rejected; answered < 1000 {
			t.Errorf("got %d answers and %d rejections, want 1000 answers", answered, api.rejected)
		}
		if pauses := int(time.Hour / (30 * time.Second)); api.rejected > 12*50+pauses {
			t.Errorf("got %d rejections, want at most %d", api.rejected, 12*50+pauses)
		}
	})
}

// What the transport sends again by itself, and redirects, count.
func TestEveryRequestThatIsSentCounts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	received, broken, redirected := 0, false, false
	used := map[string]bool{}
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		received++
		again := used[r.RemoteAddr]
		used[r.RemoteAddr] = true
		switch {
		case again && !broken: // only on a connection that was kept is it sent again
			broken = true
			panic(http.ErrAbortHandler)
		case broken && !redirected:
			redirected = true
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
		io.WriteString(w, "{}")
	})
	if _, err := n.load(t, `api = http.client(base, retry = http.retry(0), rate = http.rate(100, per = "1h", name = "all of them"))
def pull():
    for _ in range(30):
        api.get("/")
`).pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	quotas := n.env.Store.Quotas(time.Now())
	if !broken || !redirected || received != 32 || len(quotas) != 1 || quotas[0].Used != 32 {
		t.Errorf("the API got %d requests, want 32; one broke: %v, one was redirected: %v; counted were %+v", received, broken, redirected, quotas)
	}
}
