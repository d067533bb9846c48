package sinks

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"starling/engine"
)

// natsSession is a connection to a server and the messages on it that have no answer yet. Messages carry
// a reply subject of their own, and come to an end in the order in which the server answers.
type natsSession struct {
	config   *tls.Config // what it was made with
	identity *nats.Option
	conn     *nats.Conn
	dialed   *natsDialer
	inbox    string

	mu       sync.Mutex
	number   int         // of the last message
	pending  map[int]int // number of a message without an answer: its place in the epoch
	answered int
	err      error         // the first
	changed  chan struct{} // something above did
}

var errNATSClosed = errors.New("the server closed the connection")

// connect makes a session with the first server that takes it.
func (s *jetStream) connect(ctx context.Context) (*natsSession, error) {
	n := &natsSession{config: s.config(), identity: s.natsIdentity.current.Load(), pending: map[int]int{}, changed: make(chan struct{}, 1), dialed: &natsDialer{ctx: ctx}}
	options := []nats.Option{
		nats.Name("starling"), nats.NoReconnect(), nats.DontRandomize(), nats.NoEcho(), nats.Timeout(connectTimeout), nats.SetCustomDialer(n.dialed),
		nats.PermissionErrOnSubscribe(true),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { n.fail(err) }),
		nats.ClosedHandler(func(c *nats.Conn) { n.fail(errors.Join(errNATSClosed, c.LastError())) }),
		*n.identity,
	}
	if n.config != nil {
		options = append(options, nats.Secure(n.config))
	}
	defer n.closeWith(ctx)()
	var err error
	if n.conn, err = nats.Connect(s.servers, options...); err != nil {
		if last := n.dialed.failure(); last != nil && errors.Is(err, nats.ErrNoServers) {
			err = last
		}
		return nil, err
	}
	n.inbox = n.conn.NewInbox() + "."
	if _, err := n.conn.Subscribe(n.inbox+"*", n.answer); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// natsDialer keeps the connection, so that it can be closed under a write that waits.
type natsDialer struct {
	ctx context.Context // of the call that connects

	mu   sync.Mutex
	conn net.Conn
	err  error
}

func (d *natsDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := newDialer().DialContext(d.ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn, d.err = conn, err
	return conn, err
}

func (d *natsDialer) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *natsDialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		d.conn.Close()
	}
}

// closeWith closes the connection when ctx ends, as long as the function that it returns is not called.
func (n *natsSession) closeWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, n.dialed.close)
}

func (n *natsSession) publish(m *nats.Msg, index int) error {
	n.mu.Lock()
	n.number++
	m.Reply = n.inbox + strconv.Itoa(n.number)
	n.pending[n.number] = index
	n.mu.Unlock()
	err := n.conn.PublishMsg(m)
	if err != nil && n.failure() != nil { // that it is closed says less than why
		return n.failure()
	}
	return err
}

// answer takes the server's answer to a message.
func (n *natsSession) answer(m *nats.Msg) {
	number, err := strconv.Atoi(strings.TrimPrefix(m.Subject, n.inbox))
	n.mu.Lock()
	defer n.mu.Unlock()
	index, ok := n.pending[number]
	if err != nil || !ok {
		return
	}
	if err := judgeAnswer(m, index); err != nil && n.err == nil {
		n.err = err
	}
	delete(n.pending, number)
	n.answered++
	n.tell()
}

// tooLargeForStream is the code of JetStream's error about a message that exceeds the stream's limit.
const tooLargeForStream = 10054

// judgeAnswer returns nil if m says that a stream has stored the message.
func judgeAnswer(m *nats.Msg, index int) error {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return nats.ErrNoResponders
	}
	var answer struct {
		Stream string `json:"stream"`
		Seq    uint64 `json:"seq"`
		Error  *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	err := json.Unmarshal(m.Data, &answer)
	switch {
	case err == nil && answer.Error != nil:
		err := fmt.Errorf("the stream refuses a message: %s (%d)", answer.Error.Description, answer.Error.Code)
		if answer.Error.Code == tooLargeForStream {
			return &engine.Refused{Index: index, Err: err}
		}
		return err
	case err != nil || answer.Stream == "" || answer.Seq == 0:
		return fmt.Errorf("what answers is no stream: %.100q", m.Data)
	}
	return nil
}

// wait waits until at most so many messages have no answer, or one is refused. Patience is for the next answer.
func (n *natsSession) wait(ctx context.Context, most int, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	before := -1
	for {
		n.mu.Lock()
		left, answered, err := len(n.pending), n.answered, n.err
		n.mu.Unlock()
		if err != nil || left <= most {
			return err
		}
		if answered != before {
			before = answered
			timer.Reset(patience)
		}
		select {
		case <-n.changed:
		case <-timer.C:
			return fmt.Errorf("%d messages are without an answer, and none came within %s", left, patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (n *natsSession) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.err = err
	}
	n.tell()
}

func (n *natsSession) tell() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

func (n *natsSession) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

func (n *natsSession) isOver() bool { return n.failure() != nil }

// close closes the connection first, so that nothing waits for its writes.
func (n *natsSession) close() {
	n.dialed.close()
	n.conn.Close()
}
