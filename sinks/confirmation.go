package sinks

import (
	"io"
	"log/slog"
	"sync/atomic"
)

// confirmation decides whether the way in which a receiver ended a TLS connection acknowledges what it
// was sent. close_notify is the strong sign: the receiver's TLS has come to the end of the stream. A
// mere FIN in answer to ours says that the receiver's program had taken all bytes from its kernel, or
// else the kernel would have sent a reset; between there and the program's own hands a kill can lose
// some. Receivers exist that never send a close_notify, so the default learns: when nothing but
// orderly ends without one have come for some epochs in a row, the receiver is one of those.
//
// Others never end their side at all. For those there is the window, which the default falls back on too.
// A receiver that hangs looks the same, so one that has answered a half-close once is never taken for
// one of them.
//
// It belongs to the goroutine that delivers; evidence is shared with the other connections of an output.
type confirmation struct {
	mode string // closeNotify, fin, byWindow or auto
	log  *slog.Logger
	op   string

	bare   int // orderly ends without close_notify in a row
	silent int // half-closes without an answer
	*evidence
}

// evidence is what is known of a receiver.
type evidence struct {
	notified atomic.Bool // a close_notify was seen
	bareFIN  atomic.Bool // since then it was found to send none
	answered atomic.Bool // it has answered a half-close, if only once
	mute     atomic.Bool // it was found to answer none
	told     atomic.Bool
}

func newConfirmation(mode string, log *slog.Logger, op string) confirmation {
	return confirmation{mode: mode, log: log, op: op, evidence: &evidence{}}
}

const (
	auto        = "auto"
	closeNotify = "close_notify"
	fin         = "fin"
	byWindow    = "window"

	// learnAfter ends in a row without close_notify show that a receiver never sends one;
	// relearnAfter where it has sent one before, as with a balancer over different receivers.
	learnAfter   = 3
	relearnAfter = 6
	// silentAfter half-closes in a row that nobody answers, and none that somebody did, show that the
	// receiver never will.
	silentAfter = 5
)

// judge returns nil if the end of a connection, in good order, is an acknowledgement: io.EOF, which is a
// close_notify here and on plain TCP a FIN, or errBareFIN when that suffices.
func (c *confirmation) judge(err error) error {
	c.answered.Store(true)
	if err == io.EOF {
		c.bare = 0
		c.notified.Store(true)
		c.bareFIN.Store(false)
		return nil
	}
	if c.bare++; c.bare >= c.patience() {
		c.bareFIN.Store(true)
	}
	if c.mode == byWindow || c.mode == fin || c.mode == auto && c.bareFIN.Load() {
		c.tell()
		return nil
	}
	return err
}

func (c *confirmation) patience() int {
	if c.notified.Load() {
		return relearnAfter
	}
	return learnAfter
}

func (c *confirmation) tell() {
	if c.mode != auto || c.told.Swap(true) {
		return
	}
	c.log.Warn("this receiver ends connections without TLS's close_notify; from now on its FIN counts as the acknowledgement, "+
		"which a receiver that is killed at that moment can give wrongly", "output", c.op)
}

// windowed reports whether epochs are confirmed by the window.
func (c *confirmation) windowed() bool {
	return c.mode == byWindow || c.mode == auto && !c.answered.Load() && c.mute.Load()
}

// unanswered notes a half-close that the receiver's kernel has and nobody answered.
func (c *confirmation) unanswered() {
	if c.silent++; c.silent >= silentAfter && !c.mute.Swap(true) && c.mode == auto && !c.answered.Load() {
		c.log.Warn("this receiver does not answer the end of a connection; from now on what its kernel has counts as delivered after replay_window "+
			"more bytes or replay_age, and a receiver that hangs for longer and is then killed can lose events", "output", c.op)
	}
}
