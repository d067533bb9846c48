package sinks

import (
	"io"
	"log/slog"
)

// confirmation decides whether the way in which a receiver ended a TLS connection acknowledges what it
// was sent. close_notify is the strong sign: the receiver's TLS has come to the end of the stream. A
// mere FIN in answer to ours says that the receiver's program had taken all bytes from its kernel, or
// else the kernel would have sent a reset; between there and the program's own hands a kill can lose
// some. Receivers exist that never send a close_notify, so the default learns: when nothing but
// orderly ends without one have come for some epochs in a row, the receiver is one of those.
//
// It belongs to the goroutine that delivers.
type confirmation struct {
	mode string // closeNotify, fin or auto
	log  *slog.Logger
	op   string

	bare     int  // orderly ends without close_notify in a row
	notified bool // a close_notify was seen
	told     bool
}

const (
	auto        = "auto"
	closeNotify = "close_notify"
	fin         = "fin"

	// learnAfter ends in a row without close_notify show that a receiver never sends one;
	// relearnAfter where it has sent one before, as with a balancer over different receivers.
	learnAfter   = 3
	relearnAfter = 6
)

// judge returns nil if the end of a connection, in good order, is an acknowledgement: io.EOF, which is a
// close_notify here and on plain TCP a FIN, or errBareFIN when that suffices.
func (c *confirmation) judge(err error) error {
	if err == io.EOF {
		c.bare, c.notified = 0, true
		return nil
	}
	c.bare++
	if c.mode == fin || c.mode == auto && c.bare >= c.patience() {
		c.tell()
		return nil
	}
	return err
}

func (c *confirmation) patience() int {
	if c.notified {
		return relearnAfter
	}
	return learnAfter
}

func (c *confirmation) tell() {
	if c.told || c.mode != auto {
		return
	}
	c.told = true
	c.log.Warn("this receiver ends connections without TLS's close_notify; from now on its FIN counts as the acknowledgement, "+
		"which a receiver that is killed at that moment can give wrongly", "output", c.op)
}
