package engine

import (
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A day is a simulated day of one store: its time is virtual, its database and disk are real.
type day struct {
	t     *testing.T
	store *Store
	chunk []byte
	ticks int // commits in a day
	done  int
	sizes []int64 // of the files, MiB, of the phase that runs
}

const (
	dayChunks = 3         // of a commit
	dayChunk  = 700 << 10 // bytes, which do not compress
	dayKeys   = 200       // remembered for 3 hours
	daySlack  = reclaimSlack / 2
	dayLeft   = 2 // chunks in the outbox while the output keeps up
)

// phase runs the commits of so many hours. Each is followed by rest, which does what the output does.
func (d *day) phase(name string, hours int, commits bool, rest func()) {
	d.t.Helper()
	d.sizes = nil
	n := d.ticks * hours / 24
	for i := range n {
		if commits {
			d.commit()
		}
		rest()
		if i%max(1, n/12) == 0 {
			d.look()
		}
	}
	d.look()
	d.t.Logf("%2d h %s: files in MiB %v, median %d, highest %d", hours, name, d.sizes, d.median(), slices.Max(d.sizes))
}

func (d *day) size() int64   { return d.store.filesSize() + d.store.segments.bytes() }
func (d *day) look()         { d.sizes = append(d.sizes, d.size()>>20) }
func (d *day) median() int64 { return slices.Sorted(slices.Values(d.sizes))[len(d.sizes)/2] }

// commit does what a pull does that sends as much as dayChunks, without packing the same events each time.
func (d *day) commit() {
	d.t.Helper()
	at := time.Unix(1e9, 0).Add(24 * time.Hour * time.Duration(d.done) / time.Duration(d.ticks))
	st := staging{cursors: map[string]json.RawMessage{"n": json.RawMessage(strconv.Itoa(d.done))}, forget: hourOf(at) - 3}
	for range dayChunks {
		st.chunks = append(st.chunks, sealedChunk{data: slices.Clone(d.chunk)})
		st.size += int64(len(d.chunk))
		st.held += int64(len(d.chunk))
	}
	for i := range dayKeys {
		var key Key
		binary.LittleEndian.PutUint64(key[:], uint64(d.done*dayKeys+i))
		st.remember(hourOf(at), key)
	}
	if err := d.store.submit(d.t.Context(), "in/1/a", st); err != nil {
		d.t.Fatal(err)
	}
	d.done++
}

// acknowledge lets the output have at most n chunks more, so that not fewer than left wait.
func (d *day) acknowledge(n, left uint64) {
	d.t.Helper()
	head := d.store.nextChunk()
	if err := d.store.ack("out", min(d.store.tail("out")+n, head-min(head, left))); err != nil {
		d.t.Fatal(err)
	}
}

// A day with an outage of its output for 6 hours: the disk is as full afterwards as it was before, while events
// come and go as well as in a quiet night. STARLING_DAY says how many commits the day has.
func TestDiskStaysLevelOverADay(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state[1]") // no pattern
	s := openStore(t, dir, "out")
	defer s.Close()
	s.guardSpace(1<<20, slog.New(slog.DiscardHandler))
	s.wait.Go(func() { s.keepSmall(50*time.Millisecond, daySlack) }) // this day is shorter than others
	d := &day{t: t, store: s, ticks: envNumber("STARLING_DAY", 144)}
	noise := make([]byte, dayChunk)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	var w chunkWriter
	w.add(testTable, time.Unix(1e9, 0), noise)
	d.chunk = w.seal()

	keepsUp := func() { d.acknowledge(100, dayLeft) }
	d.phase("in which the output keeps up", 6, true, keepsUp)
	before := d.median()
	d.phase("in which the output is down", 6, true, func() {})
	backlog := s.Backlog("").Bytes >> 20
	if backlog < 2*daySlack>>20 {
		t.Fatalf("an outbox of %d MiB shows nothing", backlog)
	}
	if used := s.Disk().UsedBytes; used < backlog<<20 || used > 2*backlog<<20+daySlack {
		t.Errorf("the state is said to take %d MiB of the disk, with an outbox of %d MiB", used>>20, backlog)
	}
	d.phase("without events in which it catches up", 2, false, func() { d.acknowledge(6*dayChunks, dayLeft) })
	d.settle(before)
	d.phase("in which it keeps up", 8, true, keepsUp)
	if after := d.median(); after > before+daySlack>>20 {
		t.Errorf("the files take %d MiB after an outbox of %d MiB has drained, %d before", after, backlog, before)
	}
	d.phase("of nothing", 2, false, func() { d.acknowledge(100, 0) })
	d.settle(0)
}

// settle waits until the files are about as small as they were.
func (d *day) settle(before int64) {
	d.t.Helper()
	start := time.Now()
	for d.size()>>20 > before+daySlack>>20 {
		if time.Since(start) > time.Minute {
			d.t.Fatalf("the files take %d MiB for an outbox of %d MiB, they were %d before", d.size()>>20, d.store.Backlog("").Bytes>>20, before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
