package sinks

import (
	"context"
	"io"

	"starling/engine"
)

// console writes lines to standard output. An epoch is written when it ends, in one piece, and is
// acknowledged when that write went well: whoever reads has it, or has it in a pipe.
type console struct {
	op   string
	out  io.Writer
	line appendLine
	buf  []byte
}

var _ engine.Sink = (*console)(nil)

// newConsole makes a sink of the types console and stdout. Its keys:
//
//	destination  standard, console or stdout, which all are standard output
//	format       devo or body (devo); see lineFormat
//
// A write to a pipe that nobody empties cannot be interrupted: Flush then outlasts its context.
func newConsole(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	c.Choice("destination", "standard", "standard", "console", "stdout")
	s := &console{op: "output " + out.Name, out: env.Stdout, line: lineFormat(c, env, "devo", "devo", "body")}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *console) Send(ctx context.Context, events []engine.Event) error {
	if ctx.Err() != nil {
		return s.failed(context.Cause(ctx))
	}
	for i := range events {
		s.buf = s.line(s.buf, &events[i])
	}
	return nil
}

func (s *console) Flush(ctx context.Context) error {
	if len(s.buf) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return s.failed(context.Cause(ctx))
	}
	if _, err := s.out.Write(s.buf); err != nil {
		return s.failed(err)
	}
	s.buf = s.buf[:0]
	return nil
}

func (s *console) failed(err error) error {
	s.buf = s.buf[:0]
	return outputError(s.op, err)
}

// Close leaves standard output open; it is not the sink's.
func (s *console) Close() error { return nil }
