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
	"unsafe"

	"go.starlark.net/starlark"
)

// A memoryWatch looks at the heap while scripts run, and ends a script that makes it grow too far. Go
// does not count the memory of a goroutine, so the watch sees only the whole; when that is too much, it
// asks each script what its variables hold. The zero value is ready.
type memoryWatch struct {
	mu      sync.Mutex
	running map[*memoryMeter]bool
	stop    chan struct{}
	last    uint64 // heap after the last garbage collection that the watch asked for
}

// A memoryMeter is a script that runs.
type memoryMeter struct {
	limits Limits
	base   uint64 // heap when it began
	cancel context.CancelCauseFunc
	asked  atomic.Pointer[chan struct{}] // if not nil, it must say what it holds, and go on when this is closed
	held   atomic.Int64                  // what its variables hold, bytes; 0 until it has answered
}

const (
	memoryTick   = 25 * time.Millisecond
	memoryAnswer = 200 * time.Millisecond // how long a script may take to say what it holds
	memorySteps  = 100                    // instructions after which a script looks whether it is asked
)

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
				m.asked.Store(nil)
				m.held.Store(holdings(thread))
				<-*asked
			}
			thread.SetMaxExecutionSteps(min(end, thread.ExecutionSteps()+memorySteps))
		}
		thread.SetMaxExecutionSteps(min(end, thread.ExecutionSteps()+memorySteps))
		return f()
	})
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
		go w.run(w.stop)
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

func (w *memoryWatch) run(stop chan struct{}) {
	tick := time.NewTicker(memoryTick)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			w.look(stop)
		}
	}
}

// look ends a script if the heap has grown too far.
func (w *memoryWatch) look(stop chan struct{}) {
	all, base := w.meters()
	if len(all) == 0 {
		return
	}
	bound := all[0].limits.ScriptMemory
	allowed := allowedHeap(base, uint64(bound+all[0].limits.StagedBytes))
	heap := heapBytes()
	if heap <= allowed || heap < w.last+uint64(bound)/4 {
		return
	}
	goOn := w.ask(all, stop)
	defer goOn()
	runtime.GC() // much of it may be garbage
	heap = heapBytes()
	w.last = heap
	if heap <= allowed {
		return
	}
	w.last = 0
	w.end(all, heap-base, heap-allowed, uint64(bound))
}

// end ends the scripts that hold most, so that the heap shrinks by excess.
func (w *memoryWatch) end(all []*memoryMeter, grown, excess, bound uint64) {
	problem := func(format string, args ...any) error {
		return &Error{Code: CodeTooLarge, Op: "memory", Err: fmt.Errorf(format, args...),
			Hint: "keep less at a time, commit more often, or raise starling.limits.script_memory"}
	}
	slices.SortFunc(all, func(a, b *memoryMeter) int { return cmp.Compare(b.held.Load(), a.held.Load()) })
	var found uint64
	for _, m := range all {
		held := uint64(m.held.Load())
		if held < bound/4 || found > excess {
			break
		}
		found += held
		m.cancel(problem("the script holds about %d MiB, and scripts have made the heap grow by %d MiB; the limit is %d", held>>20, grown>>20, bound>>20))
	}
	if found > 0 || excess < bound/2 {
		return
	}
	// What grows is in the middle of an operation, where no variable has it. Nobody can say whose it is.
	for _, m := range all {
		m.cancel(problem("scripts have made the heap grow by %d MiB, and it is not known which; the limit is %d", grown>>20, bound>>20))
	}
}

func (w *memoryWatch) meters() (all []*memoryMeter, base uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	base = math.MaxUint64
	for m := range w.running {
		all, base = append(all, m), min(base, m.base)
	}
	return all, base
}

// ask has each script say what it holds and then wait until goOn is called. A script that waits, or that
// is in the middle of an operation, gives no answer.
func (w *memoryWatch) ask(all []*memoryMeter, stop chan struct{}) (goOn func()) {
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
	deadline := time.NewTimer(memoryAnswer)
	defer deadline.Stop()
	for slices.ContainsFunc(all, func(m *memoryMeter) bool { return m.held.Load() == 0 }) {
		select {
		case <-deadline.C:
			return goOn
		case <-stop:
			return goOn
		case <-time.After(time.Millisecond):
		}
	}
	return goOn
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

// maxHoldings is how many values are looked at to find out what a script holds.
const maxHoldings = 4_000_000

// holdings estimates what the variables on a thread hold, in bytes, at least 1.
func holdings(thread *starlark.Thread) int64 {
	h := holding{left: maxHoldings, seen: map[unsafe.Pointer]bool{}, bytes: 1}
	for depth := range thread.CallStackDepth() {
		frame := thread.DebugFrame(depth)
		for i := range frame.NumLocals() {
			if _, v := frame.Local(i); v != nil {
				h.add(v, 0)
			}
		}
		if fn, ok := frame.Callable().(*starlark.Function); ok {
			for _, v := range fn.Globals() {
				h.add(v, 0)
			}
			functionParts(fn, func(v starlark.Value) bool { h.add(v, 0); return true })
		}
	}
	return h.bytes
}

type holding struct {
	left  int
	bytes int64
	seen  map[unsafe.Pointer]bool
}

// Sizes of what a value takes beside what it holds, about.
const (
	itemBytes  = 16
	valueBytes = 48
	entryBytes = 100
	dictBytes  = 450
)

func (h *holding) add(v starlark.Value, depth int) {
	if h.left--; h.left < 0 || depth > 10*maxNesting {
		return
	}
	size, p := int64(itemBytes), unsafe.Pointer(nil)
	switch v := v.(type) {
	case starlark.String:
		if size += int64(len(v)); len(v) > 256 {
			p = unsafe.Pointer(unsafe.StringData(string(v)))
		}
	case starlark.Tuple:
		if size += int64(len(v)) * itemBytes; len(v) > 0 {
			p = unsafe.Pointer(unsafe.SliceData(v))
		}
	case *starlark.List:
		size, p = valueBytes+int64(v.Len())*itemBytes, unsafe.Pointer(v)
	case *starlark.Dict:
		size, p = dictBytes+int64(v.Len())*entryBytes, unsafe.Pointer(v)
	case *starlark.Set:
		size, p = dictBytes+int64(v.Len())*entryBytes, unsafe.Pointer(v)
	case Holder:
		size += int64(v.Parts()) * 8
	}
	if p != nil {
		if h.seen[p] {
			return
		}
		h.seen[p] = true
	}
	h.bytes += size
	held(v, func(v starlark.Value) bool {
		h.add(v, depth+1)
		return h.left > 0
	})
}
