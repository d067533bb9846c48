package engine

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"
)

// A memoryWatch looks at the heap while scripts run, and ends a script that makes it grow too far. Go
// does not count the memory of a goroutine, so the watch sees only the whole; when that is too much, it
// asks each script what its variables hold. The zero value is ready.
type memoryWatch struct {
	mu      sync.Mutex
	running map[*memoryMeter]bool
	stop    chan struct{} // of the watcher; nil if no script runs
}

// A memoryMeter is a script that runs.
type memoryMeter struct {
	limits Limits
	base   uint64 // heap when it began; memoryWatch.mu
	cancel context.CancelCauseFunc
	asked  atomic.Pointer[chan struct{}] // if not nil, it must say what it holds, and go on when this is closed
	held   atomic.Int64                  // what its variables hold, bytes; 0 until it has answered, isCounting meanwhile
	ended  time.Time                     // when the watcher ended it
	frees  uint64                        // what comes free when it has left, if the watcher ended it
}

const (
	memoryTick   = 5 * time.Millisecond
	memoryAnswer = time.Second     // how long a script may take to begin to say what it holds
	memoryLeave  = 5 * time.Second // how long a script that was ended may take until others are suspected
	memorySteps  = 20              // instructions after which a script looks whether it is asked
)

// isCounting is what a script holds while it finds out.
const isCounting = -1

// watched runs f on thread within its limits, memory included. cancel ends ctx.
func watched[T any](ctx context.Context, cancel context.CancelCauseFunc, env *Env, thread *starlark.Thread, steps uint64, f func() (T, error)) (T, error) {
	return guard(ctx, thread, steps, func() (T, error) {
		m := env.Shared.memory.enter(env.Limits, cancel)
		defer env.Shared.memory.leave(m)
		end := thread.ExecutionSteps() + steps
		thread.OnMaxSteps = func(thread *starlark.Thread) {
			if thread.ExecutionSteps() >= end {
				thread.Cancel(tooManySteps)
				return
			}
			if asked := m.asked.Load(); asked != nil {
				m.answer(thread, *asked)
			}
			thread.SetMaxExecutionSteps(min(end, thread.ExecutionSteps()+memorySteps))
		}
		thread.SetMaxExecutionSteps(min(end, thread.ExecutionSteps()+memorySteps))
		return f()
	})
}

func (m *memoryMeter) answer(thread *starlark.Thread, goOn <-chan struct{}) {
	m.held.Store(isCounting)
	m.asked.Store(nil)
	m.held.Store(holdings(thread))
	<-goOn
}

func (w *memoryWatch) enter(limits Limits, cancel context.CancelCauseFunc) *memoryMeter {
	m := &memoryMeter{limits: limits, base: heapBytes(), cancel: cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == nil {
		w.running = map[*memoryMeter]bool{}
	}
	w.running[m] = true
	if w.stop == nil {
		w.stop = make(chan struct{})
		go (&watcher{watch: w, stop: w.stop}).run()
	}
	return m
}

func (w *memoryWatch) leave(m *memoryMeter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, m)
	if len(w.running) == 0 {
		close(w.stop)
		w.stop = nil
	}
}

// meters returns the scripts that run, and the heap when the first of them began.
func (w *memoryWatch) meters() (all []*memoryMeter, base uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	base = math.MaxUint64
	for m := range w.running {
		all, base = append(all, m), min(base, m.base)
	}
	return all, base
}

// free gives back what scripts have left. What was garbage when another one began does not count as
// there before it.
func (w *memoryWatch) free() {
	debug.FreeOSMemory()
	w.mu.Lock()
	defer w.mu.Unlock()
	heap := heapBytes()
	for m := range w.running {
		m.base = min(m.base, heap)
	}
}

// A watcher is the goroutine of a watch. It ends with the last script that runs.
type watcher struct {
	watch *memoryWatch
	stop  <-chan struct{}
	last  uint64         // heap after the last garbage collection that it asked for
	ended []*memoryMeter // whose memory is not given back yet
}

