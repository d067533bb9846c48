package engine

import "time"

// Key is what makes a record the same record: a hash of the fields that its table names.
type Key [16]byte

// Seen reports whether key was sent before, by an earlier commit or since, and remembers it with the
// next commit. Keys are remembered by the hour of at and forgotten by ForgetBefore; those of the zero
// time, which means that there is none, for undatedDays days.
func (p *Pull) Seen(at time.Time, key Key) (bool, error) {
	known, err := p.Known(at, key)
	if !known && err == nil {
		p.staged.remember(p.bucket(at), key)
	}
	return known, err
}

// SeenSinceCommit reports whether key of the time at was seen, or remembered, since the last commit.
func (p *Pull) SeenSinceCommit(at time.Time, key Key) bool {
	return p.staged.hour(p.bucket(at)).staged.has(key)
}

// Known reports whether Seen would say that key was seen, and remembers nothing.
func (p *Pull) Known(at time.Time, key Key) (bool, error) {
	bucket := p.bucket(at)
	oldest := bucket
	if at.IsZero() {
		oldest = bucket - undatedDays + 1
	}
	for b := bucket; b >= oldest; b-- {
		if known, err := p.known(b, key); known || err != nil {
			return known, err
		}
	}
	return false, nil
}

// bucket is what the keys of a time are remembered by.
func (p *Pull) bucket(at time.Time) int64 {
	if at.IsZero() {
		return undatedBucket(p.started)
	}
	return hourOf(at)
}

// Approach has the processor fetch what Seen will look at for a key. Called for many keys, one right after the other, it
// waits for all of them about as long as for one.
func (p *Pull) Approach(at time.Time, key Key) {
	h := p.staged.hour(p.bucket(at))
	p.staged.near.touched |= h.staged.touch(key) | h.committed.touch(key)
}

func (p *Pull) known(bucket int64, key Key) (known bool, err error) {
	h := p.staged.hour(bucket)
	if h.staged.has(key) {
		return true, nil
	}
	if p.staged.wipe || p.sweep != nil && p.sweep.again {
		return false, nil
	}
	if h.committed == nil {
		h.committed, err = p.env.Store.seen(p.collector, bucket)
		// The first key of a day is the time to forget the days that are too old.
		p.staged.sweep = p.staged.sweep || bucket >= undated && h.committed.len() == 0
	}
	known = h.committed.has(key)
	if p.lane != nil {
		known = p.lane.lookup(bucket, key, known)
	}
	return known, err
}

// nearHours are the buckets of the rows that were looked up last. Rows come by time, more or less, so that
// the sets of their keys are found without the maps that have them all, and without the store's lock.
type nearHours struct {
	hours   [16]nearHour
	touched byte // what Approach has read, so that it reads it
}

// A nearHour has the keys of a bucket; the place of one without keys is empty.
type nearHour struct {
	bucket    int64
	staged    *keySet // since the last commit; nil: none yet
	committed *keySet // nil: it was not asked for yet
}

// hour returns the keys of a bucket. What was found of another one may have to go.
func (s *staging) hour(bucket int64) *nearHour {
	h := &s.near.hours[uint64(bucket)%uint64(len(s.near.hours))]
	if h.bucket != bucket {
		*h = nearHour{bucket: bucket, staged: s.seen[bucket]}
	}
	return h
}

func (s *staging) remember(bucket int64, key Key) {
	h := s.hour(bucket)
	if h.staged == nil {
		if s.seen == nil {
			s.seen = map[int64]*keySet{}
		}
		room := 0
		if len(s.seen) < 2 { // a window of an hour has rows of two
			room = s.keys
		}
		h.staged = newKeySet(room)
		s.seen[bucket] = h.staged
	}
	h.staged.add(key)
}
