package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets tests run a store in a process of its own, which they can kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv("STARLING_CRASH_DIR"); dir != "" {
		crashChild(dir)
		os.Exit(0)
	}
	if dir := os.Getenv("STARLING_OPEN_DIR"); dir != "" {
		openChild(dir)
		os.Exit(0)
	}
	if dir := os.Getenv("STARLING_QUOTA_DIR"); dir != "" {
		quotaChild(dir)
	}
	os.Exit(m.Run())
}

// What the child process does, so that the parent can tell what must be there afterwards. Commit n of a
// collector sends eventsOf(n), sets the cursor n, remembers the key n, and forgets or wipes old keys.
const (
	largeEvery, forgetEvery, wipeEvery = 5, 4, 7
	forgetAfter                        = 3 // commits
)

var (
	crashCollectors = []string{"in/1/a", "in/1/b"}
	crashSinks      = []string{"fast", "slow"}
)

func eventsOf(n int) int {
	if n%largeEvery == 0 {
		return 30
	}
	return 1 + n%3
}

// A crashRun is one life of the child.
type crashRun struct {
	store *Store
	env   *Env
	mu    sync.Mutex // one line at a time
}

// tell reports to the parent, at once: what is told was true before the next thing happens.
func (c *crashRun) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

func (c *crashRun) must(err error) {
	if err != nil {
		c.tell("error %v", err)
		os.Exit(1)
	}
}

func envNumber(name string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return fallback
}

func crashChild(dir string) {
	c := &crashRun{}
	s, err := openWith(storeOptions{dir: dir, outbox: 1 << 30, inline: envNumber("STARLING_CRASH_INLINE", 0), unsynced: envNumber("STARLING_CRASH_UNSYNCED", 0) == 1,
		onStep: killAt(step(os.Getenv("STARLING_CRASH_STEP")), envNumber("STARLING_CRASH_HIT", 1))})
	c.must(err)
	c.store, c.env = s, quietEnv(s)
	c.must(s.outputs(crashSinks))
	c.dump()
	if reserve := envNumber("STARLING_CRASH_RESERVE", 0); reserve > 0 {
		c.work(int64(reserve))
	}
	for round := range envNumber("STARLING_CRASH_ROUNDS", 0) {
		var group sync.WaitGroup
		for _, collector := range crashCollectors {
			group.Go(func() { c.commit(collector) })
		}
		group.Wait()
		c.deliver("fast")
		if round%3 == 2 {
			c.deliver("slow")
		}
		if round%6 == 1 {
			c.must(c.store.reclaim())
		}
		if round%4 == 3 { // an output comes and goes
			c.must(s.outputs(append([]string{"extra"}, crashSinks...)))
			c.must(s.outputs(crashSinks))
		}
	}
	c.must(s.Close())
	c.tell("end")
}

// killAt returns a hook that kills this process when it comes by a step for the hit-th time.
func killAt(at step, hit int) func(step) {
	var mu sync.Mutex
	return func(name step) {
		mu.Lock()
		defer mu.Unlock()
		if name != at {
			return
		}
		if hit--; hit == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

func crashTime(n int) time.Time { return time.Unix(int64(n)*3600, 0) }
func crashKey(n int) Key        { return Key{byte(n), byte(n >> 8), 1} }

func (c *crashRun) commit(collector string) {
	p := NewPull(context.Background(), c.env, collector)
	n := c.cursor(collector) + 1
	c.tell("asked %s %d", collector, n)
	if n%wipeEvery == 0 {
		p.Wipe()
	}
	for i := range eventsOf(n) {
		body := fmt.Sprintf("%d %d ", n, i)
		if n%largeEvery == 0 { // more than a transaction takes, and nothing to compress
			body += c.noise(64 << 10)
		}
		c.must(p.Stage(testTable, crashTime(n), []byte(collector+" "+body)))
	}
	_, err := p.Seen(crashTime(n), crashKey(n))
	c.must(err)
	if n%forgetEvery == 0 {
		p.ForgetBefore(crashTime(n - forgetAfter))
	}
	p.SetCursor("n", json.RawMessage(strconv.Itoa(n)))
	c.must(p.Commit())
	c.tell("done %s %d", collector, n)
}

var noiseSource = rand.NewChaCha8([32]byte{})

func (c *crashRun) noise(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := make([]byte, n)
	noiseSource.Read(text)
	for i := range text {
		text[i] = '!' + text[i]%90
	}
	return string(text)
}

// deliver takes everything that waits for a sink, in epochs of two chunks.
func (c *crashRun) deliver(sink string) {
	for {
		from := c.store.tail(sink)
		next := from
		for ; next < min(from+2, c.store.nextChunk()); next++ {
			c.events("got", sink, next)
		}
		if next == from {
			return
		}
		c.must(c.store.ack(sink, next))
	}
}

func (c *crashRun) events(verb, sink string, id uint64) {
	chunk, _, err := c.store.chunk(id)
	c.must(err)
	var lines strings.Builder
	for _, e := range chunk.events {
		f := strings.SplitN(string(e.Body), " ", 4)
		fmt.Fprintf(&lines, "%s %s %s %s %s\n", verb, sink, f[0], f[1], f[2])
	}
	c.tell("%s", strings.TrimSuffix(lines.String(), "\n"))
}

func (c *crashRun) cursor(collector string) int {
	text, ok, err := c.store.Cursor(collector, "n")
	c.must(err)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(string(text))
	c.must(err)
	return n
}

// dump tells everything that is in the store.
func (c *crashRun) dump() {
	for _, collector := range crashCollectors {
		n := c.cursor(collector)
		c.tell("cursor %s %d", collector, n)
		for k := max(1, n-2*wipeEvery); k <= n+2; k++ {
			keys, err := c.store.seen(collector, hourOf(crashTime(k)))
			c.must(err)
			if keys.has(crashKey(k)) {
				c.tell("key %s %d", collector, k)
			}
		}
	}
	for _, sink := range crashSinks {
		for id := c.store.tail(sink); id < c.store.nextChunk(); id++ {
			c.events("has", sink, id)
		}
	}
	c.tell("ready")
}
