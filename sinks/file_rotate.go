package sinks

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"starling/engine"
)

// rotation says when a file is put aside for a new one, and what becomes of those that were.
//
// The libraries that rotate logs rotate within a write and sync nothing: an epoch would be torn over two
// files, of which only one could be cut back, and a power cut would lose what was acknowledged.
type rotation struct {
	bytes    int64         // 0: any number
	every    time.Duration // 0: any age
	keep     int           // 0: all
	compress bool
}

func newRotation(c *engine.Section) rotation {
	r := rotation{
		bytes:    c.Bytes("rotate_bytes", 0, 1<<10, 1<<50),
		every:    c.Seconds("rotate_every", 0, time.Minute, 366*24*time.Hour),
		keep:     int(c.Int("keep", 0, 1, 1_000_000)),
		compress: c.Bool("compress", false),
	}
	for _, key := range []string{"keep", "compress"} {
		if c.Has(key) && !c.Has("rotate_bytes") && !c.Has("rotate_every") {
			c.Errorf(key, "is for files that rotated; set rotate_bytes or rotate_every too")
		}
	}
	return r
}

// isDue reports whether the file is to rotate before more is written to it. The last rotation counts too,
// so that a file server whose clock differs does not make it rotate at each epoch.
func (r rotation) isDue(info fs.FileInfo, last, now time.Time) bool {
	if info.Size() == 0 {
		return false
	}
	return r.bytes > 0 && info.Size() >= r.bytes ||
		r.every > 0 && !r.isSameStretch(info.ModTime(), now) && !r.isSameStretch(last, now)
}

func (r rotation) isSameStretch(a, b time.Time) bool {
	return a.Truncate(r.every).Equal(b.Truncate(r.every))
}

const rotatedLayout = "20060102T150405.000Z"

func rotatedName(path string, at time.Time) string {
	return path + "." + at.UTC().Format(rotatedLayout)
}

// nextName returns the name of the next file that rotates, which sorts behind all that did, whatever the
// clock says.
func nextName(path string, now time.Time) (string, error) {
	all, err := rotatedAt(path)
	if err != nil {
		return "", err
	}
	if n := len(all); n > 0 && now.Before(all[n-1].Add(time.Millisecond)) {
		now = all[n-1].Add(time.Millisecond)
	}
	return rotatedName(path, now), nil
}

// rotatedAt returns the times in the names of files that rotated, compressed or not, in order. It takes
// no other files for such, as they may be deleted.
func rotatedAt(path string) (all []time.Time, err error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	for _, entry := range entries {
		text, ok := strings.CutPrefix(entry.Name(), filepath.Base(path)+".")
		text = strings.TrimSuffix(text, ".gz")
		at, err := time.Parse(rotatedLayout, text)
		if ok && err == nil && at.Format(rotatedLayout) == text && entry.Type().IsRegular() {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.Compact(all), err
}
