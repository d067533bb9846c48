package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Chunks of larger commits lie in files of their own beside the database, the segments, and Badger holds
// their locations. Badger would copy a chunk into its log, a memtable and a table, all of them mapped,
// and give its room back when it happens to merge tables; a segment takes one write and one sync, and is
// removed as soon as all outputs have what is in it. On ext4, 250 MB in chunks of 300 kB, each synced,
// cost 7.5 s of a processor in Badger's tables, 4 in its value log, and 0.3 in segments.
//
// A segment is written from its start on by one process and never changed: after a failure, and at the
// next start, a new one begins. What no location points at counts for nothing. In front of each chunk
// stands its number (8 bytes), so that none can be taken for another.
const (
	segmentSuffix = ".chunks"
	segmentBytes  = 8 << 20 // after which the next one begins: so much of the oldest may be room that is lost
	segmentHead   = 8

	// A group of commits with fewer bytes of chunks goes into Badger, for one sync instead of two.
	inlineBytes = 16 << 10

	locatedVersion = 2 // where a chunk has its own
	locationSize   = 1 + 4 + 4 + 4 + 4 + 8
)

// A location says where a chunk is, and what a start must know of it.
type location struct {
	segment      uint32 // 0: nowhere
	offset, size uint32 // of the chunk
	events       uint32
	committed    int64 // Unix ms
}

func (p location) encode() []byte {
	b := make([]byte, 1, locationSize)
	b[0] = locatedVersion
	for _, v := range []uint32{p.segment, p.offset, p.size, p.events} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return binary.LittleEndian.AppendUint64(b, uint64(p.committed))
}

// decodeLocation reports false for a value that is a chunk itself.
func decodeLocation(b []byte) (p location, ok bool) {
	if len(b) != locationSize || b[0] != locatedVersion {
		return p, false
	}
	for i, v := range []*uint32{&p.segment, &p.offset, &p.size, &p.events} {
		*v = binary.LittleEndian.Uint32(b[1+4*i:])
	}
	p.committed = int64(binary.LittleEndian.Uint64(b[17:]))
	return p, true
}

func segmentName(number uint32) string { return fmt.Sprintf("%06d%s", number, segmentSuffix) }

