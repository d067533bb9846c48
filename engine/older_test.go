package engine

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// unpack unpacks a state directory of testdata.
func unpack(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		out, err := os.Create(filepath.Join(dir, filepath.Base(h.Name)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(holes{out}, r); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(out.Truncate(h.Size), out.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// holes passes over what is zero, so that files stay as small as they were.
type holes struct{ f *os.File }

func (h holes) Write(p []byte) (int, error) {
	for _, c := range p {
		if c != 0 {
			return h.f.Write(p)
		}
	}
	_, err := h.f.Seek(int64(len(p)), io.SeekCurrent)
	return len(p), err
}

// TestOlderStoresOpen opens what earlier versions wrote; testdata/README.md says how that was made.
func TestOlderStoresOpen(t *testing.T) {
	t.Parallel()
	for name, commits := range map[string]int{"state-1-closed.tar.gz": 4, "state-1-killed.tar.gz": 6} {
		dir := unpack(t, name)
		for range 2 { // as it was, and as this version keeps it
			s := openStore(t, dir)
			for sink, from := range map[string]int{"devo": 5, "file": 2} {
				bodies := outboxBodies(t, s, sink)
				if want := 20 * (2*commits - from); len(bodies) != want {
					t.Errorf("%s: %d events wait for %s, want %d", name, len(bodies), sink, want)
				}
				last := fmt.Sprintf(`{"n":%d,"i":19,"of":"audit/2/signins"}`, commits-1)
				if len(bodies) == 0 || bodies[len(bodies)-1] != last {
					t.Errorf("%s: the last event is not %s", name, last)
				}
			}
			for _, collector := range []string{"mail/1/messages", "audit/2/signins"} {
				v, _, err := s.Cursor(collector, WindowCursor)
				if want := fmt.Sprintf(`"2026-01-01T%02d:00:00Z"`, commits-1); string(v) != want || err != nil {
					t.Errorf("%s: cursor of %s: got %s, %v, want %s", name, collector, v, err, want)
				}
				if keys, err := s.seen(collector, 2); keys.len() != 20 || err != nil {
					t.Errorf("%s: %d keys of %s, %v, want 20", name, keys.len(), collector, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
