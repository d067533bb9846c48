//go:build unix

package engine

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// access finds out whether this process may use a file in a way: 4 to read, 2 to write, 1 to look into it.
func access(path string, mode uint32) error { return syscall.Access(path, mode) }

// isReplaced reports whether the file of a name has no name any more: it is there because it is mounted,
// and whoever mounted it has put another in its place.
func isReplaced(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}

// lockDir takes the lock that Badger takes on a directory, so that nothing is read that another
// process is writing. It ends with the process at the latest.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	// A child that was just forked holds what its parent has let go until it runs its own program.
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPatience / 50) {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = inUse(dir)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return func() {
		syscall.Flock(int(d.Fd()), syscall.LOCK_UN) // closing alone would leave it to such a child
		d.Close()
	}, nil
}

const lockPatience = time.Second
