//go:build unix

package bench

import (
	"io/fs"
	"syscall"
)

// onDisk is what a file takes on disk; those of the store have holes.
func onDisk(info fs.FileInfo) int64 { return int64(info.Sys().(*syscall.Stat_t).Blocks) * 512 }
