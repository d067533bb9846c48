package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// quotaPull is a pull in whose name turns are taken.
func quotaPull(ctx context.Context, s *Store) *Pull {
	env := quietEnv(s)
	return NewPull(ctx, env, "input/1/service")
}

func mustTake(t testing.TB, q *Quota, p *Pull, pace Pace) {
	t.Helper()
	turn, err := q.Take(p, "GET /", pace)
	if err != nil {
		t.Fatal(err)
	}
	turn.Done(true)
}

func mustQuota(t testing.TB, s *Store, name string) *Quota {
	t.Helper()
	q, err := s.Quota(name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

var graphPace = Pace{N: 90, Per: 5 * time.Minute}

// mostIn returns the most times in any stretch of per.
func mostIn(at []time.Time, per time.Duration) (most int) {
	for i := range at {
		n := 0
		for j := i; j < len(at) && at[j].Sub(at[i]) < per; j++ {
			n++
		}
		most = max(most, n)
	}
	return most
}

func TestTurnsComeInTheOrderOfAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Store{}
		p := quotaPull(t.Context(), s)
		q := mustQuota(t, s, "q")
		pace := Pace{N: 1, Per: 10 * time.Second}
		mustTake(t, q, p, pace)
		var order []int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				turn, err := q.Take(p, "", pace)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				turn.Done(true)
			})
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if !slices.IsSorted(order) || len(order) != 20 {
			t.Errorf("got turns in the order %v", order)
		}
	})
}

// Two busy users of a quota, one with a share: it never gets more than that, it is never starved, and
// nothing of the quota is left unused.
func TestASharedLaneLeavesTheRestAndIsNotStarved(t *testing.T) {
	t.Parallel()
	for _, fresh := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			s := &Store{}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			p := quotaPull(ctx, s)
			q := mustQuota(t, s, "q")
			var mu sync.Mutex
			sent := map[bool][]time.Time{}
			var wg sync.WaitGroup
			for i := range 2 + fresh { // two backfills
				pace := graphPace
				if i < 2 {
					pace.Share = 0.75
				}
				wg.Go(func() {
					for {
						turn, err := q.Take(p, "", pace)
						if err != nil {
							return
						}
						mu.Lock()
						sent[pace.shared()] = append(sent[pace.shared()], time.Now())
						mu.Unlock()
						time.Sleep(2 * time.Second)
						turn.Done(true)
					}
				})
			}
			wg.Wait()
			slow, fast := sent[true], sent[false]
			if got := mostIn(slow, graphPace.Per); got > 67 {
				t.Errorf("%d fresh lanes: the share got %d in 5 minutes, want at most 67", fresh, got)
			}
			all := slices.Concat(slow, fast)
			slices.SortFunc(all, time.Time.Compare)
			if got := mostIn(all, graphPace.Per); got > 90 {
				t.Errorf("%d fresh lanes: %d in 5 minutes", fresh, got)
			}
			if fresh == 0 && len(slow) < 67*11 || fresh > 0 && len(all) < 90*11 {
				t.Errorf("%d fresh lanes: %d requests in an hour, of them %d shared: some of the quota was not used", fresh, len(all), len(slow))
			}
			if fresh > 0 && (len(slow) < len(all)/5 || len(fast) < len(all)/4) {
				t.Errorf("%d fresh lanes: %d fresh and %d shared requests: one is starved", fresh, len(fast), len(slow))
			}
		})
	}
}

func TestAWaiterThatGivesUpMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Store{}
		p := quotaPull(t.Context(), s)
		q := mustQuota(t, s, "q")
		pace := Pace{N: 1, Per: time.Minute}
		mustTake(t, q, p, pace)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { _, err := q.Take(quotaPull(ctx, s), "", pace); gone <- err }()
		synctest.Wait()
		began := time.Now()
		came := make(chan time.Duration)
		go func() { mustTake(t, q, p, pace); came <- time.Since(began) }()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if got := <-came; got != time.Minute {
			t.Errorf("the next one came after %v, want 1m", got)
		}
	})
}

