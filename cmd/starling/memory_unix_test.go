//go:build unix

package main

import (
	"os"
	"syscall"
)

// mostMemory is the most memory that a process had that has ended, in MiB, where the system counts in KiB.
func mostMemory(p *os.ProcessState) int64 { return int64(p.SysUsage().(*syscall.Rusage).Maxrss) >> 10 }
