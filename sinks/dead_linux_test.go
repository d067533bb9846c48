package sinks

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/engine"
	"starling/sinks/sinktest"
)

// The machine of a receiver is gone without a packet: its kernel drops all that comes and says nothing,
// by a filter on the socket. Whoever sends to it must notice in about 30 s.
func TestVanishedReceiver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, kind string
		values     map[string]any
		flush      bool // the epoch ends, so that the answer is what is missing
	}{
		{name: "syslog within an epoch", kind: "syslog"},
		{name: "syslog at the end of an epoch", kind: "syslog", flush: true, values: map[string]any{"confirm_timeout": 300}},
		{name: "window", kind: "syslog", flush: true, values: map[string]any{"confirmation": "window", "replay_age": 300}},
		{name: "relp", kind: "relp", flush: true, values: map[string]any{"type": "TCP", "confirm_timeout": 300}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			quiet := net.ListenConfig{KeepAlive: -1}
			listener, err := quiet.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			accepted := make(chan *net.TCPConn, 1)
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				tcp := conn.(*net.TCPConn)
				if c.kind == "relp" {
					_, _ = tcp.Read(make([]byte, 1000))
					_, _ = io.WriteString(tcp, "1 rsp 6 200 OK\n")
				}
				accepted <- tcp
			}()
			host, port, _ := net.SplitHostPort(listener.Addr().String())
			number, _ := strconv.Atoi(port)
			values := map[string]any{"address": host, "port": number}
			for key, value := range c.values {
				values[key] = value
			}
			sink := open(t, c.kind, "", values)
			connect(t, sink)
			tcp := <-accepted
			defer tcp.Close()
			vanish(t, tcp)

			begun := time.Now()
			if c.flush {
				err = offer(t.Context(), sink, sinktest.Events(0, 10))
			}
			for err == nil && time.Since(begun) < 2*time.Minute {
				err = sink.Send(t.Context(), sinktest.Events(0, 2000)) // until the kernel takes no more
			}
			took := time.Since(begun).Round(100 * time.Millisecond)
			if err == nil || took > time.Minute { // far more than it takes, for a machine that has much to do
				t.Errorf("got %v after %s", err, took)
			}
			if c.flush && !strings.Contains(err.Error(), "the receiver's machine does not answer") {
				t.Errorf("got %v", err)
			}
			t.Logf("noticed after %s: %v", took, err)
		})
	}
}

// connect makes the connection that the sink will use.
func connect(t *testing.T, sink engine.Sink) {
	t.Helper()
	var err error
	switch s := sink.(type) {
	case *epochs:
		s.link, err = s.dial(t.Context())
	case *relp:
		err = s.begin(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// vanish drops every packet that comes for the connection: a filter of one instruction, return 0 bytes.
func vanish(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	err := withSocket(conn, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
	})
	if err != nil {
		t.Fatal(err)
	}
}
