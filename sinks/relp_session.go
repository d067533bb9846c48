package sinks

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"starling/engine"
)

const (
	okay = 200
	// closePatience is how long a session that is not needed any more waits for the answer to its close.
	closePatience = 2 * time.Second
)

var errServerClose = errors.New("the receiver ended the session")

// session is one connection that speaks RELP. All but listen is for one goroutine.
type session struct {
	*link
	answers chan relpFrame
	quit    chan struct{} // closed when nobody takes answers any more

	last    int                  // transaction
	pending map[int]pendingEvent // transactions without an answer
}

type pendingEvent struct {
	event *engine.Event
	index int // in its epoch
}

// dialSession connects to t and opens a session, in which window events may lack an answer.
func dialSession(ctx context.Context, t target, config *tls.Config, window int, patience time.Duration) (*session, error) {
	// There is room for all answers that can be missing: the receiver never waits for us to read.
	s := &session{answers: make(chan relpFrame, window), quit: make(chan struct{}), pending: map[int]pendingEvent{}}
	var err error
	if s.link, err = dialTCP(ctx, t, config, s.listen); err != nil {
		return nil, err
	}
	if err := s.open(ctx, patience); err != nil {
		err = s.reason(err)
		s.abort()
		return nil, err
	}
	return s, nil
}

// listen hands over what the receiver says until the stream ends.
func (s *session) listen(r io.Reader) error {
	buffered := bufio.NewReader(r)
	for {
		f, err := readRelp(buffered)
		if err != nil {
			return err
		}
		if f.command == "serverclose" {
			return errServerClose
		}
		if f.transaction == 0 {
			continue // a hint, which may be ignored
		}
		select {
		case s.answers <- f:
		case <-s.quit:
			return net.ErrClosed
		}
	}
}

// open offers what we speak and reads what the receiver does.
func (s *session) open(ctx context.Context, patience time.Duration) error {
	f, err := s.ask(ctx, patience, "open", "relp_version=0\nrelp_software=starling\ncommands=syslog\n")
	if err != nil {
		return err
	}
	code, text, offers, err := f.status()
	if err != nil {
		return err
	}
	if code != okay {
		return fmt.Errorf("the receiver refused the session: %d %s", code, text)
	}
	for line := range strings.Lines(string(offers)) {
		if commands, ok := strings.CutPrefix(strings.TrimSpace(line), "commands="); ok && !slices.Contains(strings.Split(commands, ","), "syslog") {
			return fmt.Errorf("the receiver takes no events: its commands are %.100q", commands)
		}
	}
	return nil
}

// ask sends a command and returns its answer. No event may be without one.
func (s *session) ask(ctx context.Context, patience time.Duration, command, data string) (relpFrame, error) {
	transaction := s.begin(pendingEvent{})
	defer delete(s.pending, transaction)
	if err := s.write(ctx, patience, appendRelp(nil, transaction, command, data)); err != nil {
		return relpFrame{}, err
	}
	f, err := s.next(ctx, patience)
	if err == nil && f.transaction != transaction {
		err = fmt.Errorf("%w: it answered %d, which was not asked", errNotRelp, f.transaction)
	}
	return f, err
}

// begin returns the number of a new transaction, and remembers it.
func (s *session) begin(e pendingEvent) int {
	s.last = s.last%lastTransaction + 1
	s.pending[s.last] = e
	return s.last
}

// wait waits until at most so many events have no answer. An answer that is no good is an error.
func (s *session) wait(ctx context.Context, patience time.Duration, most int) error {
	for len(s.pending) > most {
		f, err := s.next(ctx, patience)
		if err != nil {
			return err
		}
		if err := s.take(f); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) take(f relpFrame) error {
	e, ok := s.pending[f.transaction]
	if !ok {
		return fmt.Errorf("%w: it answered %d, which was not asked", errNotRelp, f.transaction)
	}
	delete(s.pending, f.transaction)
	code, text, _, err := f.status()
	if err == nil && code != okay {
		err = &engine.Refused{Index: e.index, Err: fmt.Errorf("%s: the receiver answered %d %s", describe(e.event), code, text)}
	}
	return err
}

// describe names an event in an error, without its body.
func describe(e *engine.Event) string {
	at := "without a time"
	if !e.Time.IsZero() {
		at = "of " + e.Time.UTC().Format(dateLayout)
	}
	return fmt.Sprintf("event for %s %s, %d bytes", e.Table.Tag, at, len(e.Body))
}

// next returns the next answer.
func (s *session) next(ctx context.Context, patience time.Duration) (relpFrame, error) {
	select {
	case f := <-s.answers:
		return f, nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case f := <-s.answers:
		return f, nil
	case <-s.over:
	case <-timer.C:
		return relpFrame{}, fmt.Errorf("%w within %s", errNoReply, patience)
	case <-ctx.Done():
		return relpFrame{}, context.Cause(ctx)
	}
	select {
	case f := <-s.answers: // it came before the end
		return f, nil
	default:
		return relpFrame{}, errEarly
	}
}

var errNoReply = errors.New("the receiver did not answer")

// end ends the session: in order, when no event is without an answer.
func (s *session) end() {
	if len(s.pending) == 0 && !s.isOver() {
		_, _ = s.ask(context.Background(), closePatience, "close", "") // whatever it says, nothing is lost
	}
	close(s.quit)
	s.link.close()
}

// abort ends the session with a reset.
func (s *session) abort() {
	close(s.quit)
	s.link.abort()
}
