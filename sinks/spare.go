package sinks

import (
	"context"
	"time"
)

// spare is a connection made ahead of need, so that the end of one epoch and the handshake of the
// next do not add up. Nothing is written to it before it is taken.
type spare struct {
	ready  chan *link    // hands the link over, once
	gone   chan struct{} // closed when there is nothing to take any more
	cancel context.CancelFunc
}

// newSpare makes one that waits for idle at most.
func newSpare(dial func(context.Context) (*link, error), idle time.Duration) *spare {
	ctx, cancel := context.WithCancel(context.Background())
	s := &spare{ready: make(chan *link), gone: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(s.gone)
		defer cancel()
		l, err := dial(ctx)
		if err != nil {
			return // whoever needs the connection dials again and gets the error
		}
		timer := time.NewTimer(idle)
		defer timer.Stop()
		select {
		case s.ready <- l:
			return
		case <-l.over:
		case <-timer.C:
		case <-ctx.Done():
		}
		l.close()
	}()
	return s
}

// take returns the link, or nil if there is none or ctx ends first.
func (s *spare) take(ctx context.Context) *link {
	select {
	case l := <-s.ready:
		return l
	case <-s.gone:
	case <-ctx.Done():
		s.drop()
	}
	return nil
}

// drop closes the connection, if there is one, and waits for the goroutine.
func (s *spare) drop() {
	s.cancel()
	<-s.gone
}
