package sim

import (
	"net"
	"sync"
	"time"
)

// gate is a connection below TLS whose reads the receiver can hold back.
type gate struct {
	net.Conn
	devo *Devo
	once sync.Once
	dead chan struct{} // closed by reset, to wake a read that is held back
}

// Read hands on what it read once the receiver is not paused, so that nothing more is taken from the sender in the meantime.
func (g *gate) Read(p []byte) (int, error) {
	g.devo.mu.Lock()
	delay := g.devo.delay
	g.devo.mu.Unlock()
	if delay > 0 {
		p = p[:min(len(p), 4<<10)]
		select {
		case <-time.After(delay):
		case <-g.dead:
			return 0, net.ErrClosed
		}
	}
	n, err := g.Conn.Read(p)
	g.devo.mu.Lock()
	paused := g.devo.paused
	g.devo.mu.Unlock()
	if paused == nil {
		return n, err
	}
	select {
	case <-paused:
		return n, err
	case <-g.dead:
		return 0, net.ErrClosed
	}
}

// reset ends the connection with an RST instead of an orderly end.
func (g *gate) reset() {
	g.once.Do(func() {
		close(g.dead)
		if tcp, ok := g.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // only an orderly end would follow
		}
		_ = g.Conn.Close()
	})
}
