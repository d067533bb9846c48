package sinktest

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Fault is what a Receiver does wrong. The zero Fault is a receiver in order: it reads to the end
// and then ends its side of the connection.
type Fault struct {
	// ResetAt resets a connection when this many bytes of it have been read.
	ResetAt int
	// CloseAt closes a connection, in good order, when this many bytes of it have been read.
	CloseAt int
	// Mute reads nothing more.
	Mute bool
	// Hangup reads nothing more and yet says that it has read everything: close_notify and FIN.
	Hangup bool
	// Leave closes in good order a connection of which it has read some and not all.
	Leave bool
	// Silent reads everything and does not answer the end, nor anything of RELP.
	Silent bool
	// BareFIN ends without TLS's close_notify.
	BareFIN bool
	// Refuse answers with an error every event of RELP that has this text, and does not keep it.
	Refuse string
	// ServerClose ends a session of RELP, in good order, when it has this many events.
	ServerClose int
	// Forget keeps no frames: no fault, but what a benchmark needs.
	Forget bool
	// Pause is waited between two reads, of at most 4 KiB then.
	Pause time.Duration
	// Trickle reads one byte at a time.
	Trickle bool
}

// A Receiver takes frames over TCP or TLS, like Devo's platform or a relay. Where a frame may begin, a
// gzip member of frames may too.
type Receiver struct {
	listener net.Listener
	config   *tls.Config
	counted  bool
	relp     bool
	handlers sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	fault    Fault
	closed   bool
	open     map[*net.TCPConn]bool
	accepted int
	subjects []string
	frames   []string
	members  int
}

// NewReceiver starts a receiver on loopback that ends with the test. A nil config means plain TCP;
// counted means octet counting.
func NewReceiver(t testing.TB, config *tls.Config, counted bool) *Receiver {
	t.Helper()
	return start(t, &Receiver{config: config, counted: counted})
}

// NewRelpReceiver starts a receiver of RELP in the same way. It answers an event after it has kept it.
func NewRelpReceiver(t testing.TB, config *tls.Config) *Receiver {
	t.Helper()
	return start(t, &Receiver{config: config, relp: true})
}

func start(t testing.TB, r *Receiver) *Receiver {
	t.Helper()
	var err error
	r.listener, err = net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	r.open = map[*net.TCPConn]bool{}
	r.changed = sync.NewCond(&r.mu)
	r.handlers.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// Address returns host and port.
func (r *Receiver) Address() (host string, port int) {
	at := r.listener.Addr().(*net.TCPAddr)
	return at.IP.String(), at.Port
}

// Frames returns the complete frames read so far, in order, without line ends or counts.
func (r *Receiver) Frames() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames)
}

// Members returns how many gzip members have come.
func (r *Receiver) Members() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members
}

// Bodies returns the bodies of Frames.
func (r *Receiver) Bodies() []string {
	bodies := r.Frames()
	for i, frame := range bodies {
		_, bodies[i], _ = strings.Cut(frame, ": ")
	}
	return bodies
}

// Subjects returns the common names of the client certificates seen, one per handshake.
func (r *Receiver) Subjects() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.subjects)
}

// Connections returns how many connections have been accepted.
func (r *Receiver) Connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}

// Open returns how many connections are open.
func (r *Receiver) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// Break makes the receiver misbehave from now on, on every connection.
func (r *Receiver) Break(fault Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = fault
	r.changed.Broadcast()
}

// CloseOpen closes every connection that is open: in good order, as a server does that has had nothing to
// read, or with a reset.
func (r *Receiver) CloseOpen(orderly bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tcp := range r.open {
		if orderly {
			_ = tcp.CloseWrite()
		} else {
			reset(tcp)
		}
	}
}

// Mend ends the fault and resets every connection that saw it.
func (r *Receiver) Mend() { r.Break(Fault{}) }

func (r *Receiver) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		tcp := conn.(*net.TCPConn)
		r.mu.Lock()
		closed := r.closed
		r.accepted++
		r.open[tcp] = true
		r.mu.Unlock()
		if closed {
			tcp.Close()
			return
		}
		r.handlers.Go(func() {
			r.serve(tcp)
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.open, tcp)
		})
	}
}

