package sinks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	connectTimeout = 10 * time.Second
	// A receiver that says it is done closes its socket at once; this is how long the segment that
	// says whether it did so in order may take.
	closingTimeout = 2 * time.Second
)

// newDialer returns one whose connections notice a dead peer in about 30 s; with Go's defaults it takes
// 150 s and more.
func newDialer() *net.Dialer {
	return &net.Dialer{
		Timeout: connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 10 * time.Second, Interval: 10 * time.Second, Count: 3,
		},
		Control: setUserTimeout,
	}
}

// link is one connection to a receiver, over TLS or not. A goroutine reads from it until it ends, to
// know how.
type link struct {
	tcp    *net.TCPConn
	stream interface {
		io.ReadWriter
		CloseWrite() error
	}
	wire   *wire       // below TLS, or the stream itself
	config *tls.Config // what it was made with
	made   time.Time
	used   time.Time // when something was written

	over  chan struct{} // closed when the receiver's stream is over, for good or bad
	ended chan struct{} // closed when it is also known how the connection ended
	err   error         // how; read it after ended
}

// dialTCP connects to t, whose name is resolved anew each time, and starts TLS with config unless that is nil. What the
// receiver says is for listen, which returns when the stream has ended, and why; if it returns earlier,
// the connection is over as far as we are concerned.
func dialTCP(ctx context.Context, t target, config *tls.Config, listen func(io.Reader) error) (*link, error) {
	conn, err := t.dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	now := time.Now()
	l := &link{tcp: tcp, wire: &wire{TCPConn: tcp}, config: config, made: now, used: now, over: make(chan struct{}), ended: make(chan struct{})}
	l.stream = l.wire
	if config != nil {
		secure := tls.Client(l.wire, config)
		ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errHandshake)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			tcp.Close()
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
		l.stream = secure
	}
	go l.read(listen)
	return l, nil
}

var errHandshake = fmt.Errorf("no end of the TLS handshake within %s", connectTimeout)

// wire is the TCP connection as crypto/tls sees it. That writes each record by itself, of 16 KiB; wire
// gathers those of one call into one write, which saves 7 % of the processor time of both ends.
type wire struct {
	*net.TCPConn
	eof  atomic.Bool  // the peer's FIN was read
	sent atomic.Int64 // bytes written

	mu      sync.Mutex // the goroutine that reads may write too: answers of TLS
	gathers bool
	held    []byte
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gathers {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	return w.put(p)
}

func (w *wire) put(p []byte) (int, error) {
	n, err := w.TCPConn.Write(p)
	w.sent.Add(int64(n))
	return n, err
}

// gather has b written through TLS, and then writes all records at once.
func (w *wire) gather(b []byte, through io.Writer) error {
	w.mu.Lock()
	w.gathers = true
	w.held = slices.Grow(w.held, len(b)+len(b)/64+64) // with what is around each 16 KiB
	w.mu.Unlock()
	_, err := through.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathers = false
	if err == nil && len(w.held) > 0 {
		_, err = w.put(w.held)
	}
	w.held = w.held[:0]
	return err
}

// Read notes the end of the stream, for crypto/tls does not tell it from a close_notify: it returns
// io.EOF for both, if the end falls between two records.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.TCPConn.Read(p)
	if err == io.EOF {
		w.eof.Store(true)
	}
	return n, err
}

// SetWriteDeadline ignores the 5 seconds that crypto/tls allows for close_notify: behind megabytes
// that a slow receiver has yet to take, it needs longer. Deadlines are set on the TCP connection.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

var (
	errBareFIN = errors.New("the receiver ended the connection without TLS's close_notify")
	errEarly   = errors.New("the receiver closed the connection by itself")
	errUnread  = errors.New("the receiver closed the connection without having read everything")
)

func (l *link) read(listen func(io.Reader) error) {
	defer close(l.ended)
	l.err = listen(l.stream)
	close(l.over)
	if l.config == nil {
		return
	}
	if (l.err == io.EOF && l.wire.eof.Load()) || errors.Is(l.err, io.ErrUnexpectedEOF) {
		l.err = errBareFIN
	}
	if l.err != io.EOF {
		return
	}
	// A program that stops in good order says close_notify even when it leaves bytes unread; but
	// then its kernel sends a reset, not a FIN.
	l.tcp.SetReadDeadline(time.Now().Add(closingTimeout))
	if err := drain(l.tcp); err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.err = fmt.Errorf("%w: %w", errUnread, err)
	}
}

// reason returns why the receiver hung up, if it did: better than the broken pipe which that causes.
func (l *link) reason(err error) error {
	if !hungUp(err) {
		return err
	}
	select {
	case <-l.ended:
	case <-time.After(time.Second):
		return err
	}
	if l.err == io.EOF {
		return errEarly
	}
	return l.err
}

func hungUp(err error) bool {
	return errors.Is(err, errEarly) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ENOTCONN)
}

// isOver reports whether the receiver has ended its side, or the connection broke.
func (l *link) isOver() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// drain reads until an error, which it returns: receivers of syslog have nothing to say.
func drain(r io.Reader) error {
	var buf [512]byte
	for {
		if _, err := r.Read(buf[:]); err != nil {
			return err
		}
	}
}

// write writes b, within timeout and before ctx ends.
func (l *link) write(ctx context.Context, timeout time.Duration, b []byte) error {
	l.used = time.Now()
	return l.bounded(ctx, timeout, func() error {
		if l.config == nil {
			_, err := l.stream.Write(b)
			return err
		}
		return l.wire.gather(b, l.stream)
	})
}

// closeWrite says that nothing more will come: close_notify, if there is TLS, and FIN.
func (l *link) closeWrite(ctx context.Context, timeout time.Duration) error {
	return l.bounded(ctx, timeout, func() error {
		if err := l.stream.CloseWrite(); err != nil || l.config == nil {
			return err
		}
		return l.tcp.CloseWrite()
	})
}

func (l *link) bounded(ctx context.Context, timeout time.Duration, f func() error) error {
	l.tcp.SetWriteDeadline(time.Now().Add(timeout))
	stop := context.AfterFunc(ctx, func() { l.tcp.SetWriteDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// answer waits for the receiver's end of the connection. A nil says that it ended in good order, having
// taken all bytes; l.err says then whether with a close_notify. It waits for patience, and again for as
// long as the receiver's side goes on taking bytes from ours.
func (l *link) answer(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for before := queued(l.tcp); ; {
		select {
		case <-l.ended:
			if l.err != io.EOF && l.err != errBareFIN {
				return l.err
			}
			return settled(l.tcp)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			now := queued(l.tcp)
			if now >= before {
				return fmt.Errorf("%w within %s", errNoAnswer, patience)
			}
			before = now
			timer.Reset(patience)
		}
	}
}

var errNoAnswer = errors.New("the receiver did not answer the end of the connection")

// close closes the connection and waits for its goroutine. What was written is still on its way.
func (l *link) close() {
	l.tcp.Close()
	<-l.ended
}

// abort closes the connection with a reset, so that nothing of it arrives later than what is offered
// again on the next.
func (l *link) abort() {
	l.tcp.SetLinger(0)
	l.close()
}
