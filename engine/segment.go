package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Chunks of larger commits lie in files of their own beside the database, the segments, and Badger holds
// their locations. Badger would copy a chunk into its log, a memtable and a table, all of them mapped,
// and give its room back when it happens to merge tables; a segment takes one write and one sync, and is
// removed as soon as all outputs have what is in it. On ext4, 250 MB in chunks of 300 kB, each synced,
// cost 7.5 s of a processor in Badger's tables, 4 in its value log, and 0.3 in segments.
//
// A chunk is written when it is full, long before its commit, so that the disk works while the pull goes on; the
// commit only syncs. What the commit adds to the chunk (its time, its pull) is in the location, as is the chunk's
// checksum, so that none can be taken for another. A segment is written from its start on by one process and never
// changed: after a failure, and at the next start, a new one begins. What no location points at counts for nothing.
const (
	segmentSuffix = ".chunks"
	segmentBytes  = 8 << 20 // after which the next one begins: so much of the oldest may be room that is lost

	// A pull that stages slowly beside others has its chunks in many segments, which cannot go before them. Beyond so many
	// segments of room that is lost, chunks wait in memory and are written together.
	pinnedSegments = 8

	// A group of commits with fewer bytes of chunks goes into Badger, for one sync instead of two.
	inlineBytes = 16 << 10

	// The first byte of a location, where a chunk has its version.
	locatedVersion = 4
	locationSize   = 1 + 4*5 + 8 + 16 + 8
	// Until format 3 of the store a chunk was as it had been committed, and behind its number.
	numberedVersion = 2
	numberedSize    = 1 + 4*4 + 8
	numberedHead    = 8
)

// A location says where a chunk is, and what a start must know of it.
type location struct {
	segment      uint32 // 0: nowhere
	offset, size uint32 // of the chunk
	events       uint32
	committed    int64  // Unix ms
	sum          uint32 // that the chunk has there
	trace        trace.TraceID
	span         trace.SpanID // of the pull
	numbered     bool         // of a store of format 3
}

func (p location) encode() []byte {
	b := make([]byte, 1, locationSize)
	b[0] = locatedVersion
	numbers := []uint32{p.segment, p.offset, p.size, p.events, p.sum}
	if p.numbered {
		b[0], numbers = numberedVersion, numbers[:4]
	}
	for _, v := range numbers {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(p.committed))
	if p.numbered {
		return b
	}
	return append(append(b, p.trace[:]...), p.span[:]...)
}

// decodeLocation reports false for a value that is a chunk itself.
func decodeLocation(b []byte) (p location, ok bool) {
	p.numbered = len(b) == numberedSize && b[0] == numberedVersion
	if !p.numbered && (len(b) != locationSize || b[0] != locatedVersion) {
		return location{}, false
	}
	rest := b[1:]
	numbers := []*uint32{&p.segment, &p.offset, &p.size, &p.events, &p.sum}
	if p.numbered {
		numbers = numbers[:4]
	}
	for _, v := range numbers {
		*v, rest = binary.LittleEndian.Uint32(rest), rest[4:]
	}
	p.committed, rest = int64(binary.LittleEndian.Uint64(rest)), rest[8:]
	if !p.numbered {
		copy(p.trace[:], rest)
		copy(p.span[:], rest[len(p.trace):])
	}
	return p, true
}

// stamped returns the location of a chunk that is committed.
func (p location) stamped(at time.Time, pull trace.SpanContext) location {
	p.committed, p.trace, p.span = at.UnixMilli(), pull.TraceID(), pull.SpanID()
	return p
}

// pull returns the pull that made the chunk.
func (p location) pull() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: p.trace, SpanID: p.span})
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

// readLocated returns the chunk with the given number, checked and stamped, in into if that is large enough.
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
	start, end := int64(p.offset), int64(p.offset)+int64(p.size)
	if p.numbered {
		start -= numberedHead
	}
	if start < 0 || end > info.Size() {
		return nil, fmt.Errorf("%s: damaged: it ends at byte %d, and chunk %d should be at %d to %d", name, info.Size(), id, p.offset, end)
	}
	data := slices.Grow(into[:0], int(end-start))[:end-start]
	if _, err := f.ReadAt(data, start); err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	mine := true
	if p.numbered {
		mine, data = binary.BigEndian.Uint64(data) == id, data[numberedHead:]
	}
	if err := checkChunk(data); err != nil && mine {
		return nil, fmt.Errorf("%s: damaged: chunk %d at byte %d: %w", name, id, p.offset, err)
	}
	if !mine || !p.numbered && chunkSum(data) != p.sum {
		return nil, fmt.Errorf("%s: damaged: what is at byte %d is not chunk %d", name, p.offset, id)
	}
	if !p.numbered {
		stampChunk(data, time.UnixMilli(p.committed), p.pull())
	}
	return data, nil
}

