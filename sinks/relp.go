package sinks

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"starling/engine"
)

// relp sends over RELP, where the receiver answers every event. An event is acknowledged by its answer
// and by nothing else, so a session goes on over many epochs.
type relp struct {
	target
	config   func() *tls.Config // the present one; returns nil for plain TCP
	explain  func(error) (text, hint string)
	patience time.Duration // how long to wait for the next answer
	lifetime lifetime
	window   int

	frames   framer
	maxEvent maxEvent
	frame    []byte
	buf      []byte
	events   int // since the last successful Flush
	session  *session
}

// secureRelp is relp over TLS.
type secureRelp struct {
	*relp
	*credential
}

var (
	_ engine.Sink     = (*relp)(nil)
	_ engine.Sink     = (*secureRelp)(nil)
	_ engine.Reloader = (*secureRelp)(nil)
	_ engine.Expirer  = (*secureRelp)(nil)
)

// newRelp makes a sink of the type relp: RELP, in which the receiver answers every event, to rsyslog for
// one (imrelp). Its keys:
//
//	address          host name or IP address
//	port             1 to 65535
//	type             SSL or TCP; TCP has no encryption (SSL)
//	chain, cert,     for SSL: the files of certificates, as for devo_platform
//	key, verify
//	hostname         HOST in the header of events whose table names none (this machine's name)
//	max_event_bytes  as for syslog
//	window           events that may wait for their answers at a time, 1 to 100000 (128)
//	confirm_timeout  seconds to wait for the next answer (30)
//	connection_max_age   as for syslog
//	connection_max_idle
func newRelp(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	s := &relp{
		target:   newTarget(out, 0),
		explain:  explainNetwork,
		patience: c.Seconds("confirm_timeout", 30*time.Second, time.Second, time.Hour),
		lifetime: newLifetime(c),
		window:   int(c.Int("window", 128, 1, 100_000)),
		frames:   framer{host: c.Text("hostname", env.Hostname), lineFeeds: true},
		maxEvent: newMaxEvent(c),
	}
	if c.Choice("type", "SSL", "SSL", "TCP") == "TCP" {
		refuseCertificates(c, "chain", "cert", "key", "chain_loc", "cert_loc", "key_loc", "verify")
		s.config = func() *tls.Config { return nil }
		if err := c.Err(); err != nil {
			return nil, err
		}
		return s, nil
	}
	secure := &secureRelp{relp: s, credential: newCredential(c, s.target, env)}
	if err := c.Err(); err != nil {
		return nil, err
	}
	s.config, s.explain = secure.current.Load, secure.files.explain
	if err := secure.Reload(); err != nil {
		return nil, err
	}
	return secure, nil
}

// Send sends events, and waits for answers whenever window of them are missing.
func (s *relp) Send(ctx context.Context, events []engine.Event) error {
	if ctx.Err() != nil {
		return s.failed(ctx, context.Cause(ctx))
	}
	if len(events) == 0 {
		return nil
	}
	if err := s.begin(ctx); err != nil {
		return s.failed(ctx, fmt.Errorf("connect: %w", err))
	}
	for i := range events {
		if err := s.put(ctx, &events[i]); err != nil {
			return s.failed(ctx, err)
		}
	}
	return nil
}

// begin sees to a session. One that ended between two epochs, or is to be renewed, is no failure.
func (s *relp) begin(ctx context.Context) error {
	if s.events > 0 {
		return nil
	}
	if s.session != nil && (s.session.isOver() || s.session.config != s.config() || s.lifetime.over(s.session.link)) {
		s.session.end()
		s.session = nil
	}
	if s.session != nil {
		return nil
	}
	var err error
	s.session, err = dialSession(ctx, s.target, s.config(), s.window, s.patience)
	return err
}

func (s *relp) put(ctx context.Context, e *engine.Event) error {
	s.frame = s.frames.append(s.frame[:0], e)
	if err := s.maxEvent.check(len(s.frame), e, s.events); err != nil {
		return err
	}
	s.buf = appendRelpEvent(s.buf, s.session.begin(pendingEvent{e, s.events}), s.frame)
	s.events++
	full := len(s.session.pending) >= s.window
	if len(s.buf) < bufferSize && !full {
		return nil
	}
	if err := s.write(ctx); err != nil || !full {
		return err
	}
	// Half of the window, so that neither side waits for each single frame of the other.
	return s.session.wait(ctx, s.patience, s.window/2)
}

func (s *relp) write(ctx context.Context) error {
	err := s.session.write(ctx, writeTimeout, s.buf)
	s.buf = s.buf[:0]
	return err
}

// Flush returns nil when every event has had a good answer.
func (s *relp) Flush(ctx context.Context) error {
	if s.events == 0 {
		return nil
	}
	if err := s.write(ctx); err != nil {
		return s.failed(ctx, err)
	}
	if err := s.session.wait(ctx, s.patience, 0); err != nil {
		return s.failed(ctx, err)
	}
	s.events = 0
	return nil
}

// failed drops the epoch and its session, with a reset, so that nothing of it arrives later than what is
// offered again.
func (s *relp) failed(ctx context.Context, err error) error {
	if s.session != nil {
		if ctx.Err() == nil {
			err = s.session.reason(err)
		}
		s.session.abort()
	}
	s.session, s.buf, s.events = nil, s.buf[:0], 0
	if ctx.Err() != nil {
		return &engine.Error{Code: engine.CodeCanceled, Op: s.op, Err: context.Cause(ctx)}
	}
	text, hint := s.explain(err)
	if text != "" {
		err = fmt.Errorf("%s: %w", text, err)
	}
	return &engine.Error{Code: engine.CodeSink, Op: s.op, Hint: hint, Err: err}
}

// Close ends the session, in order if nothing waits for an answer.
func (s *relp) Close() error {
	if s.session != nil {
		s.session.end()
	}
	s.session, s.buf, s.events = nil, s.buf[:0], 0
	return nil
}
