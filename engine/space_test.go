//go:build linux

package engine

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A smallDisk is a real file system of its own, in memory, that a test fills.
type smallDisk struct {
	t     *testing.T
	dir   string
	state string
}

func newSmallDisk(t *testing.T, size int64) *smallDisk {
	t.Helper()
	d := &smallDisk{t, t.TempDir(), ""}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		text := fmt.Sprintf("a disk that can be filled needs root and mount: %v", err)
		if os.Getenv("STARLING_NO_SKIP") != "" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	t.Cleanup(func() { syscall.Unmount(d.dir, 0) })
	d.state = filepath.Join(d.dir, "state")
	return d
}

func (d *smallDisk) free() int64 {
	free, err := diskFree(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	return free
}

// take takes bytes of what is free.
func (d *smallDisk) take(bytes int64) {
	name := filepath.Join(d.dir, "filler")
	for want := min(bytes, d.free()); want > 0; want = min(bytes, d.free()) { // the store takes some meanwhile
		if allocate(name+fmt.Sprint(time.Now().UnixNano()), want) == nil {
			return
		}
	}
}

// give frees everything that was taken.
func (d *smallDisk) give() {
	fillers, _ := filepath.Glob(filepath.Join(d.dir, "filler*"))
	for _, name := range fillers {
		if err := os.Remove(name); err != nil {
			d.t.Fatal(err)
		}
	}
}

// A listener counts what a child tells, by its first word.
type listener struct {
	mu      sync.Mutex
	counts  map[string]int
	changed chan struct{}
}

func (l *listener) heard(verb string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[verb]++
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *listener) now() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

// await waits until enough is true of the counts since from. It reports false if the child ended before.
func (l *listener) await(t *testing.T, ended <-chan struct{}, what string, enough func(since func(verb string) int) bool) bool {
	t.Helper()
	from := l.now()
	late := time.After(3 * time.Minute)
	for {
		l.mu.Lock()
		counts, changed := maps.Clone(l.counts), l.changed
		l.mu.Unlock()
		if enough(func(verb string) int { return counts[verb] - from[verb] }) {
			return true
		}
		select {
		case <-changed:
		case <-ended:
			return false
		case <-late:
			t.Fatalf("waited in vain for: %s; heard %v", what, counts)
		}
	}
}

const (
	testDisk    = 320 << 20
	testReserve = 96 << 20
)

// fullDisk runs children on a disk that is filled and freed.
type fullDisk struct {
	*smallDisk
	*listener
	h     *history
	ended chan struct{}
	err   error
}

func newFullDisk(t *testing.T) *fullDisk {
	d := &fullDisk{newSmallDisk(t, testDisk), &listener{counts: map[string]int{}, changed: make(chan struct{})}, newHistory(), nil, nil}
	d.h.heard = d.heard
	return d
}

func (d *fullDisk) start() {
	ended := make(chan struct{})
	d.ended = ended
	go func() {
		defer close(ended)
		_, d.err = d.h.life(d.t.Context(), d.state, fmt.Sprint("STARLING_CRASH_RESERVE=", testReserve))
	}()
	if !d.await(d.t, ended, "a start", func(since func(string) int) bool { return since("ready") > 0 }) {
		d.t.Fatalf("the child ended: %v", d.err)
	}
}

// until waits for what the living child tells.
func (d *fullDisk) until(what string, enough func(since func(verb string) int) bool) {
	d.t.Helper()
	if !d.await(d.t, d.ended, what, enough) {
		d.t.Fatalf("waiting for %s, the child ended: %v", what, d.err)
	}
}

func (d *fullDisk) stop() {
	d.h.stop()
	<-d.ended
	if d.err != nil {
		d.t.Fatal(d.err)
	}
}

// after returns what is true once verb is heard after now.
func (d *fullDisk) after(verb string) func(func(string) int) bool {
	before := d.now()[verb]
	return func(func(string) int) bool { return d.now()[verb] > before }
}

// A disk that others fill, and once the store is at rest to the last byte, stops pulls and not the
// process; deliveries go on as long as there is room to note them; everything goes on when there is
// room again. Whether Badger is at rest can be seen from outside only by its silence, so a death on the
// last bytes is counted; before them it is an error.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	draw := drawn(t)
	d := newFullDisk(t)
	d.start()
	lows, died := envNumber("STARLING_DISK_FULL", 4), 0
	for range lows {
		commits := 1 + draw.IntN(12)
		d.until("commits", func(since func(string) int) bool { return since("done") >= commits })
		for low := d.now()["low"]; d.now()["low"] == low; {
			d.take(1 + draw.Int64N(testReserve/8))
			d.until("a sign of life", func(since func(string) int) bool { return since("done") > 0 || since("alive") > 1 })
		}
		d.rest()
		room := d.after("room")
		d.take(d.free() - testReserve/floorShare - 4<<20)
		if draw.IntN(2) == 0 {
			d.take(d.free())
		}
		if !d.await(t, d.ended, "life on a full disk", func(since func(string) int) bool { return since("alive") > 10 }) {
			died++ // it was not at rest after all
			d.give()
			d.start()
			continue
		}
		d.give()
		d.until("room", room)
	}
	d.until("commits", func(since func(string) int) bool { return since("done") > 4 })
	d.stop()
	if died > 1+lows/4 {
		t.Errorf("%d of %d times the child died: the reserve is too small, or nobody keeps it", died, lows)
	}
	t.Logf("the disk was full %d times, %d deaths; %d commits confirmed, %d events came twice", lows, died, d.h.confirmed, d.h.repeated)
}

