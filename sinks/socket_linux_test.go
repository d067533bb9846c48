package sinks

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/sinks/sinktest"
)

// A peer that vanishes must be noticed within about 30 s, whether or not bytes are on their way. To
// make one vanish takes root; what the kernel was told can be read by anybody.
func TestDeadPeersAreNoticed(t *testing.T) {
	t.Parallel()
	l, err := openSyslog(t, sinktest.NewReceiver(t, nil, false)).dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, c := range []struct {
		name                string
		level, option, want int
	}{
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30_000},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 10},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 10},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
	} {
		var got int
		err := withSocket(l.tcp, func(fd int) (err error) {
			got, err = unix.GetsockoptInt(fd, c.level, c.option)
			return err
		})
		if err != nil || got != c.want {
			t.Errorf("%s: got %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}

// A receiver can end its side while bytes, and our own end, are still on their way to it.
func TestEndThatCrossesOursIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l, err := dialTCP(t.Context(), target{address: listener.Addr().String(), dialer: newDialer()}, nil, drain)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer := conn.(*net.TCPConn)
	// More than both kernels take, so that the end stays behind it in ours.
	if err := l.write(t.Context(), 300*time.Millisecond, make([]byte, 256<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a full buffer", err)
	}
	if err := errors.Join(l.closeWrite(t.Context(), writeTimeout), peer.CloseWrite()); err != nil {
		t.Fatal(err)
	}
	if err := l.answer(t.Context(), confirmTimeout); !errors.Is(err, errUnread) {
		t.Errorf("got %v with %d bytes that the peer's kernel has not taken", err, queued(l.tcp))
	}
}

// crypto/tls would give up on close_notify after 5 s, which is too early behind a slow receiver.
func TestCloseNotifyHasTheTimeOfAWrite(t *testing.T) {
	t.Parallel()
	l, err := newDevoSide(t, devoServer, false).open(t, nil).dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.stream.(*tls.Conn).SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.stream.Write(lineFeed); err != nil {
		t.Errorf("a deadline of the TLS layer counts: %v", err)
	}
}
