package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testSeed returns the seed of what a test draws: of the day, or STARLING_SEED.
func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("STARLING_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("repeat with STARLING_SEED=%d", seed)
	return seed
}

// contents is all that a store keeps.
type contents struct {
	bodies  []string
	cursors map[string]string
	keys    map[string]bool
}

func contentsOf(t *testing.T, s *Store) contents {
	t.Helper()
	c := contents{bodies: outboxBodies(t, s, "out"), cursors: map[string]string{}, keys: map[string]bool{}}
	all, err := s.Cursors()
	if err != nil {
		t.Fatal(err)
	}
	for collector, cursors := range all {
		for name, value := range cursors {
			c.cursors[collector+" "+name] = string(value)
		}
		hours, err := s.seenHours(collector)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hours {
			keys, err := s.seen(collector, h)
			if err != nil {
				t.Fatal(err)
			}
			for k := range keys.all() {
				c.keys[fmt.Sprintf("%s %d %x", collector, h, k)] = true
			}
		}
	}
	return c
}

// damagedStore makes a store with files of every kind, as a kill would leave it, and says what is in it.
func damagedStore(t *testing.T, dir string, random *rand.Rand) contents {
	t.Helper()
	live := t.TempDir()
	s := openStore(t, live, "out", "slow")
	n := 0
	commit := func(events, size int) {
		t.Helper()
		collector := []string{"a/1/x", "b/1/y"}[n%2]
		p := NewPull(t.Context(), testEnv(t, s), collector)
		if s.inline > inlineBytes {
			p.staged.place = nil
		}
		for i := range events {
			body := make([]byte, size)
			for j := range body {
				body[j] = byte('!' + random.IntN(90))
			}
			stage(t, p, fmt.Sprintf("%d.%d %s", n, i, body))
			p.Seen(time.Unix(int64(3600*(n/3+1)), 0), Key{byte(n), byte(i)})
		}
		p.SetCursor(WindowCursor, json.RawMessage(fmt.Sprintf(`"2026-01-01T%02d:00:00Z"`, n)))
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		n++
	}
	for range 5 {
		commit(10, 500)
		s.Close() // each closing makes a table
		s = openStore(t, live)
	}
	s.inline = 4 << 20
	commit(2, 1_100_000) // values that are too large for tables
	s.inline = inlineBytes
	commit(2, 500_000) // in a segment
	commit(3, 900_000) // the same, in a chunk each
	for range 5 {
		commit(10, 500)
	}
	if err := s.ack("out", 2); err != nil {
		t.Fatal(err)
	}
	commit(10, 100)
	c := contentsOf(t, s)
	copyState(t, live, dir)
	s.Close()
	return c
}

// copyState copies a state directory, holes as holes.
func copyState(t *testing.T, from, to string) {
	t.Helper()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if !e.Type().IsRegular() || e.Name() == "LOCK" {
			continue
		}
		if err := copySparse(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

func copySparse(from, to string) error {
	in, err1 := os.Open(from)
	out, err2 := os.Create(to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	defer in.Close()
	const seekData, seekHole = 3, 4
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	for at := int64(0); at < size; {
		start, err := in.Seek(at, seekData)
		if err != nil {
			break // nothing but a hole is left
		}
		end, err := in.Seek(start, seekHole)
		if err != nil {
			return err
		}
		in.Seek(start, io.SeekStart)
		out.Seek(start, io.SeekStart)
		if _, err := io.CopyN(out, in, end-start); err != nil {
			return err
		}
		at = end
	}
	return errors.Join(out.Truncate(size), out.Close())
}

// A mutilation damages a file.
type mutilation struct {
	kind, place, how string
	name             string
	at               int64
}

func (m mutilation) String() string {
	return fmt.Sprintf("%s %s at %s (byte %d of %s)", m.kind, m.how, m.place, m.at, m.name)
}

// used returns how much of a file holds data: logs are made long.
func used(t *testing.T, name string) int64 {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(bytes.TrimRight(data, "\x00")))
}

func (m *mutilation) apply(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, m.kind))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file %s, %v", m.kind, err)
	}
	path := names[random.IntN(len(names))]
	m.name = filepath.Base(path)
	size := used(t, path)
	third := max(size/3, 1)
	m.at = map[string]int64{"head": 0, "middle": third, "tail": 2 * third}[m.place] + random.Int64N(third)
	m.at = max(min(m.at, size-1), 0)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	switch m.how {
	case "flipped":
		b := []byte{0}
		f.ReadAt(b, m.at)
		b[0] ^= 1 << random.IntN(8)
		_, err = f.WriteAt(b, m.at)
	case "zeroed":
		_, err = f.WriteAt(make([]byte, min(512, max(size-m.at, 1))), m.at)
	case "truncated":
		err = f.Truncate(m.at)
	case "deleted":
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFilesAreNeverASilentLoss damages every kind of file in every way that it knows: either
// everything is there, or the start is refused and says which command helps. Afterwards repair makes
// a store that opens, and has said what is lost and what is pulled again. STARLING_DAMAGE says how many
// times each kind; twelve is each place in each way once.
func TestDamagedFilesAreNeverASilentLoss(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(testSeed(t), 1))
	rounds := 12
	if text := os.Getenv("STARLING_DAMAGE"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	whole := t.TempDir()
	want := damagedStore(t, whole, random)
	refused, opened, lost := map[string]int{}, map[string]int{}, map[string]int{}
	for _, kind := range []string{"MANIFEST", "*.sst", "*.mem", "*.vlog", "*" + segmentSuffix, "KEYREGISTRY", "DISCARD", witnessName} {
		for n := range rounds {
			m := mutilation{kind: kind, place: []string{"head", "middle", "tail"}[n%3], how: []string{"flipped", "zeroed", "truncated", "deleted"}[n%4]}
			dir := t.TempDir()
			copyState(t, whole, dir)
			m.apply(t, dir, random)
			s, err := OpenStore(dir, 1<<30)
			if err == nil {
				opened[kind]++
				sameContents(t, m, contentsOf(t, s), want)
				s.Close()
				continue
			}
			refused[kind]++
			for _, word := range []string{dir, "starling state repair"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%s: the error does not mention %q: %v", m, word, err)
				}
			}
			lost[kind] += repaired(t, m, dir, want)
		}
	}
	t.Logf("refused: %v, opened whole: %v, events lost and said so: %v", refused, opened, lost)
}