func (w *watcher) run() {
	tick := time.NewTicker(memoryTick)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			if len(w.ended) > 0 {
				w.watch.free()
			}
			return
		case <-tick.C:
			w.look()
		}
	}
}

// look ends a script if the heap has grown too far.
func (w *watcher) look() {
	all, base := w.watch.meters()
	if len(all) == 0 {
		return
	}
	if len(w.ended) > 0 && !slices.ContainsFunc(w.ended, func(m *memoryMeter) bool { return slices.Contains(all, m) }) {
		w.watch.free()
		w.ended, w.last = nil, 0
		return
	}
	bound := all[0].limits.ScriptMemory
	allowed := allowedHeap(base, uint64(bound+all[0].limits.StagedBytes))
	heap := heapBytes()
	if heap <= allowed || heap < w.last+uint64(bound)/4 {
		return
	}
	goOn := w.ask(all)
	defer goOn()
	runtime.GC() // much of it may be garbage
	heap = heapBytes()
	w.last = heap
	if heap > allowed {
		w.end(all, heap-base, heap-allowed, uint64(bound))
	}
}

// end ends the scripts that hold most, so that the heap shrinks by excess.
func (w *watcher) end(all []*memoryMeter, grown, excess, bound uint64) {
	var found uint64 // what comes free
	leaving := false // scripts that were ended not long ago still run
	others := slices.DeleteFunc(slices.Clone(all), func(m *memoryMeter) bool {
		found += m.frees
		leaving = leaving || !m.ended.IsZero() && time.Since(m.ended) < memoryLeave
		return !m.ended.IsZero()
	})
	slices.SortFunc(others, func(a, b *memoryMeter) int { return cmp.Compare(b.held.Load(), a.held.Load()) })
	known := false
	for _, m := range others {
		held := uint64(max(0, m.held.Load()))
		if held < bound/4 || found > excess {
			break
		}
		known, found = true, found+held
		w.cancel(m, held, "the script holds about %d MiB, and scripts have made the heap grow by %d MiB; the limit is %d", held>>20, grown>>20, bound>>20)
	}
	if known || leaving || excess < found+bound/2 {
		return
	}
	// What grows is in the middle of an operation, where no variable has it. Nobody can say whose it is.
	text := "scripts have made the heap grow by %d MiB, and it is not known which; the limit is %d"
	if len(all) == 1 {
		text = "the script has made the heap grow by %d MiB; the limit is %d"
	}
	for _, m := range others {
		w.cancel(m, 0, text, grown>>20, bound>>20)
	}
}

func (w *watcher) cancel(m *memoryMeter, frees uint64, format string, args ...any) {
	m.ended, m.frees = time.Now(), frees
	w.ended = append(w.ended, m)
	m.cancel(&Error{Code: CodeTooLarge, Op: "memory", Err: fmt.Errorf(format, args...),
		Hint: "keep less at a time, commit more often, or raise starling.limits.script_memory"})
}

// ask has each script say what it holds and then wait until goOn is called. A script that waits, or that
// is in the middle of an operation, gives no answer.
func (w *watcher) ask(all []*memoryMeter) (goOn func()) {
	done := make(chan struct{})
	for _, m := range all {
		m.held.Store(0)
		m.asked.Store(&done)
	}
	goOn = func() {
		for _, m := range all {
			m.asked.Store(nil)
		}
		close(done)
	}
	asked := time.Now()
	for {
		silent, busy := 0, 0
		for _, m := range all {
			switch m.held.Load() {
			case 0:
				silent++
			case isCounting: // goes on for as long as it takes: it may be the one
				busy++
			}
		}
		if busy == 0 && (silent == 0 || time.Since(asked) > memoryAnswer) {
			return goOn
		}
		select {
		case <-w.stop:
			return goOn
		case <-time.After(time.Millisecond):
		}
	}
}

// allowedHeap is how large the heap may become. With GOMEMLIMIT it stays below three quarters of that, as
// far as scripts are what makes it grow.
func allowedHeap(base, growth uint64) uint64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return min(base+growth, max(uint64(limit)/4*3, base+growth/4))
	}
	return base + growth
}

// heapBytes is how much memory objects take, garbage included.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