// segments writes and removes segments. Its zero value, for a store in memory, has none. Any goroutine may add
// chunks; to sync them is for the committer alone.
type segments struct {
	dir      string
	limit    int64 // segmentBytes, or less for tests
	unsynced bool

	mu      sync.Mutex
	number  uint32              // of the last segment that was begun
	current *segment            // nil: the next chunk begins a new one
	begun   map[uint32]*segment // that are not wholly durable yet
	live    map[uint32]int      // how many chunks in each are in the outbox, or may soon be
	size    map[uint32]int64    // of the files
	used    int64               // bytes of these chunks
	total   int64               // of the files
	ahead   int64               // bytes of chunks that wait for their commit
}

// A segment that this process writes, or has to sync.
type segment struct {
	number       uint32
	file         *os.File
	size, synced int64
	named        bool  // the directory has it for certain
	err          error // why it could not be synced: what the disk has of it nobody knows
}

// add writes a chunk, which is durable after sync. It belongs to the caller until it is committed, or released.
func (s *segments) add(chunk []byte) (p location, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.current.size >= s.limit {
		if err := s.begin(); err != nil {
			return p, err
		}
	}
	g := s.current
	if _, err := g.file.Write(chunk); err != nil {
		s.current = nil // nobody knows where it ends
		return p, err
	}
	p = location{segment: g.number, offset: uint32(g.size), size: uint32(len(chunk)), events: chunkEvents(chunk), sum: chunkSum(chunk)}
	startWriting(g.file, g.size, int64(len(chunk)))
	size := int64(len(chunk))
	g.size += size
	s.live[g.number]++
	s.size[g.number] += size
	s.used, s.total, s.ahead = s.used+size, s.total+size, s.ahead+size
	return p, nil
}

// begin begins a new segment.
func (s *segments) begin() error {
	if s.begun == nil {
		return errStoreClosed
	}
	if old := s.current; old != nil && old.synced == old.size {
		s.end(old)
	}
	s.number++
	f, err := os.OpenFile(filepath.Join(s.dir, segmentName(s.number)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.current = &segment{number: s.number, file: f}
	s.begun[s.number] = s.current
	s.live[s.number] = 0 // until there is a chunk in it, it is of no use
	return nil
}

// sync makes what was added to a segment durable.
func (s *segments) sync(number uint32) error {
	s.mu.Lock()
	g := s.begun[number]
	if g == nil { // all of it is durable
		s.mu.Unlock()
		return nil
	}
	size := g.size
	s.mu.Unlock()
	if g.err == nil && g.synced < size && !s.unsynced {
		g.err = g.sync(s.dir)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.err != nil {
		if s.current == g {
			s.current = nil
		}
		return g.err
	}
	g.synced = size
	if s.current != g && size == g.size {
		s.end(g)
	}
	return nil
}

func (g *segment) sync(dir string) error {
	err := g.file.Sync()
	if err == nil && !g.named {
		err = syncDir(dir)
		g.named = err == nil
	}
	return err
}

// end closes a segment that is not written any more, and durable or of no use: what closing it could tell does not matter.
func (s *segments) end(g *segment) {
	delete(s.begun, g.number)
	g.file.Close()
}

// close ends what is written.
func (s *segments) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.begun {
		s.end(g)
	}
	s.current, s.begun = nil, nil
}

// committed notes that so many bytes of chunks do not wait for their commit any more.
func (s *segments) committed(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead -= size
}

// waiting returns how many bytes of chunks wait for their commit, and how many bytes of the files are of no use any more.
func (s *segments) waiting() (ahead, unused int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ahead, s.total - s.used
}

// release notes that chunks will not be committed.
func (s *segments) release(chunks []sealedChunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range chunks {
		if c.at.segment > 0 {
			s.live[c.at.segment]--
			s.used -= int64(c.at.size)
			s.ahead -= int64(c.at.size)
		}
	}
}

// hold keeps the segments of chunks, of which nobody knows whether they were committed, until the next start.
func (s *segments) hold(chunks []sealedChunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range chunks {
		if c.at.segment > 0 {
			s.live[c.at.segment]++
			s.used += int64(c.at.size)
		}
	}
}

// forget notes that the outbox does not have a chunk any more.
func (s *segments) forget(c chunkInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.segment > 0 {
		s.live[c.segment]--
		s.used -= c.size
	}
}

// collect removes the segments of which nothing is used, but for the one that is written.
func (s *segments) collect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed error
	for n, chunks := range s.live {
		if chunks > 0 || s.current != nil && n == s.current.number {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, segmentName(n))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
			continue
		}
		s.total -= s.size[n]
		delete(s.live, n)
		delete(s.size, n)
		if g := s.begun[n]; g != nil {
			s.end(g)
		}
	}
	return failed
}

