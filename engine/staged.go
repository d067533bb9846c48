package engine

// Staged returns the events that the next commit will make durable, in order. It is for tests of
// builtins and for tools: it unpacks everything.
func (p *Pull) Staged() ([]Event, error) {
	p.staged.close()
	var all []Event
	for _, sealed := range p.staged.chunks {
		chunk, err := sealed.data, error(nil)
		if sealed.at.segment > 0 {
			chunk, err = readLocated(p.env.Store.dir, 0, sealed.at, nil)
		}
		if err != nil {
			return nil, err
		}
		c, err := decodeChunk(chunk, &block{})
		if err != nil {
			return nil, err
		}
		all = append(all, c.events...)
	}
	return all, nil
}

// Kept returns the committed events from a chunk on that are kept for some output, and the number of the
// chunk after them: for tests and tools. Events of chunks that are not kept any more are left out.
func (s *Store) Kept(from uint64) (events []Event, next uint64, err error) {
	s.mu.Lock()
	from, next = max(from, s.first), s.head
	s.mu.Unlock()
	for id := from; id < next; id++ {
		c, _, err := s.chunk(id)
		if err != nil {
			return nil, from, err
		}
		events = append(events, c.events...)
	}
	return events, next, nil
}

// SetOutputs says which outputs there are, for tests and simulations of a store that no engine runs on.
func (s *Store) SetOutputs(names ...string) error { return s.outputs(names) }

// Acknowledge notes that an output has every chunk before next, as its delivery does.
func (s *Store) Acknowledge(output string, next uint64) error { return s.ack(output, next) }
