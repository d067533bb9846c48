package dev

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"starling/engine"
)

const (
	lookEvery = 50 * time.Millisecond
	// quietFor is how long a file must be the same to be a whole one: editors write in several steps.
	quietFor = 15 * time.Millisecond
	// emptyFor is how long a script may be empty: some editors empty a file before they write it.
	emptyFor = 300 * time.Millisecond
)

// Watch calls show at once and then whenever the scripts of the library, or what else look returns a hash of, have changed, with
// the moment at which that was seen. It ends with ctx. Looking at the content works on every mount and with every editor.
func Watch(ctx context.Context, l *engine.Library, look func() [sha256.Size]byte, show func(changed time.Time)) {
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
