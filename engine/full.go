package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// OutboxFull says what happens when the outbox is full.
type OutboxFull string

const (
	// Wait has pulls wait at their commit: the API keeps the data meanwhile.
	Wait OutboxFull = "wait"
	// DropOldest forgets the oldest events of the outputs that are behind.
	DropOldest OutboxFull = "drop_oldest"
)

// A policy bounds the outbox. The zero value of age means any.
type policy struct {
	bytes   int64
	age     time.Duration
	drop    map[string]bool // outputs that drop
	dropped func(Dropped)   // told of every drop, once it is on disk; may be nil
}

// Dropped is what an output was never given, or only in part, because the outbox was full. Some of it
// may have been on its way and have arrived.
type Dropped struct {
	Sink   string    `json:"-"`
	Events int64     `json:"events"`
	Chunks int64     `json:"chunks"`
	First  uint64    `json:"first"` // chunks
	Last   uint64    `json:"last"`
	From   time.Time `json:"from"` // of their commits
	To     time.Time `json:"to"`
}

// setPolicy bounds the outbox from now on.
func (s *Store) setPolicy(p policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = p
	s.free.Store(p.bytes - s.bytes)
	s.wake()
}

// fits reports whether the outbox has room for size more bytes. An empty one takes anything.
func (s *Store) fits(size int64) bool {
	return len(s.sizes) == 0 || s.bytes+size <= s.policy.bytes && !s.tooOld(s.sizes[0])
}

func (s *Store) tooOld(c chunkInfo) bool {
	return s.policy.age > 0 && time.Since(c.committed) > s.policy.age
}

// dropFor makes room for size more bytes, as far as outputs that drop hold it; and a tenth more than
// that, so that it does not happen at every commit.
func (s *Store) dropFor(size int64) error {
	if s.fits(size) || len(s.policy.drop) == 0 {
		return nil
	}
	to, bytes := s.first, s.bytes
	full := bytes+size > s.policy.bytes
	for i := 0; i < len(s.sizes) && (s.tooOld(s.sizes[i]) || full && bytes+size > s.policy.bytes-s.policy.bytes/10); i++ {
		bytes -= s.sizes[i].size
		to++
	}
	for name, tail := range s.tails { // what others wait for takes its room all the same
		if !s.policy.drop[name] {
			to = min(to, tail)
		}
	}
	return s.drop(to)
}

// dropAged drops what is too old also while nobody commits.
func (s *Store) dropAged() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropFor(0)
}

// drop moves the places of outputs that drop to at least to, and deletes what nobody needs any more.
func (s *Store) drop(to uint64) error {
	drops := map[string]Dropped{}
	for name, tail := range s.tails {
		if s.policy.drop[name] && tail < to {
			drops[name] = s.between(name, tail, to)
		}
	}
	if len(drops) == 0 {
		return nil
	}
	totals := map[string]Dropped{}
	for name, d := range drops {
		totals[name] = s.drops[name].plus(d)
	}
	oldest := s.head
	for name, tail := range s.tails {
		if _, ok := drops[name]; ok {
			tail = to
		}
		oldest = min(oldest, tail)
	}
	var err error
	for _, d := range drops {
		err = errors.Join(err, s.loseInLedger(d.First, to))
	}
	if err != nil {
		return storeError("note in the ledger what is dropped", err, "check the disk's free space and health")
	}
	err = s.update(func(t *testimony) { t.first = oldest }, func(txn *badger.Txn) error {
		for name, total := range totals {
			if err := setTail(txn, name, to); err != nil {
				return err
			}
			text, err := json.Marshal(total)
			if err != nil {
				return err
			}
			if err := txn.Set([]byte(prefDrop+name), text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return storeError("drop the oldest events of a full outbox", err, "check the disk's free space and health")
	}
	for name, d := range drops {
		s.tails[name], s.drops[name] = to, totals[name]
		if s.policy.dropped != nil {
			s.policy.dropped(d)
		}
	}
	return s.trim()
}

// between counts what chunks from, …, to-1 hold.
func (s *Store) between(sink string, from, to uint64) Dropped {
	from = max(from, s.first)
	infos := s.sizes[from-s.first : to-s.first]
	d := Dropped{Sink: sink, Chunks: int64(len(infos)), First: from, Last: to - 1, From: infos[0].committed.UTC(), To: infos[len(infos)-1].committed.UTC()}
	for _, info := range infos {
		d.Events += int64(info.events)
	}
	return d
}

// plus adds what was dropped later.
func (d Dropped) plus(more Dropped) Dropped {
	if d.Chunks == 0 {
		return more
	}
	d.Events += more.Events
	d.Chunks += more.Chunks
	d.Last, d.To = more.Last, more.To
	return d
}

func (d Dropped) String() string {
	return fmt.Sprintf("%d events of chunks %d to %d, committed from %s to %s", d.Events, d.First, d.Last, d.From.Format(time.RFC3339), d.To.Format(time.RFC3339))
}

// Dropped returns what an output was not given since its state began.
func (s *Store) Dropped(sink string) Dropped {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drops[sink]
}

// loadDrops reads what was dropped before. A number that cannot be read is no reason not to start.
func (s *Store) loadDrops(txn *badger.Txn) error {
	return scan(txn, prefDrop, true, func(key string, item *badger.Item) error {
		return item.Value(func(v []byte) error {
			var d Dropped
			if json.Unmarshal(v, &d) == nil {
				s.drops[key] = d
			}
			return nil
		})
	})
}