// However often the process is restarted, closed well or killed, the quota holds.
func TestARestartLoopKeepsTheQuota(t *testing.T) {
	t.Parallel()
	for _, kill := range []bool{false, true} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			var sent []time.Time
			for range 40 {
				s := &Store{quotas: quotas{dir: dir}}
				q, err := s.Quota("graph", time.Now())
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				p := quotaPull(ctx, s)
				for range 7 {
					turn, err := q.Take(p, "", graphPace)
					if err != nil {
						break
					}
					sent = append(sent, time.Now())
					turn.Done(true)
				}
				cancel()
				time.Sleep(3 * time.Second)
				if kill {
					q.kept.f.Close() // what was written is in the kernel, which outlives the process
				} else if err := s.quotas.close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := mostIn(sent, graphPace.Per); got != 90 {
				t.Errorf("killed %v: %d requests in 5 minutes, want 90 (of %d)", kill, got, len(sent))
			}
		})
	}
}

// After a power cut nobody knows what was sent, so everything counts as used, once, and also in a loop.
func TestAPowerCutCountsAsUsedUp(t *testing.T) {
	t.Parallel()
	other := "boot 00000000-0000-0000-0000-000000000000\n"
	for name, data := range map[string]string{
		"another boot": "quota \"graph\"\n" + other + "send 1\n",
		"empty":        "",
		"cut":          "quota \"graph\"\nboot " + bootID() + "\nsend 17642",
		"damaged":      "quota \"graph\"\nboot " + bootID() + "\nsend x\n",
		"zeros":        "quota \"graph\"\nboot " + bootID() + "\n\x00\x00\x00\x00\n",
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			open := func() *Quota {
				t.Helper()
				q := &Quota{name: "graph"}
				if err := q.open(dir, time.Now()); err != nil {
					t.Fatal(err)
				}
				return q
			}
			path := open().kept.path
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for range 3 {
				q := open()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if _, err := q.Take(quotaPull(ctx, nil), "", graphPace); CodeOf(err, "") != CodeThrottled {
					t.Fatalf("%s: got %v, want it to wait", name, err)
				}
				cancel()
				time.Sleep(time.Second)
			}
			mustTake(t, open(), quotaPull(t.Context(), nil), graphPace)
			if got := time.Since(began); got < 5*time.Minute || got > 5*time.Minute+time.Second {
				t.Errorf("%s: the first request came after %v, want 5m", name, got)
			}
		})
	}
	// A stop that was clean is exact whatever happened to the machine.
	q := &Quota{name: "graph"}
	q.read([]byte("quota \"graph\"\n"+other+"send 1764230400123\nend\n"), time.UnixMilli(1764230400124), "another")
	if !q.full.IsZero() || len(q.all) != 1 {
		t.Errorf("closed well: got %v, full %v", q.all, q.full)
	}
}

func TestAPauseOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &Store{quotas: quotas{dir: dir}}
		turn, err := mustQuota(t, s, "q").Take(quotaPull(t.Context(), s), "", graphPace)
		if err != nil {
			t.Fatal(err)
		}
		wait := turn.Throttled(time.Now(), 10*time.Minute)
		began := time.Now()
		s = &Store{quotas: quotas{dir: dir}} // killed
		mustTake(t, mustQuota(t, s, "q"), quotaPull(t.Context(), s), graphPace)
		if got := time.Since(began); got < wait || got > wait+time.Millisecond {
			t.Errorf("waited %v, want %v", got, wait)
		}
	})
}

var killedPace = Pace{N: 20, Per: 2 * time.Second}

// quotaChild sends as fast as it may, and says when each was sent.
func quotaChild(dir string) {
	s := &Store{quotas: quotas{dir: dir}}
	for {
		q, err := s.Quota("killed", time.Now())
		if err == nil {
			_, err = q.Take(quotaPull(context.Background(), s), "", killedPace)
		}
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(q.all[len(q.all)-1].UnixNano())
	}
}

// A process that is really killed again and again, in the middle of sending.
func TestKilledProcessesKeepTheQuota(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var sent []time.Time
	for life := range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "STARLING_QUOTA_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			nanos, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("the child said %q", lines.Text())
			}
			sent = append(sent, time.Unix(0, nanos))
			if n == 3+life {
				cmd.Process.Kill() // what it says until it is dead counts as well
			}
		}
		cmd.Wait()
	}
	if got := mostIn(sent, killedPace.Per); got > killedPace.N || len(sent) < 6*4 {
		t.Errorf("got %d requests within %v, of %d, want at most %d", got, killedPace.Per, len(sent), killedPace.N)
	}
}

