package sinks

import (
	"net"
	"strconv"
	"sync"
	"testing"
)

// cutter is a TCP relay in front of a receiver. It counts what clients send on each connection, and does
// something to one byte of it.
type cutter struct {
	listener net.Listener
	to       string
	handlers sync.WaitGroup

	mu    sync.Mutex
	reset int // reset the connection instead of passing on the byte at this place; below 0: never
	flip  int // change the byte at this place; below 0: never
	sent  int // by the client of the last connection
	conns map[*net.TCPConn]bool
}

// newCutter relays from address to the receiver.
func newCutter(t testing.TB, address, to string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, to: to, reset: -1, flip: -1, conns: map[*net.TCPConn]bool{}}
	c.handlers.Go(c.accept)
	t.Cleanup(func() {
		listener.Close()
		c.mu.Lock()
		for conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		c.handlers.Wait()
	})
	return c
}

func (c *cutter) port() int { return c.listener.Addr().(*net.TCPAddr).Port }

// at says what happens to connections from now on.
func (c *cutter) at(reset, flip int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset, c.flip, c.sent = reset, flip, 0
}

func (c *cutter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

func (c *cutter) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.handlers.Go(func() { c.relay(conn.(*net.TCPConn)) })
	}
}

func (c *cutter) relay(client *net.TCPConn) {
	defer client.Close()
	conn, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	c.mu.Lock()
	c.conns[client], c.conns[server] = true, true
	reset, flip := c.reset, c.flip
	c.mu.Unlock()
	back := make(chan struct{})
	go func() {
		defer close(back)
		pass(server, client)
	}()
	buf := make([]byte, 4<<10)
	for total := 0; ; {
		room := len(buf)
		if reset >= 0 {
			room = min(room, reset-total)
		}
		if room == 0 { // the moment has come when there is another byte, or the end
			_, _ = client.Read(buf[:1])
			_ = client.SetLinger(0)
			_ = server.SetLinger(0)
			break
		}
		n, err := client.Read(buf[:room])
		if at := flip - total; flip >= 0 && at >= 0 && at < n {
			buf[at] ^= 0x55
		}
		total += n
		c.mu.Lock()
		c.sent = total
		c.mu.Unlock()
		if _, werr := server.Write(buf[:n]); werr != nil && err == nil {
			err = werr
		}
		if err != nil {
			_ = server.CloseWrite()
			<-back
			break
		}
	}
	client.Close()
	server.Close()
	<-back
}

// pass relays the other way.
func pass(from, to *net.TCPConn) {
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if _, werr := to.Write(buf[:n]); werr != nil {
			return
		}
		if err != nil {
			_ = to.CloseWrite()
			return
		}
	}
}

func addressOf(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
