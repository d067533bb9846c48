package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// staging is what a pull has done since its last commit. Its zero value is empty.
type staging struct {
	writer  chunkWriter
	chunks  []sealedChunk
	place   func(chunk []byte) (location, bool) // puts a full chunk where it will stay; nil: all wait in memory
	size    int64                               // bytes of chunks
	held    int64                               // of those in memory
	events  int64
	bytes   int64  // bodies
	cut     int64  // events that were shortened
	asides  int64  // events that were set aside
	aside   []byte // their lines, until they are on disk
	cursors map[string]json.RawMessage
	seen    map[int64]*keySet
	near    nearHours // of seen
	keys    int       // of the hour with the most of them in the commit before: the next has about as many
	forget  int64     // hours before this one are forgotten; 0 means none
	sweep   bool      // keys without a time that are too old are forgotten
	wipe    bool      // everything committed before is to be forgotten
	marks   []Mark
	counts  map[int64]*HourCount // by the hour of event time
}

// empty forgets everything, and keeps the memory of the writer.
func (s *staging) empty() {
	s.writer.empty()
	most := 0
	for _, keys := range s.seen {
		most = max(most, keys.len())
	}
	*s = staging{writer: s.writer, place: s.place, keys: most}
}

func (s *staging) add(table *Table, at time.Time, body []byte, clean bool, limit int64) error {
	if err := s.room(limit); err != nil {
		return err
	}
	if len(s.writer.raw)+len(body) > chunkMost-4<<10 { // with what is around it
		s.full()
	}
	added := s.writer.add(table, at, body)
	if !clean {
		oneLine(added)
	}
	s.events++
	s.bytes += int64(len(body))
	if len(s.writer.raw) >= chunkTarget {
		s.full()
	}
	return nil
}

func (s *staging) room(limit int64) error {
	if s.size+int64(len(s.writer.raw)+len(s.aside)) <= limit {
		return nil
	}
	return &Error{Code: CodeTooLarge, Op: "stage an event",
		Err:  fmt.Errorf("%d events wait for a commit and take more than %d bytes", s.events+s.asides, limit),
		Hint: "call checkpoint.commit more often, use smaller windows, or raise starling.limits.staged_bytes"}
}

func (s *staging) setAside(e AsideEvent, limit int64) error {
	if err := s.room(limit); err != nil {
		return err
	}
	s.aside = append(s.aside, e.line()...)
	s.asides++
	return nil
}

// A sealedChunk waits for its commit: in memory, or in a segment.
type sealedChunk struct {
	data []byte   // nil once it is in a segment
	at   location // its segment is 0 while it is in memory
}

// full seals the chunk that is being filled, and puts it where it will stay if there is room.
func (s *staging) full() {
	if s.writer.events > 0 {
		s.take(s.writer.seal(), s.place)
	}
}

// close seals the chunk that is being filled: it may be small, so that the commit decides about it.
func (s *staging) close() {
	if s.writer.events > 0 {
		s.take(s.writer.seal(), nil)
	}
}

func (s *staging) take(chunk []byte, place func([]byte) (location, bool)) {
	s.size += int64(len(chunk))
	if place != nil {
		if at, ok := place(chunk); ok {
			s.chunks = append(s.chunks, sealedChunk{at: at})
			return
		}
	}
	s.chunks = append(s.chunks, sealedChunk{data: bytes.Clone(chunk)}) // as large as it is: it waits
	s.held += int64(len(chunk))
}

// commitRequest is a sealed staging on its way into the store.
type commitRequest struct {
	collector string
	pull      trace.SpanContext
	started   time.Time // of the pull
	next      uint64    // the first chunk after it
	staging
	done chan error
}

// seal closes the chunk that is being filled and returns everything as one commit. The staging stays
// as it is, so a commit that fails can be tried again.
func (s *staging) seal() *commitRequest {
	s.close()
	return &commitRequest{staging: *s, done: make(chan error, 1)}
}

func (c *commitRequest) empty() bool {
	return len(c.chunks) == 0 && c.asides == 0 && len(c.cursors) == 0 && len(c.seen) == 0 && c.forget == 0 && !c.wipe && len(c.marks) == 0 && len(c.counts) == 0
}

// Keys without a time are remembered by the day on which they were sent, in buckets beyond all hours.
const (
	undated     = int64(1) << 40
	undatedDays = 8
)

func undatedBucket(t time.Time) int64 { return undated + t.Unix()/86400 }

// forgets reports whether the keys of a bucket are to be forgotten.
func (c *commitRequest) forgets(bucket int64) bool {
	if bucket >= undated {
		return bucket <= undatedBucket(c.started)-undatedDays
	}
	return bucket < c.forget
}

// hourOf returns the hours since 1970 that the bucket of remembered keys is named by. Times before
// 1970 share the first bucket.
func hourOf(t time.Time) int64 { return max(t.Unix()/3600, 1) }
