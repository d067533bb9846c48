package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// TestBackupWhileCommitsGoOn takes a backup over the socket under a load of commits and
// acknowledgements, restores it elsewhere, and has everything that was committed before it began; the
// outbox and the cursor agree, as if all had stopped at one moment; and a collector goes on from there.
func TestBackupWhileCommitsGoOn(t *testing.T) {
	t.Parallel()
	dir, other, file := t.TempDir(), filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "backup")
	s := openStore(t, dir)
	defer s.Close()
	s.inline = 1 // so that it reads segments
	if err := s.outputs([]string{"out"}); err != nil {
		t.Fatal(err)
	}
	defer s.serveControl(slog.New(slog.DiscardHandler), nil)()
	var committed atomic.Int64
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- countUp(t, s, 0, &committed, stop) }()
	for committed.Load() < 20 {
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
	}
	before := committed.Load()
	info, err := BackupDir(dir, file)
	if err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if stat, err := os.Stat(file); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v", stat.Mode(), err)
	}
	if _, moved, err := Restore(file, other, false); err != nil || moved != "" {
		t.Fatalf("restore: %v, moved %q", err, moved)
	}
	r := openStore(t, other)
	cursor, _, err := r.Cursor("a/1/x", "n")
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if err := json.Unmarshal(cursor, &n); err != nil || n < before || n > committed.Load() {
		t.Fatalf("the cursor is %s (%v), %d were committed before the backup, %d after (%+v)", cursor, err, before, committed.Load(), info)
	}
	if got, want := outboxBodies(t, r, "out"), numbers(0, n); !slices.Equal(got, want) {
		t.Errorf("%d events wait, want %d: the backup is not of one moment", len(got), len(want))
	}
	// It goes on from where the backup was.
	again := committed.Load() + 5
	committed.Store(n)
	stop = make(chan struct{})
	go func() { done <- countUp(t, r, n, &committed, stop) }()
	for committed.Load() < again {
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, want := outboxBodies(t, r, "out"), numbers(0, committed.Load()); !slices.Equal(got, want) {
		t.Errorf("%d events wait after going on, want %d", len(got), len(want))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// Not over a state that is there, unless one says so; what was there is kept.
	if _, _, err := Restore(file, other, false); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("restore over a state: got %v", err)
	}
	_, moved, err := Restore(file, other, true)
	if err != nil || moved == "" {
		t.Fatalf("replace: %v, moved %q", err, moved)
	}
	old := openStore(t, moved)
	if got := outboxBodies(t, old, "out"); int64(len(got)) != committed.Load() {
		t.Errorf("the state that was replaced has %d events, want %d", len(got), committed.Load())
	}
	old.Close()
}

// countUp commits event after event with a cursor that counts them, until stop.
func countUp(t *testing.T, s *Store, n int64, committed *atomic.Int64, stop chan struct{}) error {
	p := NewPull(t.Context(), testEnv(t, s), "a/1/x")
	for ; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := p.Stage(testTable, p.started, fmt.Appendf(nil, "%d", n)); err != nil {
			return err
		}
		p.SetCursor("n", json.RawMessage(fmt.Sprint(n+1)))
		if err := p.Commit(); err != nil {
			return err
		}
		committed.Store(n + 1)
	}
}

func numbers(from, to int64) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return all
}

// TestBackupThatIsNotWholeIsRefused restores backups that are cut short, changed, or none.
func TestBackupThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := openStore(t, dir)
	p := NewPull(t.Context(), testEnv(t, s), "a/1/x")
	stage(t, p, "one")
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := BackupDir(dir, file); err != nil { // without a process that runs
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(whole, fmt.Appendf(nil, `"format":%d`, storeVersion), []byte(`"format":9`), 1)
	flipped := bytes.Clone(whole)
	flipped[len(whole)/2] ^= 4
	for name, data := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)-1], "flipped": flipped, "newer": newer, "longer": append(bytes.Clone(whole), 0), "other": []byte("hello\n")} {
		os.WriteFile(file, data, 0o600)
		empty := filepath.Join(t.TempDir(), "state")
		if _, _, err := Restore(file, empty, true); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(empty); err == nil {
			t.Errorf("%s: something was written", name)
		}
	}
}

func FuzzBackup(f *testing.F) {
	f.Add([]byte(backupMagic + `{"format":1,"commits":3}` + "\nrest"))
	f.Add([]byte(backupMagic + "{}\n"))
	f.Add([]byte(backupMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := readBackupHeader(bufio.NewReader(bytes.NewReader(data)))
		if err == nil && (info.Format < 1 || info.Format > storeVersion) {
			t.Errorf("format %d is taken", info.Format)
		}
		checkBackup(bytes.NewReader(data))
	})
}
