package engine

import (
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Badger gives the room of what is deleted (remembered keys, small chunks, those of an older version or a
// backup) back when it happens to merge the tables that hold it with those that say so. While things come
// and go it does, but after a backlog has drained it may never do. So the store looks at the size of the
// files, and has all tables merged when they hold much more than what is in use.
const (
	reclaimEvery = 10 * time.Second
	reclaimSlack = 64 << 20 // bytes on top of what is in use; in a steady flow Badger itself stays below
)

// keepSmall gives unused room back until the store is closed.
func (s *Store) keepSmall(every time.Duration, slack int64) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !s.overgrown(slack) {
				continue
			}
			if err := s.reclaim(); err != nil {
				s.space.log.Warn("room in the state directory that is not used could not be given back; it is tried again", "directory", s.dir, "error", err)
			}
		case <-s.closed:
			return
		}
	}
}

// overgrown reports whether the files hold much that is not in use, and the disk has the room that it
// takes to write what is in use anew.
func (s *Store) overgrown(slack int64) bool {
	s.mu.Lock()
	outbox, others := s.inBadger, s.others
	s.mu.Unlock()
	return s.filesSize() > 2*outbox+others+others/2+slack && s.space.look() > outbox+others+2*memTable
}

// filesSize returns how much of the disk Badger's tables and values take. What its logs take is bounded.
func (s *Store) filesSize() int64 { return allocatedBy(s.dir, ".sst", ".vlog") }

// reclaim has Badger merge all tables, so that what was deleted is gone. Commits go on meanwhile, but
// for a moment.
func (s *Store) reclaim() error {
	if !s.snapshots.TryLock() { // a backup may still read what was deleted since it began
		return nil
	}
	defer s.snapshots.Unlock()
	s.at(stepReclaim)
	if err := s.db.Flatten(1); err != nil { // so that the moment is short
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.at(stepFlushed)
	if err := s.db.Flatten(1); err != nil {
		return err
	}
	for s.db.RunValueLogGC(0.5) == nil {
	}
	size := s.filesSize()
	s.mu.Lock()
	s.others = max(0, size-s.inBadger)
	s.mu.Unlock()
	s.at(stepReclaimed)
	return nil
}

// flush brings the newest deletions from memory into a table. Badger has no call for this, but does it
// before it drops a prefix, if there is a key with it.
func (s *Store) flush() error {
	s.writing.Lock() // Badger refuses writes meanwhile
	defer s.writing.Unlock()
	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(keyFlush), nil) }); err != nil {
		return err
	}
	s.at(stepFlush)
	return s.db.DropPrefix([]byte(keyFlush))
}
