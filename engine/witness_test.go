package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWitnessKnowsAnOlderState puts an older copy of the database below a newer witness.
func TestWitnessKnowsAnOlderState(t *testing.T) {
	t.Parallel()
	dir, older := t.TempDir(), t.TempDir()
	s := openStore(t, dir, "out")
	p := NewPull(t.Context(), testEnv(t, s), "a/1/x")
	stage(t, p, "first")
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	copyState(t, dir, older)
	stage(t, p, "second")
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.Rename(filepath.Join(dir, witnessName), filepath.Join(older, witnessName)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(older, 1); err == nil || !strings.Contains(err.Error(), "commits 4 to 4") {
		t.Errorf("older database: got %v", err)
	}
	// The rest of the database is left where it was, and its witness is gone.
	if _, err := OpenStore(dir, 1); err == nil || !strings.Contains(err.Error(), "witness: it is missing") {
		t.Errorf("no witness: got %v", err)
	}
	// Only a witness is left.
	for _, name := range []string{"MANIFEST", "*.mem", "*.sst", "*.vlog"} {
		names, _ := filepath.Glob(filepath.Join(older, name))
		for _, n := range names {
			os.Remove(n)
		}
	}
	if _, err := OpenStore(older, 1); err == nil || !strings.Contains(err.Error(), "the database is gone") {
		t.Errorf("no database: got %v", err)
	}
}

func FuzzWitness(f *testing.F) {
	data := make([]byte, 2*witnessSlot)
	want := testimony{seq: 7, head: 3, block: 2, first: 1, at: time.UnixMilli(5).UTC()}
	copy(data, want.encode())
	f.Add(data)
	f.Add(data[:witnessRecord])
	f.Add(data[1:])
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := decodeWitness(data)
		if !ok {
			return
		}
		if again, ok := decodeTestimony(got.encode()); !ok || again != got {
			t.Errorf("%+v becomes %+v, %v", got, again, ok)
		}
	})
}
