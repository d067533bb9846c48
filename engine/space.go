package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Badger maps its files into memory, so a write to a full disk is no error: it kills the process. The
// guard therefore looks at the free space before each write, and stops in time: below the reserve pulls
// wait, as they do when the outbox is full, while deliveries and their acknowledgements go on; they
// need little, and they are what makes room. A file of no use, the ballast, holds a part of the disk
// that is given up when the reserve is touched, so that there is something left for that.
const (
	ballastFile  = "ballast"
	ballastShare = 4 // of the reserve
	floorShare   = 8 // below this part of the reserve nothing is written at all
	resumeShare  = 4 // above the reserve by this part of it, pulls go on
	openNeeds    = 16 << 20

	spacePause = 500 * time.Millisecond // between two looks of a commit that waits
)

var errNoSpace = errors.New("the disk is nearly full")

type spaceGuard struct {
	dir     string
	reserve int64 // bytes
	log     *slog.Logger
	measure func(dir string) (free int64, err error)

	mu      sync.Mutex
	low     bool
	ballast bool
}

// DiskStatus says how much room the disk of the state directory has.
type DiskStatus struct {
	UsedBytes    int64 `json:"used_bytes"` // by the state: what waits, cursors, remembered keys, logs; not the ballast
	FreeBytes    int64 `json:"free_bytes"`
	ReserveBytes int64 `json:"reserve_bytes"` // starling.limits.disk_reserve
	Low          bool  `json:"low"`           // pulls wait until there is more
}

// guardSpace watches the free space of the disk from now on, and gives unused room back. It is to be called
// before the store is used.
func (s *Store) guardSpace(reserve int64, log *slog.Logger) {
	if s.dir == "" {
		return
	}
	s.space = &spaceGuard{dir: s.dir, reserve: reserve, log: log, measure: diskFree}
	_, err := os.Stat(filepath.Join(s.dir, ballastFile))
	s.space.ballast = err == nil
	s.space.look()
	s.wait.Go(func() { s.keepSmall(reclaimEvery, reclaimSlack) })
}

// Disk returns the state of the state directory's disk, or nil if nobody watches it.
func (s *Store) Disk() *DiskStatus {
	if s.space == nil {
		return nil
	}
	free := s.space.look()
	used := allocatedBy(s.dir, ".sst", ".vlog", ".mem", segmentSuffix)
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	return &DiskStatus{UsedBytes: used, FreeBytes: free, ReserveBytes: s.space.reserve, Low: s.space.low}
}

// look measures the free space and does what follows: gives up the ballast or takes it back, and tells
// when pulls begin to wait and when they go on.
func (g *spaceGuard) look() (free int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	free = g.free()
	ballast := g.reserve / ballastShare
	resume := g.reserve + g.reserve/resumeShare
	switch {
	case !g.low && free < g.reserve:
		g.low = true
		g.log.Error("the disk of the state directory is nearly full: pulls wait until there is room, deliveries go on",
			"directory", g.dir, "free", free, "reserve", g.reserve, "hint", "free some space; nothing is lost meanwhile")
		if g.ballast {
			g.ballast = os.Remove(filepath.Join(g.dir, ballastFile)) != nil
			free = g.free()
		}
	case g.low && !g.ballast && free >= resume+ballast || g.low && g.ballast && free >= resume:
		g.low = false
		g.log.Info("the disk has room again: pulls go on", "directory", g.dir, "free", free)
	}
	if !g.low && !g.ballast && free >= resume+ballast {
		g.ballast = allocate(filepath.Join(g.dir, ballastFile), ballast) == nil
	}
	return free
}

// free returns what was measured. A disk that cannot be measured is taken to have room.
func (g *spaceGuard) free() int64 {
	free, err := g.measure(g.dir)
	if err != nil {
		return 1 << 62
	}
	return free
}

// fits reports whether size more bytes can be committed.
func (g *spaceGuard) fits(size int64) bool {
	if g == nil {
		return true
	}
	free := g.look()
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.low && free >= g.reserve+size
}

// roomy reports whether there is so much room that size more bytes can be written before they are committed: while
// they wait, they must not take it from what is.
func (g *spaceGuard) roomy(size int64) bool { return g == nil || g.fits(g.reserve+size) }

// writable returns an error if there is no room even for an acknowledgement.
func (g *spaceGuard) writable() error {
	if g == nil {
		return nil
	}
	if free := g.look(); free < g.reserve/floorShare {
		return storeError("deliver", fmt.Errorf("%w: %d bytes are free on the disk of %s, too little to note what was delivered", errNoSpace, free, g.dir),
			"free some space; nothing is lost meanwhile")
	}
	return nil
}

// waitForSpace waits until size bytes can be committed.
func (s *Store) waitForSpace(ctx context.Context, size int64) error {
	for told := false; !s.space.fits(size); told = true {
		if !told && size > 0 {
			s.space.log.Warn("a commit waits for room on the disk", "directory", s.dir, "bytes", size)
		}
		select {
		case <-time.After(spacePause):
		case <-ctx.Done():
			return storeError("commit", errNoSpace, "free some space on the disk of "+s.dir+", or lower starling.limits.disk_reserve; nothing is lost meanwhile")
		case <-s.closed:
			return storeError("commit", errStoreClosed, "")
		}
	}
	return nil
}

// makeRoomToOpen gives up the ballast if that is needed to open the store in dir, and returns an error if
// it is not enough: what is in the logs of the last run must fit once more.
func makeRoomToOpen(dir string) error {
	needs := openNeeds + 2*allocatedBy(dir, ".mem")
	free, err := diskFree(dir)
	if err == nil && free < needs && os.Remove(filepath.Join(dir, ballastFile)) == nil {
		free, err = diskFree(dir)
	}
	if err != nil || free >= needs {
		return nil
	}
	return storeError("open the state directory "+dir, fmt.Errorf("%w: %d bytes are free, %d are needed to open it", errNoSpace, free, needs),
		"free some space on its disk and start again; nothing is lost meanwhile")
}

// allocatedBy returns how much of the disk the files in dir with these extensions take.
func allocatedBy(dir string, extensions ...string) (size int64) {
	entries, _ := os.ReadDir(dir) // what cannot be read is told by who opens it
	for _, e := range entries {
		if slices.Contains(extensions, filepath.Ext(e.Name())) {
			size += allocated(filepath.Join(dir, e.Name()))
		}
	}
	return size
}
