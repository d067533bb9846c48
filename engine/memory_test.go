package engine

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.starlark.net/starlark"
)

// These tests look at the heap of the process, so none of them runs beside others.

const testMemory = 32 << 20

func memoryEnv() *Env {
	debug.FreeOSMemory() // what other tests left counts as there before, and would be given back meanwhile
	return &Env{Shared: &Shared{}, Limits: Limits{ScriptMemory: testMemory, StagedBytes: 1 << 20}.WithDefaults()}
}

// startWatched runs a script without a library until it ends, which the channel tells.
func startWatched(t *testing.T, env *Env, source string, names starlark.StringDict) <-chan error {
	done := make(chan error, 1)
	thread := &starlark.Thread{Name: t.Name()}
	ctx, cancel := context.WithCancelCause(t.Context())
	late := time.AfterFunc(2*time.Minute, func() { cancel(errors.New("nobody ended the script")) })
	go func() {
		defer late.Stop()
		defer cancel(nil)
		_, err := watched(ctx, cancel, env, thread, 1e12, func() (starlark.Value, error) {
			globals, err := starlark.ExecFileOptions(dialect, thread, "m.star", source, names)
			if err != nil {
				return nil, err
			}
			return starlark.Call(thread, globals["main"], nil, nil)
		})
		done <- err
	}()
	return done
}

const hog = `
def main():
    x = []
    for i in range(1 << 40):
        x.append(str(i) * 20000)
`

// A neighbour is a script that goes on until it is told to end, and counts its rounds.
type neighbour struct {
	rounds atomic.Int64
	end    atomic.Bool
	done   <-chan error
}

func startNeighbour(t *testing.T, env *Env) *neighbour {
	n := &neighbour{}
	n.done = startWatched(t, env, `
def main():
    x = [1] * 100000
    for i in range(1 << 40):
        if end():
            return
`, starlark.StringDict{"end": starlark.NewBuiltin("end", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		n.rounds.Add(1)
		return starlark.Bool(n.end.Load()), nil
	})})
	n.goesOn(t)
	return n
}

func (n *neighbour) goesOn(t *testing.T) {
	t.Helper()
	before := n.rounds.Load()
	pollUntil(t, "the neighbour goes on", func() bool { return n.rounds.Load() > before })
}

func (n *neighbour) stop(t *testing.T) {
	t.Helper()
	n.goesOn(t)
	n.end.Store(true)
	if err := <-n.done; err != nil {
		t.Errorf("the neighbour: %v", err)
	}
}

func pollUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func wantMemoryError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "memory: ") || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want an error about memory that says %q", err, part)
	}
}

func TestMemoryOfOneScriptEndsThatOneOnly(t *testing.T) {
	env := memoryEnv()
	n := startNeighbour(t, env)
	wantMemoryError(t, <-startWatched(t, env, hog, nil), "the script holds about")
	n.stop(t)
	noWatcher(t)
}

func TestFiveHogsAtOnce(t *testing.T) {
	env := memoryEnv()
	n := startNeighbour(t, env)
	var hogs []<-chan error
	for range 5 {
		hogs = append(hogs, startWatched(t, env, hog, nil))
	}
	for _, done := range hogs {
		wantMemoryError(t, <-done, "the script holds about")
	}
	n.stop(t)
	noWatcher(t)
}

// Memory that no variable has is nobody's, and everybody's.
func TestMemoryThatNobodyHolds(t *testing.T) {
	const source = "def main():\n    grow()\n    for i in range(1 << 40):\n        pass\n"
	for _, scripts := range []int{1, 2} {
		env := memoryEnv()
		var kept atomic.Pointer[[]byte]
		var begun sync.WaitGroup
		begun.Add(scripts)
		grow := starlark.NewBuiltin("grow", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			begun.Done()
			begun.Wait() // what is there when a script begins is not its own
			b := make([]byte, 4*testMemory)
			kept.Store(&b)
			return starlark.None, nil
		})
		var all []<-chan error
		for range scripts {
			all = append(all, startWatched(t, env, source, starlark.StringDict{"grow": grow}))
		}
		want := "the script has made the heap grow"
		if scripts > 1 {
			want = "it is not known which"
		}
		for _, done := range all {
			wantMemoryError(t, <-done, want)
		}
		kept.Store(nil)
		noWatcher(t)
	}
}

// A script that makes much garbage and holds little is paused while it is collected, and goes on.
func TestGarbageEndsNobody(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // so that only the watch collects
	env := memoryEnv()
	n := startNeighbour(t, env)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := <-startWatched(t, env, "def main():\n    for i in range(100):\n        x = [i] * 100000\n        for j in range(1000):\n            pass\n", nil)
	if err != nil {
		t.Errorf("got %v, want no error", err)
	}
	n.stop(t)
	runtime.ReadMemStats(&after)
	if after.NumForcedGC == before.NumForcedGC {
		t.Error("nothing was collected")
	}
}

