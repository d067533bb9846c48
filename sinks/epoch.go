package sinks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"starling/engine"
)

const (
	// Frames are gathered so that TLS records, which carry up to 16 KiB, are full but for the last.
	bufferSize     = 128 << 10
	writeTimeout   = 30 * time.Second
	confirmTimeout = 10 * time.Second
)

// epochs delivers frames over TCP, with or without TLS. Syslog has no acknowledgement, and a write
// that went well says only that this machine's kernel took the bytes. So each epoch has a connection
// of its own, and the end of the connection is the acknowledgement: Flush half-closes it and waits
// for the receiver to close its side. A receiver does that when it has read to the end; one that
// dies, or closes with bytes unread, makes its kernel send a reset instead.
//
// This proves that whoever ends the connection has read everything: the receiver, or a balancer in
// front of it. Nothing a sender can see proves more.
//
// For receivers that never answer there is the window instead: see there, and at Settle.
type epochs struct {
	target
	config  func() *tls.Config              // the present one; returns nil for plain TCP
	explain func(error) (text, hint string) // puts an error into words; no hint if nobody knows one

	patience time.Duration // how long to wait for the receiver's end
	timeout  time.Duration // how long one write may take
	lifetime lifetime

	confirmation confirmation
	window       window
	confirmed    uint64 // epochs

	frames   framer
	maxEvent maxEvent
	zip      zipper
	buf      []byte // what is written next
	events   int    // since the last successful Flush
	link     *link
	spare    *spare
}

// Send frames events and writes them when there are enough for a write, always whole frames: a
// receiver may take what an interrupted write leaves of one for an event.
func (s *epochs) Send(ctx context.Context, events []engine.Event) error {
	if ctx.Err() != nil {
		return s.failed(ctx, context.Cause(ctx))
	}
	if err := s.begin(ctx); err != nil {
		return s.failed(ctx, err)
	}
	for i := range events {
		if err := s.add(ctx, &events[i]); err != nil {
			return s.failed(ctx, err)
		}
		if len(s.buf) < bufferSize {
			continue
		}
		if err := s.put(ctx); err != nil {
			return s.failed(ctx, err)
		}
		// The next epoch will need a connection soon: there is more than one write of this one.
		if s.spare == nil && !s.confirmation.windowed() {
			s.spare = newSpare(s.dial, s.lifetime.idle)
		}
	}
	return nil
}

// CopiesEvents says that frames are made of events at once.
func (s *epochs) CopiesEvents() {}

// begin ends a connection that has lasted over epochs, if it is over or to be renewed.
func (s *epochs) begin(ctx context.Context) error {
	if s.events > 0 {
		return nil
	}
	s.zip.begin()
	switch {
	case s.link == nil:
	case len(s.window.epochs) == 0 && s.link.isOver():
		s.reset((*link).close)
	case s.link.config != s.config() || s.lifetime.over(s.link):
		return s.settle(ctx)
	}
	return nil
}

// add makes a frame of e.
func (s *epochs) add(ctx context.Context, e *engine.Event) error {
	into := &s.buf
	if s.zip.on {
		into = &s.zip.frames
	}
	before := len(*into)
	*into = s.frames.append(*into, e)
	if err := s.maxEvent.check(len(*into)-before, e, s.events); err != nil {
		return err
	}
	s.events++
	if len(s.zip.frames) > s.zip.size {
		s.buf = s.zip.flush(s.buf)
		return context.Cause(ctx) // what compresses well may not be written for long
	}
	return nil
}

// Load notes how full the outbox is, which the threshold of gzip goes by.
func (s *epochs) Load(share float64) { s.zip.load = share }

// Flush ends the connection and returns nil when the receiver has ended it too, having read it all. With
// the window the connection goes on, and the epoch is confirmed later.
func (s *epochs) Flush(ctx context.Context) error {
	if s.events == 0 {
		return nil
	}
	if s.confirmation.windowed() {
		return s.hand(ctx)
	}
	if err := s.end(ctx); err != nil {
		return s.failed(ctx, err)
	}
	s.confirmed++
	s.reset((*link).close)
	return nil
}

// hand writes what is left of the epoch.
func (s *epochs) hand(ctx context.Context) error {
	if err := s.putRest(ctx); err != nil {
		return s.failed(ctx, err)
	}
	if s.link.isOver() {
		return s.failed(ctx, errEarly)
	}
	s.window.epochs = append(s.window.epochs, handed{end: s.link.wire.sent.Load()})
	s.events = 0
	s.confirm()
	return nil
}

func (s *epochs) confirm() {
	if s.link != nil {
		bytes, room := taken(s.link.tcp, s.link.wire.sent.Load())
		s.confirmed += s.window.confirm(bytes, room, time.Now())
	}
}

