package engine

import (
	"slices"
	"time"
)

// Staged returns the events that the next commit will make durable, in order. It is for tests of
// builtins and for tools: it unpacks everything.
func (p *Pull) Staged() ([]Event, error) {
	p.staged.close()
	var all []Event
	for _, chunk := range p.staged.chunks {
		chunk = slices.Clone(chunk)
		stampChunk(chunk, time.Now()) // the checksum is only written by a commit
		events, _, err := decodeChunk(chunk)
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}
