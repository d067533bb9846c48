package dev

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"starling/engine"
)

const (
	lookEvery = 50 * time.Millisecond
	// quietFor is how long a file must be the same to be a whole one: editors write in several steps.
	quietFor = 15 * time.Millisecond
	// readEvery is how often everything is read although no file looks changed: on some mounts none ever does.
	readEvery = time.Second
	// emptyFor is how long a script may be empty: some editors empty a file before they write it.
	emptyFor = 300 * time.Millisecond
)

// Watch calls show at once and then whenever the scripts of the library, or what else look returns a hash of, have changed, with
// the moment at which that was seen. It ends with ctx. Looking at the content works on every mount and with every editor.
func Watch(ctx context.Context, l *engine.Library, look func() [sha256.Size]byte, show func(changed time.Time)) {
	stamps, full := newStamps(l.Dir), time.Time{}
	empty := false
	is := func() (h [sha256.Size]byte) {
		if sources, err := l.Read(); err == nil {
			h, empty = sources.Hash, hasEmpty(sources)
		}
		more := look()
		return sha256.Sum256(append(h[:], more[:]...))
	}
	last := is()
	show(time.Now())
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !stamps.changed() && time.Since(full) < readEvery {
			continue
		}
		full = time.Now()
		now := is()
		if now == last {
			continue
		}
		seen := time.Now()
		for again := now; ; now = again {
			time.Sleep(quietFor)
			again = is()
			if waited := time.Since(seen); again == now && (!empty || waited > emptyFor) || waited > time.Second {
				break
			}
		}
		last = now
		show(seen)
	}
}

// hasEmpty reports whether a script has nothing in it.
func hasEmpty(sources *engine.Sources) bool {
	for _, name := range sources.Names() {
		if text, _ := sources.Text(name); len(text) == 0 && !sources.Builtin(name) && strings.HasSuffix(name, ".star") {
			return true
		}
	}
	return false
}

// stamps are the sizes and times of the files below a folder.
type stamps struct {
	dir  string
	last uint64
}

func newStamps(dir string) *stamps {
	s := &stamps{dir: dir}
	s.changed()
	return s
}

// changed reports whether they are others than the last time.
func (s *stamps) changed() bool {
	if s.dir == "" {
		return false
	}
	h := fnv.New64a()
	_ = filepath.WalkDir(s.dir+string(filepath.Separator), func(name string, d fs.DirEntry, err error) error { // what cannot be read is told by who reads it
		if err != nil {
			return nil
		}
		if info, err := os.Stat(name); err == nil && !info.IsDir() {
			fmt.Fprintf(h, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	was := s.last
	s.last = h.Sum64()
	return s.last != was
}