// Confirmed returns how many epochs the receiver has.
func (s *epochs) Confirmed() uint64 { return s.confirmed }

// Settle ends the connection that is open with the window. The receiver's own end confirms all of it;
// without that, it must go on for the window's age after the receiver's kernel has taken everything.
func (s *epochs) Settle(ctx context.Context) error {
	if s.link == nil {
		return nil
	}
	if err := s.settle(ctx); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

func (s *epochs) settle(ctx context.Context) error {
	if err := s.finish(ctx, s.window.age); err != nil && !(errors.Is(err, errNoAnswer) && queued(s.link.tcp) == 0) {
		return err
	}
	s.confirmed += s.window.settle()
	s.reset((*link).close)
	return nil
}

func (s *epochs) end(ctx context.Context) error {
	if err := s.putRest(ctx); err != nil {
		return err
	}
	err := s.finish(ctx, s.patience)
	if errors.Is(err, errNoAnswer) && queued(s.link.tcp) == 0 {
		s.confirmation.unanswered()
	}
	return err
}

// finish ends the connection and waits for the receiver's end, for patience.
func (s *epochs) finish(ctx context.Context, patience time.Duration) error {
	if s.link.isOver() {
		// It did not end because of what follows, so it says nothing about what was read.
		return errEarly
	}
	if err := s.link.closeWrite(ctx, s.timeout); err != nil {
		return err
	}
	if err := s.link.answer(ctx, patience); err != nil {
		return err
	}
	return s.confirmation.judge(s.link.err)
}

// putRest leaves nothing of the epoch in a buffer.
func (s *epochs) putRest(ctx context.Context) error {
	s.buf = s.zip.flush(s.buf)
	return s.put(ctx)
}

// put writes the buffer, on a new connection if there is none.
func (s *epochs) put(ctx context.Context) error {
	if s.link == nil {
		link, err := s.connect(ctx)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		s.link = link
	}
	err := s.link.write(ctx, s.timeout, s.buf)
	s.buf = s.buf[:0]
	return err
}

func (s *epochs) connect(ctx context.Context) (*link, error) {
	if s.spare != nil {
		link := s.spare.take(ctx)
		s.spare = nil
		if link != nil {
			if !link.isOver() && link.config == s.config() {
				return link, nil
			}
			link.close()
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return s.dial(ctx)
}

func (s *epochs) dial(ctx context.Context) (*link, error) {
	return dialTCP(ctx, s.target, s.config(), drain)
}

// reset forgets the epoch and ends its connection.
func (s *epochs) reset(end func(*link)) {
	if s.link != nil {
		end(s.link)
		s.link = nil
	}
	s.buf, s.zip.frames, s.events = s.buf[:0], s.zip.frames[:0], 0
}

// forget drops what is not confirmed. It drops the spare too: what happened to one connection may have
// happened to the other.
func (s *epochs) forget() {
	s.dropSpare()
	s.confirm()
	s.window.settle()
}

// failed drops the epoch and says why it failed, in words for the person who reads the log.
func (s *epochs) failed(ctx context.Context, err error) error {
	s.forget()
	if ctx.Err() != nil {
		s.reset((*link).close)
		return &engine.Error{Code: engine.CodeCanceled, Op: s.op, Err: context.Cause(ctx)}
	}
	if s.link != nil {
		err = s.link.reason(err)
	}
	s.reset((*link).abort)
	text, hint := s.explain(err)
	if text != "" {
		err = fmt.Errorf("%s: %w", text, err)
	}
	return &engine.Error{Code: engine.CodeSink, Op: s.op, Hint: hint, Err: err}
}

// Close ends the connections.
func (s *epochs) Close() error {
	s.reset((*link).close)
	s.dropSpare()
	return nil
}

func (s *epochs) dropSpare() {
	if s.spare != nil {
		s.spare.drop()
		s.spare = nil
	}
}

// explainNetwork explains what any connection may end with.
func explainNetwork(err error) (text, hint string) {
	switch {
	case errors.Is(err, errNoAnswer), errors.Is(err, errNoReply):
		return "", "if the receiver is slow, raise confirm_timeout"
	case errors.Is(err, errUnread), errors.Is(err, errEarly), errors.Is(err, errServerClose):
		return "", ""
	case errors.Is(err, errNotRelp):
		return "", "check address and port; for frames without RELP use an output of type syslog"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the receiver broke the connection", ""
	case errors.Is(err, syscall.ETIMEDOUT):
		return "the receiver's machine does not answer", ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there", "check address and port"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the receiver takes no bytes", ""
	}
	return "", ""
}
