package sinks

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// readRotated returns what the file and all that rotated hold, in the order of their names, and the names.
func readRotated(t *testing.T, path string) (text string, names []string) {
	t.Helper()
	all, err := rotatedAt(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, at := range all {
		name := rotatedName(path, at)
		if _, err := os.Stat(name); err == nil { // as long as it is there, what is compressed may not be whole
			b.WriteString(readFile(t, name))
		} else {
			name += ".gz"
			b.WriteString(unzip(t, name))
		}
		names = append(names, filepath.Base(name))
	}
	if _, err := os.Stat(path); err == nil { // a kill may have come between two names
		b.WriteString(readFile(t, path))
	}
	return b.String(), names
}

func unzip(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func openRotating(t testing.TB, path string, more map[string]any) *file {
	t.Helper()
	values := map[string]any{"path": path}
	for key, value := range more {
		values[key] = value
	}
	return open(t, "file", "", values).(*file)
}

func TestRotatingFileKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		path := filepath.Join(t.TempDir(), "events.log")
		sink := openRotating(t, path, map[string]any{"rotate_bytes": "16KiB"})
		return sinktest.Fixture{Sink: sink, Bodies: func() []string {
			text, _ := readRotated(t, path)
			return bodyLines(t, text)
		}, Break: func() { breakFile(t, sink, path) }, Mend: func() { mendFile(t, path) }}
	})
}

