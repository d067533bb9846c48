//go:build linux

package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
)

// needFUSE skips a test where no file system can be mounted; CI says so in a line of its own, and
// STARLING_NO_SKIP makes it a failure.
func needFUSE(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	if err == nil && os.Getuid() == 0 {
		return
	}
	text := fmt.Sprintf("cuts of power need /dev/fuse and root: uid %d, %v", os.Getuid(), err)
	if os.Getenv("STARLING_NO_SKIP") != "" {
		t.Fatal(text)
	}
	t.Skip(text)
}

// powerCuts lets children work on one disk, cuts its power n times at a drawn moment, and returns the
// first thing that was confirmed and is not there, or nil.
func powerCuts(t *testing.T, n int, draw *rand.Rand, env ...string) error {
	t.Helper()
	h, disk := newHistory(), newPowerDisk()
	env = append(env, "STARLING_CRASH_ROUNDS=6")
	cuts := 0
	for cuts < n {
		// Small numbers as often as large ones: a start has some tens of requests, a life some hundreds.
		moment := 1 + draw.IntN(1<<(2+draw.IntN(8)))
		cut, err := powerLife(t, h, disk, moment, append(env, drawInline(draw))...)
		if err != nil {
			return fmt.Errorf("after %d cuts, the next at request %d: %w", cuts, moment, err)
		}
		if cut {
			cuts++
		}
		disk.settle(draw)
	}
	_, err := powerLife(t, h, disk, -1)
	t.Logf("%d cuts, %d files, %d commits confirmed, %d events came twice", cuts, len(disk.names), h.confirmed, h.repeated)
	return err
}

func powerLife(t *testing.T, h *history, disk *powerDisk, moment int, env ...string) (cut bool, err error) {
	dir, unmount := disk.mount(t, moment)
	defer unmount()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func(off chan struct{}) {
		select {
		case <-off:
			cancel()
		case <-ctx.Done():
		}
	}(disk.off)
	dead := sync.OnceFunc(func() { close(disk.gone) })
	defer dead() // also when the cut came after its last breath, before unmount
	return h.lifeUntil(ctx, dead, dir, env...)
}

// A cut of the power, which drops and tears whatever was not synced, loses nothing that was confirmed.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	needFUSE(t)
	if err := powerCuts(t, envNumber("STARLING_POWER_CUTS", 30), drawn(t)); err != nil {
		t.Fatal(err)
	}
}

// Without a sync of each commit the same cuts must find losses: otherwise they prove nothing.
func TestPowerCutsFindWhatIsNotSynced(t *testing.T) {
	t.Parallel()
	needFUSE(t)
	err := powerCuts(t, 30, drawn(t), "STARLING_CRASH_UNSYNCED=1")
	if err == nil {
		t.Fatal("30 cuts without syncs lost nothing")
	}
	t.Log("as it must be: ", err)
}
