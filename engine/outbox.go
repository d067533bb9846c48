package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Backlog is what waits for a sink, or for the slowest of all.
type Backlog struct {
	Chunks int64
	Events int64
	Bytes  int64     // compressed
	Oldest time.Time // when the oldest was committed; zero if nothing waits
}

// outputs tells the store which sinks there are. A sink that is new starts at the oldest chunk still
// kept, so that renaming an output loses nothing; the position of one that is gone is forgotten.
func (s *Store) outputs(names []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tails := make(map[string]uint64, len(names))
	for _, name := range names {
		tail, ok := s.tails[name]
		if !ok {
			tail = s.first
		}
		tails[name] = tail
	}
	gone := s.tails
	s.at(stepOutputs)
	err := s.update(nil, func(txn *badger.Txn) error {
		for name := range gone {
			if _, ok := tails[name]; !ok {
				if err := errors.Join(txn.Delete([]byte(prefTail+name)), txn.Delete([]byte(prefDrop+name))); err != nil {
					return err
				}
			}
		}
		for name, tail := range tails {
			if err := setTail(txn, name, tail); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return storeError("note the outputs", err, "")
	}
	s.at(stepNoted)
	s.tails = tails
	maps.DeleteFunc(s.drops, func(name string, _ Dropped) bool { _, ok := tails[name]; return !ok })
	return s.trim()
}

func setTail(txn *badger.Txn, sink string, tail uint64) error {
	return txn.Set([]byte(prefTail+sink), binary.BigEndian.AppendUint64(nil, tail))
}

// tail returns the first chunk that sink has not acknowledged.
func (s *Store) tail(sink string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tails[sink]
}

// errDropped says that a chunk is gone because the outbox was full; the output's place is behind it.
var errDropped = errors.New("the chunk was dropped")

// chunk returns a chunk. Without events it is not there yet; changed is closed when that may be different.
func (s *Store) chunk(id uint64) (c chunk, changed <-chan struct{}, err error) {
	s.mu.Lock()
	head, changed := s.head, s.changed
	s.mu.Unlock()
	if id >= head {
		return chunk{}, changed, nil
	}
	var at location
	b := &block{}
	select {
	case b = <-s.spare:
	default:
	}
	err = s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(chunkKey(id))
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if p, ok := decodeLocation(v); ok {
				at = p
				return nil
			}
			c, err = decodeChunk(v, b)
			return err
		})
	})
	if err == nil && at.segment > 0 {
		if b.file, err = readLocated(s.dir, id, at, b.file); err == nil {
			c, err = unpackChunk(b.file, b)
		}
	}
	if (errors.Is(err, badger.ErrKeyNotFound) || errors.Is(err, fs.ErrNotExist)) && s.isGone(id) {
		return chunk{}, nil, errDropped
	}
	if err != nil {
		return chunk{}, nil, storeError(fmt.Sprintf("read chunk %d of the outbox", id), err,
			"its events cannot be delivered; stop starling, see starling state check, then starling state repair --yes has them pulled again where it can")
	}
	return c, changed, nil
}

// reuse takes back the memory of a chunk whose events nobody needs any more.
func (s *Store) reuse(b *block) {
	clear(b.events) // of tables
	select {
	case s.spare <- b:
	default:
	}
}

// maxSpare bounds the memory of delivered chunks that is kept for others, a MiB each.
const maxSpare = 4

func (s *Store) isGone(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return id < s.first
}

// ack notes that sink has every chunk before next, and deletes the chunks that all sinks have.
func (s *Store) ack(sink string, next uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tail, ok := s.tails[sink]; !ok || next <= tail {
		return nil // the output was taken out of the configuration meanwhile, or this was dropped
	}
	if err := s.space.writable(); err != nil {
		return err
	}
	s.at(stepAck)
	err := s.update(func(t *testimony) { t.first = s.oldest(sink, next) }, func(txn *badger.Txn) error { return setTail(txn, sink, next) })
	if err != nil {
		return storeError("note what output "+sink+" has", err, "its events are offered again; check the disk's free space and health")
	}
	s.at(stepAcked)
	s.tails[sink] = next
	return s.trim()
}

// oldest returns the first chunk that some sink does not have, once sink has all before next.
func (s *Store) oldest(sink string, next uint64) uint64 {
	for name, tail := range s.tails {
		if name != sink {
			next = min(next, tail)
		}
	}
	return next
}

// trim deletes the chunks that every sink has. Without any sink everything is kept. A crash before
// the deletion leaves chunks that the next start deletes.
func (s *Store) trim() error {
	if len(s.tails) == 0 {
		return nil
	}
	oldest := s.head
	for _, tail := range s.tails {
		oldest = min(oldest, tail)
	}
	from, gone := s.first, s.sizes
	for s.first < oldest && len(s.sizes) > 0 {
		s.let(s.sizes[0])
		s.sizes = s.sizes[1:]
		s.first++
	}
	to := s.first
	gone = gone[:to-from]
	if len(s.sizes) == 0 {
		s.first = s.head
	}
	s.wake()
	s.at(stepTrim)
	err := s.write(func(w *badger.WriteBatch) error {
		for id := from; id < to; id++ {
			if err := w.Delete(chunkKey(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return storeError("delete what all outputs have", err, "check the disk's free space and health")
	}
	s.at(stepTrimmed)
	for i := range gone {
		s.segments.forget(gone[i])
	}
	if err := s.removeSegments(); err != nil {
		return storeError("remove what all outputs have", err, "check the health of the disk")
	}
	return nil
}

func (s *Store) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Backlog returns what waits for sink; with an empty name, what is kept at all.
func (s *Store) Backlog(sink string) Backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.first
	if tail, ok := s.tails[sink]; ok {
		from = tail
	}
	var b Backlog
	for i, info := range s.sizes {
		if s.first+uint64(i) < from {
			continue
		}
		if b.Chunks == 0 {
			b.Oldest = info.committed
		}
		b.Chunks++
		b.Events += int64(info.events)
		b.Bytes += info.size
	}
	return b
}

// Sinks returns the positions of all sinks that the store knows.
func (s *Store) Sinks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.tails))
	for name := range s.tails {
		names = append(names, name)
	}
	return names
}

// nextChunk returns the number that the next chunk will have.
func (s *Store) nextChunk() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head
}