// rest waits for an end of the deliveries, and of what the database does behind them, which the reserve
// is for. Room that this makes is taken at once, so that pulls go on waiting.
func (d *fullDisk) rest() {
	for rested := false; !rested; {
		d.take(d.free() - testReserve + 4<<20)
		room, isQuiet := d.after("room"), quiet()
		d.until("an end of the deliveries", func(since func(string) int) bool {
			rested = isQuiet(since)
			return rested || room(since)
		})
	}
}

// quiet is true when the child has told nothing but that it lives, for a while.
func quiet() func(func(string) int) bool {
	lived, others := 0, -1
	return func(since func(string) int) bool {
		if now := since("got") + since("done") + since("asked"); now != others {
			lived, others = since("alive"), now
		}
		return since("alive") > lived+50
	}
}

// Where all of the disk goes at once, the process may die in a write. It then refuses to start, and says
// why, until there is room, and nothing is lost.
func TestDiskFullAtOnce(t *testing.T) {
	t.Parallel()
	draw := drawn(t)
	d := newFullDisk(t)
	died := 0
	for range envNumber("STARLING_DISK_FULL", 4) / 2 {
		d.start()
		commits := 1 + draw.IntN(12)
		d.until("commits", func(since func(string) int) bool { return since("done") >= commits })
		low := d.after("low")
		d.take(d.free())
		alive := d.await(t, d.ended, "a stop", low)
		d.give()
		// It may also die after it has stopped the pulls: by what Badger writes behind them.
		alive = alive && d.await(t, d.ended, "signs of life", func(since func(string) int) bool { return since("alive") > 5 })
		if !alive {
			died++
		}
		if alive {
			d.stop()
		}
	}
	d.start()
	d.stop()
	d.take(d.free())
	os.Remove(filepath.Join(d.state, ballastFile))
	d.take(d.free())
	if _, err := OpenStore(d.state, 1<<30); err == nil || !strings.Contains(err.Error(), "nearly full") || !strings.Contains(err.Error(), d.state) {
		t.Errorf("opened on a full disk: %v", err)
	}
	d.give()
	openStore(t, d.state).Close()
	t.Logf("%d deaths, %d commits confirmed, %d events came twice", died, d.h.confirmed, d.h.repeated)
}

// The same with a disk that only says that it is full, in virtual time: it runs anywhere.
func TestPullsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, "", "out")
		defer s.Close()
		var mu sync.Mutex // Badger wakes up every 50 ms, in virtual time too: not for hours
		free := int64(500 << 20)
		set := func(n int64) { mu.Lock(); defer mu.Unlock(); free = n }
		var log strings.Builder
		s.space = &spaceGuard{dir: t.TempDir(), reserve: 256 << 20, log: slog.New(slog.NewTextHandler(&log, nil)),
			measure: func(string) (int64, error) { mu.Lock(); defer mu.Unlock(); return free, nil }}
		commit := func(ctx context.Context, body string) error {
			p := NewPull(ctx, testEnv(t, s), "in/1/svc")
			stage(t, p, body)
			return p.Commit()
		}
		for range 2 {
			if err := commit(t.Context(), "before"); err != nil {
				t.Fatal(err)
			}
		}
		set(255 << 20)
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := commit(short, "lost patience"); CodeOf(err, "") != CodeStore || !strings.Contains(err.Error(), "nearly full") {
			t.Fatalf("a commit without room: got %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- commit(t.Context(), "waited") }()
		time.Sleep(10 * time.Minute)
		if len(done) != 0 {
			t.Fatalf("committed on a full disk: %v", <-done)
		}
		if err := s.ack("out", 1); err != nil {
			t.Errorf("an acknowledgement while pulls wait: %v", err)
		}
		set(257 << 20) // above the reserve, but only just
		time.Sleep(time.Minute)
		if len(done) != 0 {
			t.Fatal("a pull went on although the next commit would stop it again")
		}
		set(10 << 20)
		if err := s.ack("out", s.nextChunk()); err == nil || !strings.Contains(err.Error(), "free some space") {
			t.Errorf("an acknowledgement on a disk that is quite full: got %v", err)
		}
		set(500 << 20)
		if err := <-done; err != nil {
			t.Errorf("after there was room again: %v", err)
		}
		if n := strings.Count(log.String(), "nearly full"); n != 1 || !strings.Contains(log.String(), "room again") {
			t.Errorf("%d alarms, want one, and its end:\n%s", n, log.String())
		}
	})
}

// The ballast is there while all is well, and given up when the disk fills.
func TestBallast(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free := int64(1 << 40)
	g := &spaceGuard{dir: dir, reserve: 4 << 20, log: slog.New(slog.DiscardHandler), measure: func(string) (int64, error) { return free, nil }}
	held := func() int64 { return allocated(filepath.Join(dir, ballastFile)) }
	g.look()
	if held() != 1<<20 {
		t.Fatalf("the ballast holds %d bytes, want a quarter of the reserve", held())
	}
	free = 4<<20 - 1
	if g.look(); held() != 0 || !g.low {
		t.Errorf("below the reserve the ballast holds %d bytes", held())
	}
	free = 1 << 40
	if g.look(); held() != 1<<20 || g.low {
		t.Errorf("with room again the ballast holds %d bytes, low %v", held(), g.low)
	}
}
