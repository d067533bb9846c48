package engine

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Staged returns the events that the next commit will make durable, in order. It is for tests of
// builtins and for tools: it unpacks everything.
func (p *Pull) Staged() ([]Event, error) {
	p.staged.close()
	var all []Event
	for _, chunk := range p.staged.chunks {
		chunk = slices.Clone(chunk)
		stampChunk(chunk, time.Now(), trace.SpanContext{}) // the checksum is only written by a commit
		c, err := decodeChunk(chunk)
		if err != nil {
			return nil, err
		}
		all = append(all, c.events...)
	}
	return all, nil
}
