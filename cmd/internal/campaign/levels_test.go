package campaign

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// soakOf makes samples of an hour whose values are f of the share of the time that is over.
func soakOf(f func(share float64) level) (l levels) {
	const samples = 60
	for i := range samples {
		one := f(float64(i) / samples)
		one.at = time.Duration(i+1) * time.Minute
		l = append(l, one)
	}
	return l
}

func TestLevelsThatGrowAreFound(t *testing.T) {
	t.Parallel()
	level1 := level{goroutines: 30, files: 20, rss: 70, disk: 10}
	for _, c := range []struct {
		name string
		f    func(share float64) level
		want string
	}{
		{"level", func(float64) level { return level1 }, ""},
		{"higher only at the start", func(x float64) level {
			if x < 0.3 {
				return level{goroutines: 500, files: 500, rss: 700, disk: 900}
			}
			return level1
		}, ""},
		{"goroutines", func(x float64) level { l := level1; l.goroutines += 200 * x; return l }, "goroutines grew"},
		{"files", func(x float64) level { l := level1; l.files += 200 * x; return l }, "open files grew"},
		{"memory", func(x float64) level { l := level1; l.rss += 400 * x; return l }, "MiB of memory grew"},
		{"disk", func(x float64) level { l := level1; l.disk += 400 * x; return l }, "MiB on disk grew"},
	} {
		err := soakOf(c.f).level()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestDiskUseCountsBlocksAndNotHoles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	if got, err := diskUse(dir); err != nil || got < 2 || got > 3 {
		t.Errorf("got %v MiB %v, want 2 and a little", got, err)
	}
}
