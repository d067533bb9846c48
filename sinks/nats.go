package sinks

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"starling/engine"
)

// jetStream publishes messages to a stream of NATS. The server's answer to a message is its
// acknowledgement, and there is no other: core NATS, without a stream, has none.
type jetStream struct {
	*clientTLS
	*natsIdentity
	op       string
	servers  string
	subject  string
	patience time.Duration // how long to wait for the next answer
	window   int
	unique   bool
	line     appendLine
	maxEvent maxEvent

	session *natsSession // nil before the first epoch and after an error
	sent    int          // events of this epoch
	buf     []byte
}

var (
	_ engine.Sink     = (*jetStream)(nil)
	_ engine.Reloader = (*jetStream)(nil)
	_ engine.Expirer  = (*jetStream)(nil)
)

// newNATS makes a sink of the type nats: a message for each event, into a stream of NATS JetStream. Core NATS
// acknowledges nothing, so a subject that no stream listens to is an error. The header tag of a
// message has the table, and time the event's time (UTC; absent if unknown). Its keys:
//
//	servers          host:port, several separated by commas: one after the other is tried
//	subject          one that a stream listens to
//	format           body, devo or frame (body): what a message is; see lineFormat
//	deduplicate      whether the header Nats-Msg-Id is set to a hash of table, time and body, by which the
//	                 stream drops what it got within its duplicate window (2 minutes): what is offered
//	                 again does not come twice, and of events that are the same in all three one is left (false)
//	window           messages that may wait for their answers at a time, 1 to 100000 (1000)
//	max_event_bytes  the longest message; a longer one is refused, as are those that exceed the server's
//	                 max_payload (no limit)
//	type             SSL or TCP; TCP has no encryption (SSL)
//	chain            for SSL: certificates that the servers' must be signed by, PEM (the system's)
//	cert, key        for SSL: a certificate to show, PEM
//	user, password   to sign in with, or
//	token            a token, or
//	creds            a file of a user's JWT and seed, or
//	nkey             a file of a seed
//	confirm_timeout  seconds to wait for the next answer (30)
//
// The answer says that the stream has stored the message, with several replicas that most have. Files are
// not synced for each message, unless the server has sync_interval: always: with one replica a power cut of the server's
// machine loses up to sync_interval (2 minutes).
func newNATS(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	s := &jetStream{
		op:       "output " + out.Name,
		subject:  natsSubject(c, "subject"),
		patience: c.Seconds("confirm_timeout", 30*time.Second, time.Second, time.Hour),
		window:   int(c.Int("window", 1000, 1, 100_000)),
		unique:   c.Bool("deduplicate", false),
		line:     lineFormat(c, env, "body", "body", "devo", "frame"),
		maxEvent: newMaxEvent(c),
	}
	servers := hostPorts(c, "servers")
	s.servers = natsURLs(servers)
	s.clientTLS = newClientTLS(c, env, s.op)
	s.natsIdentity = newNATSIdentity(c, s.clientTLS.on, servers)
	if err := c.Err(); err != nil {
		return nil, err
	}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Files lists the files that are set.
func (s *jetStream) Files() []string { return append(s.clientTLS.Files(), s.natsIdentity.files()...) }

// Reload reads the files again. The next epoch uses them; if one is wrong, all stay as they were.
func (s *jetStream) Reload() error {
	identity, err := s.natsIdentity.load()
	if err != nil {
		return &engine.Error{Code: engine.CodeConfig, Op: s.op, Err: err}
	}
	if err := s.clientTLS.Reload(); err != nil {
		return err
	}
	s.natsIdentity.current.Store(&identity)
	return nil
}

// Send publishes, and waits whenever there are too many messages without an answer.
func (s *jetStream) Send(ctx context.Context, events []engine.Event) error {
	if err := s.begin(ctx); err != nil {
		return s.failed(ctx, err)
	}
	defer s.session.closeWith(ctx)()
	for i := range events {
		if err := s.publish(ctx, &events[i]); err != nil {
			return s.failed(ctx, err)
		}
	}
	return nil
}

// begin ends a connection that is over, or made with what is not used any more, and makes another.
func (s *jetStream) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.sent == 0 && s.session != nil && (s.session.isOver() || s.session.config != s.config() || s.session.identity != s.natsIdentity.current.Load()) {
		s.drop()
	}
	if s.session != nil {
		return nil
	}
	session, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	s.session = session
	return nil
}