func TestFileRotatesBetweenEpochs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.log")
	sink := openRotating(t, path, map[string]any{"rotate_bytes": "1KiB"})
	for i := range 4 {
		if err := offer(t.Context(), sink, sinktest.Events(i*1000, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	text, names := readRotated(t, path)
	if len(names) != 3 || strings.Count(readFile(t, path), "\n") != 1000 || strings.Count(text, "\n") != 4000 {
		t.Errorf("got %q, with %d lines in all", names, strings.Count(text, "\n"))
	}
	wantEverything(t, bodyLines(t, text), sinktest.Events(0, 4000))
}

func TestFileRotatesWhenItIsOld(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	midnight := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		written, last, now time.Duration // from midnight
		want               bool
	}{
		{-time.Second, -day, 0, true},
		{0, -day, day - 1, false},
		{-3 * day, -9 * day, time.Hour, true},
		{-time.Second, 0, time.Second, false}, // of a file server that is behind, just after it rotated
		{2 * day, -day, 0, true},              // the clock was set back
	} {
		path := filepath.Join(t.TempDir(), "events.log")
		sinktest.WriteFile(t, path, []byte("x"))
		at := midnight.Add(c.written)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		r := rotation{every: day}
		if got := r.isDue(info, midnight.Add(c.last), midnight.Add(c.now)); got != c.want {
			t.Errorf("written %v, rotated %v, now %v: got %v", c.written, c.last, c.now, got)
		}
	}
	path := filepath.Join(t.TempDir(), "events.log")
	old := time.Now().Add(-48 * time.Hour)
	sinktest.WriteFile(t, path, []byte("old\n"))
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	sink := openRotating(t, path, map[string]any{"rotate_every": "24h"})
	for i := range 2 {
		if err := offer(t.Context(), sink, sinktest.Events(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, names := readRotated(t, path); len(names) != 1 || strings.Count(readFile(t, path), "\n") != 2 {
		t.Errorf("got %q and %q", names, readFile(t, path))
	}
}

// A clock that is set back gives no name twice, and none that sorts before what is older.
func TestRotatedNamesSort(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.log")
	var names []string
	for _, at := range []int64{1000, 1000, 5, 1003, 2000} {
		name, err := nextName(path, time.UnixMilli(at))
		if err != nil {
			t.Fatal(err)
		}
		sinktest.WriteFile(t, name, nil)
		names = append(names, strings.TrimPrefix(name, path+".19700101T00000"))
	}
	if want := []string{"1.000Z", "1.001Z", "1.002Z", "1.003Z", "2.000Z"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestRotatedFilesAreTidied(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.log")
	// What crashes leave: a part of a compressed file, a whole one beside the old one. And files of others.
	others := []string{"events.log.1", "events.log-20261127.gz", "events.log.20260101T000000.000Z.bak", "events.log.20260101T000000Z"}
	for name, text := range map[string]string{
		".20260101T000000.000Z": "a\n", ".20260101T000000.000Z.gz.part": "ha",
		".20260102T000000.000Z": "b\n", ".20260102T000000.000Z.gz": "anything",
		".20260103T000000.000Z": "c\n", ".20260103T000000.000Z.gz.part": "torn",
		".20260104T000000.000Z": "d\n",
	} {
		sinktest.WriteFile(t, path+name, []byte(text))
	}
	for _, name := range others {
		sinktest.WriteFile(t, filepath.Join(filepath.Dir(path), name), []byte("of others"))
	}
	sink := openRotating(t, path, map[string]any{"rotate_bytes": "1MiB", "keep": 3, "compress": true})
	if err := offer(t.Context(), sink, []engine.Event{{Table: &engine.Table{}, Body: []byte("e")}}); err != nil {
		t.Fatal(err)
	}
	want := append([]string{"events.log", "events.log.20260102T000000.000Z.gz", "events.log.20260103T000000.000Z.gz", "events.log.20260104T000000.000Z.gz"}, others...)
	slices.Sort(want)
	var got []string
	giveUp := time.Now().Add(time.Minute)
	for !slices.Equal(got, want) {
		if time.Now().After(giveUp) {
			t.Fatalf("got %q, want %q", got, want)
		}
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, entry := range entries {
			got = append(got, entry.Name())
		}
		time.Sleep(time.Millisecond)
	}
	if text, _ := readRotated(t, path); text != "b\nc\nd\ne\n" {
		t.Errorf("got %q", text)
	}
	if info, err := os.Stat(path + ".20260104T000000.000Z.gz"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v", info.Mode(), err)
	}
}

func TestFileThatLogrotateRotatesToo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.log")
	sink := openRotating(t, path, map[string]any{"rotate_bytes": "1KiB", "keep": 100})
	for i := range 20 {
		if err := offer(t.Context(), sink, sinktest.Events(i*10, 10)); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
				t.Fatal(err)
			}
		}
		if i%6 == 0 { // logrotate's create
			sinktest.WriteFile(t, path, nil)
		}
	}
	text, _ := readRotated(t, path)
	for i := 0; i < 20; i += 3 {
		text += readFile(t, fmt.Sprintf("%s.%d", path, i))
	}
	if n := strings.Count(text, "\n"); n != 200 {
		t.Errorf("got %d lines, want 200", n)
	}
	wantEverything(t, bodyLines(t, text), sinktest.Events(0, 200))
}

const (
	fileChild    = "STARLING_FILE_CHILD" // the number of its first event
	epochOfChild = 10
)

// TestRotatingFileIsKilled kills a process that rotates all the time, again and again.
func TestRotatingFileIsKilled(t *testing.T) {
	t.Parallel()
	if first := os.Getenv(fileChild); first != "" {
		writeUntilKilled(t, first)
	}
	path := filepath.Join(t.TempDir(), "events.log")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	acknowledged := 0
	const kills = 4
	for range kills {
		acknowledged = liveAndDie(t, path, acknowledged, 1+random.IntN(25), time.Duration(random.IntN(3000))*time.Microsecond)
	}
	text, names := readRotated(t, path)
	next, repeated := 0, 0
	for _, line := range bodyLines(t, text) {
		n, err := strconv.Atoi(strings.TrimPrefix(line, "event "))
		switch {
		case err != nil || len(line) != len(childEvent(0)):
			continue // torn by a kill within a write
		case n > next:
			t.Fatalf("event %d comes after %d", n, next-1)
		case n < next:
			repeated++
		default:
			next++
		}
	}
	if next < acknowledged || len(names) < kills {
		t.Errorf("%d events were acknowledged, %d are there, in %d files", acknowledged, next, len(names))
	}
	t.Logf("%d kills, %d rotations: %d events acknowledged, %d there, %d twice", kills, len(names), acknowledged, next, repeated)
}

func childEvent(n int) string { return fmt.Sprintf("event %0200d", n) }

// liveAndDie runs the child from event first on and kills it some time after some epochs; it returns
// how many events were acknowledged.
func liveAndDie(t *testing.T, path string, first, epochs int, after time.Duration) int {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run", "^TestRotatingFileIsKilled$")
	child.Env = append(os.Environ(), fileChild+"="+strconv.Itoa(first), "STARLING_FILE_PATH="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for acks := 0; lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("the child says %q", lines.Text())
			break
		}
		first = n
		if acks++; acks == epochs {
			time.AfterFunc(after, func() { _ = child.Process.Kill() })
		}
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	return first
}

// writeUntilKilled says after each epoch how many events the disk has.
func writeUntilKilled(t *testing.T, first string) {
	n, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	sink := openRotating(t, os.Getenv("STARLING_FILE_PATH"), map[string]any{"rotate_bytes": "1KiB", "compress": true})
	for {
		events := make([]engine.Event, epochOfChild)
		for i := range events {
			events[i] = engine.Event{Table: &engine.Table{}, Body: []byte(childEvent(n + i))}
		}
		if err := offer(t.Context(), sink, events); err != nil {
			t.Fatal(err)
		}
		n += epochOfChild
		fmt.Println(n)
	}
}
