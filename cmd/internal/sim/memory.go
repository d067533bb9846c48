package sim

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
)

// Transport returns a client's side of the service that needs no sockets, so that it also works inside a bubble of
// testing/synctest. It speaks real HTTP/1.1 over pipes, so faults look as they do on a network. Every host name and port reaches
// the service; https does too, without TLS. It does not unzip. Stop it, in the bubble, before the bubble ends.
func (m *Microsoft) Transport() (t *http.Transport, stop func()) {
	l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: m, ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, secureKey{}, c.(*memoryConn).secure)
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with an error, when it is closed
	}()
	dial := func(secure bool) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx, secure) }
	}
	t = &http.Transport{DialContext: dial(false), DialTLSContext: dial(true), DisableCompression: true, MaxIdleConnsPerHost: 8}
	return t, func() {
		t.CloseIdleConnections()
		_ = server.Close()
		<-done
	}
}

// secureKey is the context key of whether the client asked for https.
type secureKey struct{}

// base is the scheme and host the client used.
func base(r *http.Request) string {
	if secure, _ := r.Context().Value(secureKey{}).(bool); secure || r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// memoryListener hands pipes to a server.
type memoryListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memoryListener) dial(ctx context.Context, secure bool) (net.Conn, error) {
	client, server := net.Pipe()
	reset := &atomic.Bool{}
	select {
	case l.conns <- &memoryConn{server, reset, secure}:
		return &memoryConn{client, reset, secure}, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "microsoft" }

// memoryConn is one end of a pipe that can also end as a connection that is reset.
type memoryConn struct {
	net.Conn
	broken *atomic.Bool // shared by both ends
	secure bool
}

func (c *memoryConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && c.broken.Load() {
		err = &net.OpError{Op: "read", Net: "memory", Err: syscall.ECONNRESET}
	}
	return n, err
}

// reset ends the connection so that the other end finds it reset.
func (c *memoryConn) reset() {
	c.broken.Store(true)
	_ = c.Close()
}
