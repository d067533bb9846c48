package sinks

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds how long written bytes may stay unacknowledged by the peer's kernel
// (TCP_USER_TIMEOUT, tcp(7)); without it a vanished peer goes unnoticed for 15 minutes.
func setUserTimeout(_, _ string, raw syscall.RawConn) error {
	return onSocket(raw, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30_000)
	})
}

// queued returns how many written bytes the peer's kernel has not acknowledged, or 0 if unknown.
func queued(conn *net.TCPConn) (n int) {
	_ = withSocket(conn, func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	return n
}

// taken returns how many of the bytes written the peer's kernel has acknowledged, also after the
// connection broke, and the largest window that it offers at present: what it has room for, unread.
func taken(conn *net.TCPConn, _ int64) (bytes, room int64) {
	_ = withSocket(conn, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.Bytes_acked > 0 {
			bytes, room = int64(info.Bytes_acked)-1, int64(info.Snd_wnd) // the first counts SYN
		}
		return err
	})
	return bytes, room
}

// tcpClosing is TCP_CLOSING of Linux's net/tcp_states.h: both sides have sent FIN, ours is not
// acknowledged.
const tcpClosing = 11

// settled returns nil if the peer's kernel had all our bytes, FIN included, when the peer ended the
// connection. Where it had not, the peer hung up by itself while bytes were on their way.
func settled(conn *net.TCPConn) error {
	return withSocket(conn, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		if info.State == tcpClosing {
			return errUnread
		}
		errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = fmt.Errorf("%w: %w", errUnread, syscall.Errno(errno))
		}
		return err
	})
}

func withSocket(conn *net.TCPConn, f func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return onSocket(raw, f)
}

func onSocket(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if outer := raw.Control(func(fd uintptr) { err = f(int(fd)) }); outer != nil {
		return outer
	}
	return err
}