// repaired repairs dir and returns how many events are lost. Of each one that is, repair must have said
// so, and its collector must go on from before it, or repair must have said that a person has to see to it.
func repaired(t *testing.T, m fmt.Stringer, dir string, want contents) (lost int) {
	t.Helper()
	r, err := Repair(dir)
	if err != nil || r.Moved == "" {
		t.Errorf("%s: repair: %v, moved to %q", m, err, r.Moved)
		return 0
	}
	s, err := OpenStore(dir, 1<<30)
	if err != nil {
		t.Errorf("%s: after the repair: %v", m, err)
		return 0
	}
	defer s.Close()
	got := contentsOf(t, s)
	said := strings.Join(r.Lost, "\n")
	again := strings.Join(r.Again, "\n")
	// The store may offer again what the output had acknowledged, so what is wanted is only a part.
	kept := slices.DeleteFunc(slices.Clone(got.bodies), func(b string) bool { return !slices.Contains(want.bodies, b) })
	inOrder := slices.DeleteFunc(slices.Clone(want.bodies), func(b string) bool { return !slices.Contains(kept, b) })
	if !slices.Equal(kept, inOrder) {
		t.Errorf("%s: the events are not in order", m)
	}
	for _, body := range want.bodies {
		if slices.Contains(kept, body) {
			continue
		}
		lost++
		var commit, event int
		fmt.Sscanf(body, "%d.%d", &commit, &event)
		collector := []string{"a/1/x", "b/1/y"}[commit%2]
		key := fmt.Sprintf("%s %d %x", collector, commit/3+1, Key{byte(commit), byte(event)})
		cursor := got.cursors[collector+" "+WindowCursor]
		if cursor >= fmt.Sprintf(`"2026-01-01T%02d:00:00Z"`, commit) && !strings.Contains(again, collector+" stays at") {
			t.Errorf("%s: event %s is lost, and %s goes on from %s", m, body[:5], collector, cursor)
		}
		if got.keys[key] {
			t.Errorf("%s: event %s is lost, and its key is remembered", m, body[:5])
		}
	}
	if lost > 0 && !strings.Contains(said, "chunk") {
		t.Errorf("%s: %d events are lost, and all that was said is: %s", m, lost, said)
	}
	return lost
}

func sameContents(t *testing.T, m fmt.Stringer, got, want contents) {
	t.Helper()
	if !slices.Equal(got.bodies, want.bodies) {
		t.Errorf("%s: %d events of %d are there, and nobody said so", m, len(got.bodies), len(want.bodies))
	}
	if !maps.Equal(got.cursors, want.cursors) || !maps.Equal(got.keys, want.keys) {
		t.Errorf("%s: cursors or keys differ, and nobody said so: %v, %d keys", m, got.cursors, len(got.keys))
	}
}