// load finds out what is there; chunks are those of the outbox.
func (s *segments) load(chunks []chunkInfo) error {
	numbers, err := segmentNumbers(s.dir)
	s.live, s.size, s.begun = map[uint32]int{}, map[uint32]int64{}, map[uint32]*segment{}
	for _, n := range numbers {
		s.number = max(s.number, n)
		s.live[n] = 0 // what a crash has left is removed
		info, serr := os.Stat(filepath.Join(s.dir, segmentName(n)))
		if err = errors.Join(err, serr); serr == nil {
			s.size[n] = info.Size()
			s.total += info.Size()
		}
	}
	for _, c := range chunks {
		if c.segment > 0 {
			s.live[c.segment]++
			s.used += c.size
		}
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

// place puts a chunk where it will stay, before its commit. It reports false if the chunk is to wait in memory:
// there is no room for it ahead of others, or something is wrong, which the commit will tell.
func (s *Store) place(chunk []byte) (location, bool) {
	if s.segments.dir == "" {
		return location{}, false
	}
	size := int64(len(chunk))
	ahead, unused := s.segments.waiting()
	if unused > pinnedSegments*s.segments.limit || ahead+size > s.free.Load() || !s.space.roomy(size) {
		return location{}, false
	}
	s.at(stepPart)
	at, err := s.segments.add(chunk)
	if err != nil {
		s.clean()
	}
	return at, err == nil
}

// clean removes segments beside what else is to be done.
func (s *Store) clean() {
	if err := s.removeSegments(); err != nil && s.space != nil {
		s.space.log.Warn("a file that nothing needs could not be removed; it is tried again", "directory", s.dir, "error", err)
	}
}

// placeChunks makes the chunks of a group durable, but for those that go into Badger because all of them are few
// bytes. It returns the commits of which that went well, and has answered the others.
func (s *Store) placeChunks(group []*commitRequest) []*commitRequest {
	inline := s.segments.dir == "" || sizeOf(group) <= int64(s.inline)
	group = slices.DeleteFunc(group, func(c *commitRequest) bool {
		err := error(nil)
		if !inline {
			err = s.placeRest(c)
		}
		if err = cmp.Or(err, s.syncChunks(c)); err != nil {
			c.done <- err
		}
		return err != nil
	})
	s.at(stepPastHead)
	return group
}

// placeRest writes the chunks of a commit to a segment that wait in memory.
func (s *Store) placeRest(c *commitRequest) error {
	for i := range c.chunks {
		if c.chunks[i].at.segment > 0 {
			continue
		}
		s.at(stepPart)
		at, err := s.segments.add(c.chunks[i].data)
		if err != nil {
			return err
		}
		c.chunks[i] = sealedChunk{at: at}
	}
	return nil
}

// release forgets chunks that will not be committed.
func (s *Store) release(chunks []sealedChunk) {
	if !slices.ContainsFunc(chunks, func(c sealedChunk) bool { return c.at.segment > 0 }) {
		return
	}
	s.segments.release(chunks)
	s.clean()
}

// syncChunks makes the chunks of a commit durable that are in segments.
func (s *Store) syncChunks(c *commitRequest) error {
	last := uint32(0)
	for _, chunk := range c.chunks {
		if n := chunk.at.segment; n != last && n > 0 {
			if err := s.segments.sync(n); err != nil {
				return err
			}
			last = n
		}
	}
	return nil
}

// removeSegments removes the segments that nothing needs any more. A backup may still read them, so
// they then wait for the next call.
func (s *Store) removeSegments() error {
	if s.segments.dir == "" {
		return nil
	}
	s.removing.Lock()
	defer s.removing.Unlock()
	if !s.snapshots.TryLock() {
		return nil
	}
	defer s.snapshots.Unlock()
	s.at(stepRemove)
	return s.segments.collect()
}
