//go:build !linux

package sinks

import (
	"net"
	"syscall"
)

// Elsewhere than on Linux the system's own time limits hold, and how a connection ended is known from
// reading alone.

func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }

func queued(*net.TCPConn) int { return 0 }

// taken knows no better than that all was taken that was written.
func taken(_ *net.TCPConn, written int64) (bytes, room int64) { return written, 0 }

func settled(*net.TCPConn) error { return nil }