func TestScriptsThatAreAskedWaitAndGoOn(t *testing.T) {
	env := memoryEnv()
	a, b := startNeighbour(t, env), startNeighbour(t, env)
	all, _ := env.Shared.memory.meters()
	w := &watcher{watch: &env.Shared.memory}
	for range 10 {
		goOn := w.ask(all)
		for _, m := range all {
			if held := m.held.Load(); held < 100_000*itemBytes {
				t.Errorf("a script says that it holds %d bytes", held)
			}
		}
		rounds := a.rounds.Load() + b.rounds.Load()
		runtime.GC()
		if now := a.rounds.Load() + b.rounds.Load(); now != rounds {
			t.Errorf("they went on for %d rounds", now-rounds)
		}
		goOn()
		a.goesOn(t)
		b.goesOn(t)
	}
	a.stop(t)
	b.stop(t)
	noWatcher(t)
}

// noWatcher waits until no goroutine watches.
func noWatcher(t *testing.T) {
	t.Helper()
	pollUntil(t, "no watch is left", func() bool {
		buf := make([]byte, 1<<20)
		return !strings.Contains(string(buf[:runtime.Stack(buf, true)]), "(*watcher).run")
	})
}

func TestWhoIsEndedForMemory(t *testing.T) {
	const mib = 1 << 20
	long := time.Now().Add(-2 * memoryLeave)
	cases := []struct {
		name   string
		held   []int64
		ended  []time.Time // zero or missing: it was not
		frees  uint64      // of each that was ended
		excess uint64
		want   []int
	}{
		{name: "the one that holds it", held: []int64{1 * mib, 50 * mib, 2 * mib}, excess: 20 * mib, want: []int{1}},
		{name: "as many as are needed", held: []int64{30 * mib, 50 * mib, 40 * mib}, excess: 60 * mib, want: []int{1, 2}},
		{name: "nobody knows", held: []int64{1, 0, 2 * mib}, excess: 20 * mib, want: []int{0, 1, 2}},
		{name: "nobody knows, but it is little", held: []int64{1, 0, 2 * mib}, excess: 10 * mib},
		{name: "the one that holds it is leaving", held: []int64{0, 1}, ended: []time.Time{time.Now()}, frees: 30 * mib, excess: 20 * mib},
		{name: "another one holds much too", held: []int64{0, 40 * mib}, ended: []time.Time{time.Now()}, frees: 30 * mib, excess: 60 * mib, want: []int{1}},
		{name: "it does not leave, but it is enough", held: []int64{0, 40 * mib}, ended: []time.Time{long}, frees: 30 * mib, excess: 20 * mib},
		{name: "it does not leave, and it grows on", held: []int64{0, 1}, ended: []time.Time{long}, frees: 30 * mib, excess: 60 * mib, want: []int{1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var ended []int
			var all []*memoryMeter
			for i, held := range c.held {
				m := &memoryMeter{cancel: func(error) { ended = append(ended, i) }}
				m.held.Store(held)
				if i < len(c.ended) {
					m.ended, m.frees = c.ended[i], c.frees
				}
				all = append(all, m)
			}
			(&watcher{}).end(all, 100*mib, c.excess, testMemory)
			slices.Sort(ended)
			if !slices.Equal(ended, c.want) {
				t.Errorf("ended %v, want %v", ended, c.want)
			}
		})
	}
}

// What a script that has left had is not there before the one that comes next.
func TestMemoryThatIsGivenBackCountsAgain(t *testing.T) {
	env := memoryEnv()
	w := &env.Shared.memory
	garbage := make([]byte, testMemory)
	m := w.enter(env.Limits, func(error) {})
	defer w.leave(m)
	_, before := w.meters()
	runtime.KeepAlive(garbage)
	garbage = nil
	w.free()
	if _, base := w.meters(); before-base < testMemory/2 || base > before {
		t.Errorf("the heap that was there is %d bytes, and was %d", base, before)
	}
	if garbage != nil {
		t.Error("it is kept")
	}
}

func TestMemoryErrorIsTooLarge(t *testing.T) {
	var got error
	w := &watcher{}
	w.cancel(&memoryMeter{cancel: func(err error) { got = err }}, 0, "text")
	if e, ok := errors.AsType[*Error](got); !ok || e.Code != CodeTooLarge || !strings.Contains(e.Hint, "script_memory") {
		t.Errorf("got %v", got)
	}
}