func TestStatusShowsQuotas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Store{}
		q := mustQuota(t, s, "graph")
		mustQuota(t, s, "another")
		p := quotaPull(t.Context(), s)
		pace := Pace{N: 4, Per: time.Minute}
		half := pace
		half.Share = 0.5
		mustTake(t, q, p, pace)
		time.Sleep(time.Minute)
		mustTake(t, q, p, half)
		turn, err := q.Take(p, "", pace)
		if err != nil {
			t.Fatal(err)
		}
		wait := turn.Throttled(time.Now(), 0)
		until := time.Now().Add(wait).UTC()
		done := make(chan bool)
		go func() { mustTake(t, q, p, pace); done <- true }()
		synctest.Wait()
		want := QuotaStatus{Quota: "graph", Limit: 4, PerSeconds: 60, Used: 2, UsedShared: 1, Waiting: 1, PausedUntil: &until, Trying: true, Throttled: 1}
		if got := s.Quotas(time.Now()); len(got) != 2 || got[0].Quota != "another" || !reflect.DeepEqual(got[1], want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		<-done
		got := s.Quotas(time.Now())[1]
		if got.PausedUntil != nil || got.Trying || got.Waiting != 0 || got.Waits != 1 || got.WaitedSeconds != wait.Seconds() {
			t.Errorf("after the pause: got %+v", got)
		}
	})
}

func TestQuotaFilesDoNotGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &Store{quotas: quotas{dir: dir}}
		q, p := mustQuota(t, s, "q"), quotaPull(t.Context(), s)
		for range 20_000 {
			mustTake(t, q, p, Pace{N: 1000, Per: time.Second, Share: 0.5})
			time.Sleep(time.Millisecond)
		}
		info, err := os.Stat(q.kept.path)
		if err != nil || info.Size() > 2*quotaFileBytes {
			t.Errorf("got %v bytes, %v", info.Size(), err)
		}
		// The next start knows the same.
		again := mustQuota(t, &Store{quotas: quotas{dir: dir}}, "q")
		again.keep = q.keep
		q.forget(time.Now())
		again.forget(time.Now())
		if len(again.all) != len(q.all) || len(again.shared) != len(q.shared) {
			t.Errorf("read %d and %d, want %d and %d", len(again.all), len(again.shared), len(q.all), len(q.shared))
		}
	})
}

func TestWhatCannotBeKeptIsNotSent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &Store{quotas: quotas{dir: dir}}
	q := mustQuota(t, s, "q")
	q.kept.f.Close()
	if _, err := q.Take(quotaPull(t.Context(), s), "", graphPace); CodeOf(err, "") != CodeStore {
		t.Errorf("got %v, want an error of the store", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Store{quotas: quotas{dir: filepath.Join(dir, "file")}}).Quota("q", time.Now()); CodeOf(err, "") != CodeStore {
		t.Errorf("got %v, want an error of the store", err)
	}
}

func FuzzQuotaFile(f *testing.F) {
	f.Add([]byte("quota \"q\"\nboot b\nsend 1764230400123\nshare 1764230400124\npause 1764230409999\nfull 5\nend\n"))
	f.Add([]byte("send 9223372036854775807\nshare -9223372036854775808\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.UnixMilli(1764230400000)
		q := &Quota{name: "q"}
		q.read(data, now, "b")
		if len(q.shared) > len(q.all) || !slices.IsSortedFunc(q.all, time.Time.Compare) || q.paused.Sub(now) > time.Hour {
			t.Errorf("%q: got %v %v %v", data, q.all, q.shared, q.paused)
		}
		for _, at := range q.all {
			if at.After(now) {
				t.Errorf("%q: a send in the future", data)
			}
		}
		again := &Quota{name: "q"}
		again.read(q.lines(), now, bootID())
		if len(again.all) != len(q.all) || !again.full.Equal(q.full) && q.full.UnixMilli() != again.full.UnixMilli() {
			t.Errorf("%q: written and read again it is %v %v, want %v %v", data, again.all, again.full, q.all, q.full)
		}
	})
}

// BenchmarkTurn is what the quota costs each request.
func BenchmarkTurn(b *testing.B) {
	for _, kept := range []bool{false, true} {
		b.Run(fmt.Sprintf("kept=%v", kept), func(b *testing.B) {
			q := &Quota{name: "q"}
			if kept {
				if err := q.open(b.TempDir(), time.Now()); err != nil {
					b.Fatal(err)
				}
			}
			p := quotaPull(b.Context(), nil)
			for b.Loop() {
				mustTake(b, q, p, Pace{N: 100_000, Per: time.Millisecond})
			}
		})
	}
}
