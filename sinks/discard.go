package sinks

import (
	"context"
	"log/slog"

	"starling/engine"
)

// discard acknowledges everything and keeps nothing: to try a configuration, or to measure the rest.
type discard struct {
	name          string
	log           *slog.Logger
	events, bytes int64 // acknowledged and thrown away
	pending       int64
	pendingBytes  int64
}

var _ engine.Sink = (*discard)(nil)

// newDiscard makes a sink of the type discard. It has no keys.
func newDiscard(out engine.Output, env Env) (engine.Sink, error) {
	if err := out.Config.Err(); err != nil {
		return nil, err
	}
	return &discard{name: out.Name, log: env.Logger}, nil
}

func (s *discard) Send(ctx context.Context, events []engine.Event) error {
	if ctx.Err() != nil {
		return s.failed(ctx)
	}
	for i := range events {
		s.pending++
		s.pendingBytes += int64(len(events[i].Body))
	}
	return nil
}

func (s *discard) Flush(ctx context.Context) error {
	if s.pending > 0 && ctx.Err() != nil {
		return s.failed(ctx)
	}
	s.events += s.pending
	s.bytes += s.pendingBytes
	s.pending, s.pendingBytes = 0, 0
	return nil
}

func (s *discard) failed(ctx context.Context) error {
	s.pending, s.pendingBytes = 0, 0
	return outputError("output "+s.name, context.Cause(ctx))
}

// Close logs how much was thrown away, once.
func (s *discard) Close() error {
	if s.events > 0 {
		s.log.Info("output discarded events", string(engine.KeySink), s.name,
			string(engine.KeyEvents), s.events, string(engine.KeyBytes), s.bytes)
	}
	s.events, s.bytes = 0, 0
	return nil
}
