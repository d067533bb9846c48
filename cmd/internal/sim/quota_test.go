package sim

import (
	"strconv"
	"testing"
	"time"
)

func TestQuotaRollsAndCountsRefusedRequests(t *testing.T) {
	t.Parallel()
	for _, lenient := range []bool{false, true} {
		var s quotaState
		q := Quota{Requests: 3, Lenient: lenient}
		at := func(seconds int) (time.Duration, bool) {
			pause, refused, _ := s.take(q, 1, now.Add(time.Duration(seconds)*time.Second))
			return pause, refused
		}
		for _, seconds := range []int{0, 10, 20} {
			if _, refused := at(seconds); refused {
				t.Errorf("the request at %d s is refused", seconds)
			}
		}
		pause, refused := at(100)
		if want := map[bool]time.Duration{false: 210 * time.Second, true: 200 * time.Second}[lenient]; !refused || pause != want {
			t.Errorf("lenient %v: got a pause of %s, %v, want %s", lenient, pause, refused, want)
		}
		// 300 s after the first one: the refused one still counts, or not.
		if _, refused := at(300); refused == lenient {
			t.Errorf("lenient %v: refused %v", lenient, refused)
		}
	}
}

// Whoever waits as long as he is told is served then.
func TestPauseIsLongEnough(t *testing.T) {
	t.Parallel()
	var s quotaState
	q := Quota{Requests: 5, Others: 2}
	clock := now
	for range 200 {
		pause, refused, early := s.take(q, 3, clock)
		if early {
			t.Fatal("called early after the whole pause")
		}
		clock = clock.Add(time.Second)
		if refused {
			clock = clock.Add(pause - time.Second)
			if _, again, _ := s.take(Quota{Requests: 5}, 3, clock); again {
				t.Fatal("refused after the pause, without anybody else")
			}
		}
	}
}

func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	for form, want := range map[RetryAfter]string{"": "91", Seconds: "91", Absent: "", Zero: "0", TooLong: "86400000", Date: "Fri, 20 Nov 2026 12:01:31 GMT"} {
		if got := form.header(90*time.Second+1, now); got != want {
			t.Errorf("%s: got %q, want %q", form, got, want)
		}
	}
}

func TestOthersUseTheQuota(t *testing.T) {
	t.Parallel()
	clock := now
	c := newGraphClient(t, Options{Rows: hour(), Graph: Graph{Quota: Quota{Requests: 10, Others: 8}}, Now: func() time.Time { return clock }, KeepLog: true})
	refused := 0
	for range 40 {
		if response, _ := c.graph(c.traces("$top=1")); response.StatusCode == 429 {
			refused++
		}
		clock = clock.Add(45 * time.Second) // 7 in five minutes
	}
	if refused == 0 || refused == 40 {
		t.Errorf("%d of 40 requests were refused", refused)
	}
	log := c.sim.Log()
	if got := Busiest(log, "graph", 5*time.Minute); got != 7 || len(log) != 42 {
		t.Errorf("the busiest five minutes have %d of %d requests, want 7 of 42", got, len(log))
	}
	for i, r := range log[2:] {
		if r.API != "graph" || r.Status != 200 && r.Status != 429 || r.Status == 200 && r.Rows != 1 && r.Rows != 0 {
			t.Fatal("request " + strconv.Itoa(i) + " is not in the log as it was")
		}
	}
}

func TestReportHasAQuotaOfItsOwn(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), Quota: Quota{Requests: 1, Form: Date}, ErrorBody: "empty"})
	for _, want := range []int{200, 429} {
		if response, _ := c.get(c.report("")); response.StatusCode != want {
			t.Errorf("got %d, want %d", response.StatusCode, want)
		}
	}
	if got := c.sim.Counters(); got.Throttled != 1 {
		t.Errorf("got %+v", got)
	}
}

// The end of an answer can be noted after the next request.
func TestBusiestSortsTheLog(t *testing.T) {
	t.Parallel()
	at := func(seconds int) Request {
		return Request{At: now.Add(time.Duration(seconds) * time.Second), API: "graph"}
	}
	if got := Busiest([]Request{at(2), at(1), at(3), {At: now, API: "token"}}, "graph", time.Second); got != 1 {
		t.Errorf("got %d in a second, want 1", got)
	}
	if got := Busiest([]Request{at(2), at(1), at(3)}, "graph", 2*time.Second); got != 2 {
		t.Errorf("got %d in two seconds, want 2", got)
	}
}