// segmentNumbers lists the segments in dir, in order.
func segmentNumbers(dir string) (numbers []uint32, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		var n uint32
		if _, scanned := fmt.Sscanf(e.Name(), "%d"+segmentSuffix, &n); scanned == nil && n > 0 && e.Name() == segmentName(n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

// readLocated returns the chunk with the given number, checked, in into if that is large enough.
func readLocated(dir string, id uint64, p location, into []byte) ([]byte, error) {
	name := segmentName(p.segment)
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	start, end := int64(p.offset)-segmentHead, int64(p.offset)+int64(p.size)
	if start < 0 || end > info.Size() {
		return nil, fmt.Errorf("%s: damaged: it ends at byte %d, and chunk %d should be at %d to %d", name, info.Size(), id, p.offset, end)
	}
	data := slices.Grow(into[:0], int(end-start))[:end-start]
	if _, err := f.ReadAt(data, start); err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	if binary.BigEndian.Uint64(data) != id {
		return nil, fmt.Errorf("%s: damaged: what is at byte %d is not chunk %d", name, p.offset, id)
	}
	data = data[segmentHead:]
	if err := checkChunk(data); err != nil {
		return nil, fmt.Errorf("%s: damaged: chunk %d at byte %d: %w", name, id, p.offset, err)
	}
	return data, nil
}

// segments writes and removes segments. Its zero value, for a store in memory, has none.
type segments struct {
	dir      string
	limit    int64 // segmentBytes, or less for tests
	unsynced bool

	// Of the segment that is written; for the committer alone, but number.
	file *os.File // nil: the next chunk begins a new one
	size int64

	mu     sync.Mutex
	number uint32         // of the last segment that was begun
	open   bool           // it is still written
	live   map[uint32]int // how many chunks in each the outbox has, or may soon have
}

// add writes a chunk, which is durable after sync.
func (s *segments) add(id uint64, chunk []byte) (p location, err error) {
	if s.file == nil || s.size >= s.limit {
		if err := s.begin(); err != nil {
			return p, err
		}
	}
	if _, err := s.file.Write(binary.BigEndian.AppendUint64(nil, id)); err != nil {
		return p, err
	}
	if _, err := s.file.Write(chunk); err != nil {
		return p, err
	}
	p = location{segment: s.number, offset: uint32(s.size + segmentHead), size: uint32(len(chunk)), events: chunkEvents(chunk), committed: chunkCommitted(chunk)}
	s.size += segmentHead + int64(len(chunk))
	s.mu.Lock()
	s.live[s.number]++
	s.mu.Unlock()
	return p, nil
}

// begin ends the segment that is written, and begins a new one.
func (s *segments) begin() error {
	err := s.sync()
	if err = errors.Join(err, s.end()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	f, err := os.OpenFile(filepath.Join(s.dir, segmentName(s.number)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.file, s.size, s.open = f, 0, true
	if s.unsynced {
		return nil
	}
	return syncDir(s.dir)
}

// end ends the segment that is written, so that the next chunk begins a new one.
func (s *segments) end() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	s.mu.Lock()
	s.open = false
	s.mu.Unlock()
	return err
}

func (s *segments) sync() error {
	if s.file == nil || s.unsynced {
		return nil
	}
	return s.file.Sync()
}

// abandon ends the segment that is written after a failure: what the disk has of it nobody knows.
func (s *segments) abandon(chunks []location) error {
	s.release(chunks)
	return s.end()
}

// release notes that the outbox will not have these chunks.
func (s *segments) release(chunks []location) {
	for _, p := range chunks {
		s.forget(p.segment)
	}
}

// forget notes that the outbox has one chunk less in a segment.
func (s *segments) forget(number uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number > 0 {
		s.live[number]--
	}
}

// collect removes the segments of which nothing is used, but for the one that is written.
func (s *segments) collect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed error
	for n, chunks := range s.live {
		if chunks > 0 || s.open && n == s.number {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, segmentName(n))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
			continue
		}
		delete(s.live, n)
	}
	return failed
}

// load finds out what is there; used says which segments have chunks of the outbox, and how many.
func (s *segments) load(used map[uint32]int) error {
	numbers, err := segmentNumbers(s.dir)
	s.live = used
	for _, n := range numbers {
		s.number = max(s.number, n)
		s.live[n] += 0 // what a crash has left is removed
	}
	return err
}

// bytes returns how much of the disk the segments take.
func (s *segments) bytes() (size int64) {
	if s.dir == "" {
		return 0
	}
	return allocatedBy(s.dir, segmentSuffix)
}

// writeChunks writes the chunks of a plan to a segment, unless they are few bytes, and returns what Badger gets.
func (s *Store) writeChunks(p *commitPlan) ([]keyValue, error) {
	size := 0
	for _, kv := range p.data {
		size += len(kv.value)
	}
	if s.segments.dir == "" || size <= s.inline {
		return p.data, nil
	}
	placed := make([]keyValue, 0, len(p.data))
	for _, kv := range p.data {
		s.at(stepPart)
		at, err := s.segments.add(binary.BigEndian.Uint64(kv.key[len(prefChunk):]), kv.value)
		if err != nil {
			return nil, errors.Join(err, s.segments.abandon(p.locations))
		}
		p.locations = append(p.locations, at)
		placed = append(placed, keyValue{kv.key, at.encode()})
	}
	if err := s.segments.sync(); err != nil {
		return nil, errors.Join(err, s.segments.abandon(p.locations))
	}
	s.at(stepPastHead)
	return placed, nil
}

// removeSegments removes the segments that nothing needs any more. A backup may still read them, so
// they then wait for the next call.
func (s *Store) removeSegments() error {
	if s.segments.dir == "" || !s.snapshots.TryLock() {
		return nil
	}
	defer s.snapshots.Unlock()
	s.at(stepRemove)
	return s.segments.collect()
}
