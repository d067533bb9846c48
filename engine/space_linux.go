package engine

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// diskFree returns how many bytes this user can write to the disk of dir.
func diskFree(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// allocate makes a file that holds size bytes of the disk.
func allocate(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		os.Remove(name)
		return err
	}
	return nil
}

// startWriting has the kernel begin to write a part of a file to the disk, so that a later sync has less to wait for.
func startWriting(f *os.File, from, size int64) {
	unix.SyncFileRange(int(f.Fd()), from, size, unix.SYNC_FILE_RANGE_WRITE) // what goes wrong, the sync tells
}

// allocated returns how many bytes of the disk a file holds.
func allocated(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512
	}
	return info.Size()
}