func (s *jetStream) publish(ctx context.Context, e *engine.Event) error {
	index := s.sent
	s.buf = s.line(s.buf[:0], e)
	data := s.buf[:len(s.buf)-1] // without the line feed
	if err := s.maxEvent.check(len(data), e, index); err != nil {
		return err
	}
	m := &nats.Msg{Subject: s.subject, Data: data, Header: nats.Header{"tag": {cleanWord(e.Table.Tag)}}}
	if !e.Time.IsZero() {
		m.Header["time"] = []string{string(appendDate(nil, e.Time))}
	}
	if s.unique {
		m.Header[nats.MsgIdHdr] = []string{hashOf(e)}
	}
	s.sent++
	err := s.session.publish(m, index)
	if errors.Is(err, nats.ErrMaxPayload) {
		over := headerBytes(m.Header) + len(data) - int(s.session.conn.MaxPayload())
		return &engine.Refused{Index: index, Limit: max(len(e.Body)-over, 0), Err: fmt.Errorf("%s: %w", describe(e), err)}
	}
	if err != nil {
		return err
	}
	return s.session.wait(ctx, s.window, s.patience)
}

// hashOf returns what is the same for events that are.
func hashOf(e *engine.Event) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %d ", e.Table.Tag, e.Time.UnixMilli())
	h.Write(e.Body)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// headerBytes is what headers take on the wire, which count as payload.
func headerBytes(h nats.Header) int {
	n := len("NATS/1.0\r\n\r\n")
	for key, values := range h {
		n += len(key) + len(": \r\n") + len(values[0])
	}
	return n
}

// Flush waits for all answers.
func (s *jetStream) Flush(ctx context.Context) error {
	if s.sent == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return s.failed(ctx, context.Cause(ctx))
	}
	defer s.session.closeWith(ctx)()
	if err := s.session.wait(ctx, 0, s.patience); err != nil {
		return s.failed(ctx, err)
	}
	s.sent = 0
	return nil
}

// failed forgets the epoch and says why it failed, in words for the person who reads the log.
func (s *jetStream) failed(ctx context.Context, err error) error {
	s.drop()
	if ctx.Err() != nil {
		return &engine.Error{Code: engine.CodeCanceled, Op: s.op, Err: context.Cause(ctx)}
	}
	text, hint := s.explain(err)
	if text != "" {
		err = fmt.Errorf("%s: %w", text, err)
	}
	return &engine.Error{Code: engine.CodeSink, Op: s.op, Hint: hint, Err: err}
}

func (s *jetStream) explain(err error) (text, hint string) {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return "no stream listens to the subject " + s.subject + ", and without one NATS acknowledges nothing", "enable JetStream, and create a stream with this subject: nats stream add"
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return "", "check user and password, token, creds or nkey"
	case errors.Is(err, nats.ErrPermissionViolation):
		return "", "the user must be allowed to publish to " + s.subject + " and to subscribe to _INBOX.>"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "", "the server has no TLS; set type: TCP if it is meant so"
	case errors.Is(err, nats.ErrNoServers):
		return "", "check servers and type (SSL or TCP)"
	}
	return s.clientTLS.files.explain(err)
}

func (s *jetStream) drop() {
	if s.session != nil {
		s.session.close()
	}
	s.session, s.sent = nil, 0
}

// Close closes the connection.
func (s *jetStream) Close() error {
	s.drop()
	return nil
}