func (r *Receiver) serve(tcp *net.TCPConn) {
	defer tcp.Close()
	var conn net.Conn = tcp
	noted := &endNoter{Conn: tcp}
	if r.config != nil {
		secure := tls.Server(noted, r.config)
		if secure.Handshake() != nil {
			return
		}
		r.noteClient(secure.ConnectionState())
		conn = secure
	}
	buf := make([]byte, 64<<10)
	var pending []byte
	relp := relpSession{Receiver: r, conn: conn}
	for total := 0; ; {
		f, into := r.current(), buf
		switch {
		case f.ResetAt > 0 && total >= f.ResetAt:
			reset(tcp)
			return
		case (f.CloseAt > 0 && total >= f.CloseAt) || (f.Leave && total > 0):
			conn.Close()
			return
		case f.Mute || f.Hangup:
			if f.Hangup {
				closeWrite(conn, tcp)
			}
			r.waitForMend(tcp)
			return
		case f.Pause > 0:
			time.Sleep(f.Pause)
			into = buf[:4<<10]
			if f.Trickle {
				into = buf[:1]
			}
		}
		n, err := conn.Read(into)
		total += n
		if r.relp {
			if pending = relp.take(append(pending, buf[:n]...)); relp.ended {
				return
			}
		} else if !f.Forget {
			pending = r.take(append(pending, buf[:n]...))
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) && !noted.ended {
			r.end(conn, tcp)
		} else {
			reset(tcp) // a stream that was cut off; nobody must take that for an answer
		}
		return
	}
}

func (r *Receiver) noteClient(state tls.ConnectionState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(state.PeerCertificates) > 0 {
		r.subjects = append(r.subjects, state.PeerCertificates[0].Subject.CommonName)
	}
}

func (r *Receiver) end(conn net.Conn, tcp *net.TCPConn) {
	switch f := r.current(); {
	case f.Silent:
		r.waitForMend(tcp)
	case f.BareFIN:
		tcp.Close()
	default:
		conn.Close()
	}
}

func (r *Receiver) current() Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault
}

// waitForMend waits until the fault is another, and resets the connection then.
func (r *Receiver) waitForMend(tcp *net.TCPConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for before := r.fault; r.fault == before && !r.closed; {
		r.changed.Wait()
	}
	reset(tcp)
}

// take adds the complete frames of b to those received, and returns the rest.
func (r *Receiver) take(b []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if b = r.takeFrames(b); len(b) == 0 || b[0] != gzipID {
			return b
		}
		frames, rest, ok := r.inflate(b)
		if !ok {
			return b
		}
		r.members++
		if torn := r.takeFrames(frames); len(torn) > 0 {
			r.frames = append(r.frames, fmt.Sprintf("a member ends within a frame: %q", torn))
		}
		b = rest
	}
}

// takeFrames takes the complete frames in front of b, and returns the rest.
func (r *Receiver) takeFrames(b []byte) []byte {
	for len(b) > 0 && b[0] != gzipID {
		frame, rest, ok := r.cut(b)
		if !ok {
			return b
		}
		r.frames = append(r.frames, strings.TrimSuffix(string(frame), "\n"))
		b = rest
	}
	return b
}

// gzipID is the first byte of a gzip member, and of no frame.
const gzipID = 0x1f

// inflate returns what the first member of b holds, if b has all of it.
func (r *Receiver) inflate(b []byte) (frames, rest []byte, ok bool) {
	from := bytes.NewReader(b) // it is left at the end of the member
	z, err := gzip.NewReader(from)
	if err == nil {
		z.Multistream(false)
		frames, err = io.ReadAll(z)
	}
	switch {
	case err == nil:
		return frames, b[len(b)-from.Len():], true
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, b, false
	}
	r.frames = append(r.frames, "a member is damaged: "+err.Error())
	return nil, nil, true
}

func (r *Receiver) cut(b []byte) (frame, rest []byte, ok bool) {
	if !r.counted {
		return bytes.Cut(b, []byte("\n"))
	}
	digits, rest, ok := bytes.Cut(b, []byte(" "))
	n, err := strconv.Atoi(string(digits))
	if !ok || err != nil || n > len(rest) {
		return nil, b, false
	}
	return rest[:n], rest[n:], true
}

func (r *Receiver) close() {
	r.listener.Close()
	r.mu.Lock()
	r.closed = true
	r.changed.Broadcast()
	for tcp := range r.open {
		tcp.Close()
	}
	r.mu.Unlock()
	r.handlers.Wait()
}

// endNoter notes that the end of the stream was reached. Below TLS this means that there was no
// close_notify, after which nothing is read.
type endNoter struct {
	net.Conn
	ended bool
}

func (e *endNoter) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	e.ended = e.ended || err == io.EOF
	return n, err
}

func closeWrite(conn net.Conn, tcp *net.TCPConn) {
	if secure, ok := conn.(*tls.Conn); ok {
		_ = secure.CloseWrite()
	}
	_ = tcp.CloseWrite()
}

func reset(tcp *net.TCPConn) {
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
}
