package engine

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"starling/engine/internal/badgerfile"
)

// A salvage is what the files of a state directory still have, damage or not.
type salvage struct {
	dir     string
	last    numbered             // the newest transaction of which anything was found
	heads   []headVersion        // in the order of their versions
	tails   map[string]valued    // by sink
	cursors map[string][]valued  // by collector 0 name, in the order of their versions
	ledgers map[string][]valued  // by collector 0 day, likewise
	chunks  map[uint64]chunkFile // by number
	seen    map[string]valued    // keys below prefSeen
	blocks  map[uint64]valued
}

// valued is a version of a key; without a value if that is large.
type valued struct {
	version uint64
	deleted bool
	value   []byte
}

type headVersion struct{ version, head, block uint64 }

type chunkFile struct {
	valued
	pointer   badgerfile.Pointer
	location  location
	events    int
	committed time.Time
	err       error
}

// gather reads all that there is; behind says whether to look behind damage too.
func gather(dir string, behind bool) (*salvage, error) {
	s := &salvage{dir: dir, tails: map[string]valued{}, cursors: map[string][]valued{}, ledgers: map[string][]valued{}, chunks: map[uint64]chunkFile{},
		seen: map[string]valued{}, blocks: map[uint64]valued{}}
	if _, err := badgerfile.Read(dir, behind, s.take); err != nil {
		return nil, err
	}
	slices.SortFunc(s.heads, func(a, b headVersion) int { return int(a.version) - int(b.version) })
	for _, all := range []map[string][]valued{s.cursors, s.ledgers} {
		for _, versions := range all {
			slices.SortFunc(versions, func(a, b valued) int { return int(a.version) - int(b.version) })
		}
	}
	for id, c := range s.chunks {
		s.chunks[id] = c.check(dir, id)
	}
	return s, nil
}

func (s *salvage) take(e badgerfile.Entry) {
	key := string(e.Key)
	v := valued{version: e.Version, deleted: e.Deleted}
	switch {
	case key == keySeq:
		if seq, at, err := decodeSeq(e.Value); err == nil && seq > s.last.seq {
			s.last = numbered{seq, at}
		}
	case key == keyHead && len(e.Value) == 16:
		s.heads = append(s.heads, headVersion{e.Version, binary.BigEndian.Uint64(e.Value), binary.BigEndian.Uint64(e.Value[8:])})
	case strings.HasPrefix(key, prefTail):
		newest(s.tails, key[len(prefTail):], v.with(e.Value))
	case strings.HasPrefix(key, prefCursor):
		name := key[len(prefCursor):]
		s.cursors[name] = append(s.cursors[name], v.with(e.Value))
	case strings.HasPrefix(key, prefLedger):
		name := key[len(prefLedger):]
		s.ledgers[name] = append(s.ledgers[name], v.with(e.Value))
	case strings.HasPrefix(key, prefSeen):
		newest(s.seen, key, v)
	case len(key) != 9:
	case strings.HasPrefix(key, prefBlock):
		newest(s.blocks, binary.BigEndian.Uint64(e.Key[1:]), v)
	case strings.HasPrefix(key, prefChunk):
		s.takeChunk(binary.BigEndian.Uint64(e.Key[1:]), e, v)
	}
}

// takeChunk keeps the newest version of a chunk that can be read, without its events.
func (s *salvage) takeChunk(id uint64, e badgerfile.Entry, v valued) {
	old, ok := s.chunks[id]
	if ok && old.version > e.Version {
		return
	}
	c := chunkFile{valued: v, pointer: e.Pointer}
	var placed bool
	if c.location, placed = decodeLocation(e.Value); !placed && !e.Deleted && e.Pointer == (badgerfile.Pointer{}) {
		c.read(e.Value)
	}
	s.chunks[id] = c
}

func (c *chunkFile) read(value []byte) {
	decoded, err := decodeChunk(value, &block{})
	c.events, c.committed, c.err = len(decoded.events), decoded.committed, err
}

// check reads a chunk that is in a value log or a segment.
func (c chunkFile) check(dir string, id uint64) chunkFile {
	var value []byte
	var err error
	switch {
	case c.deleted:
		return c
	case c.location.segment > 0:
		value, err = readLocated(dir, id, c.location, nil)
	case c.pointer != (badgerfile.Pointer{}):
		value, err = badgerfile.Value(dir, c.pointer, chunkKey(id), c.version)
	default:
		return c
	}
	if err != nil {
		c.err = err
		return c
	}
	c.read(value)
	return c
}

func (v valued) with(value []byte) valued {
	v.value = slices.Clone(value)
	return v
}

func newest[K comparable](m map[K]valued, key K, v valued) {
	if old, ok := m[key]; !ok || old.version <= v.version {
		m[key] = v
	}
}

// head returns the newest head. Without any, the chunks say what it must have been.
func (s *salvage) head() headVersion {
	if n := len(s.heads); n > 0 {
		return s.heads[n-1]
	}
	var h headVersion
	for id := range s.chunks {
		h.head = max(h.head, id+1)
	}
	for id := range s.blocks {
		h.block = max(h.block, id+1)
	}
	return h
}

// A hole is a range of chunks that are lost, and what is known of the commits that made them.
type hole struct {
	first, last   uint64
	after, before uint64 // versions between which they were committed; the second is included
	from, to      time.Time
}

// holes returns the ranges in [first, end) that are neither there nor deleted in order.
func (s *salvage) holes(first, end uint64) []hole {
	var all []hole
	for id := first; id < end; id++ {
		if c, ok := s.chunks[id]; ok && (c.deleted || c.err == nil) {
			continue
		}
		if n := len(all); n > 0 && all[n-1].last == id-1 {
			all[n-1].last = id
			continue
		}
		all = append(all, hole{first: id, last: id})
	}
	for i := range all {
		s.bound(&all[i])
	}
	return all
}

// bound finds out between which versions and times the chunks of a hole were committed.
func (s *salvage) bound(h *hole) {
	h.before = math.MaxUint64
	for _, v := range s.heads {
		if v.head <= h.first {
			h.after = max(h.after, v.version)
		}
		if v.head > h.last {
			h.before = min(h.before, v.version)
		}
	}
	for id, c := range s.chunks {
		if c.deleted || c.err != nil {
			continue
		}
		if id < h.first {
			h.after = max(h.after, c.version-1) // the hole may be of the same commit, unless a head says otherwise
			if c.committed.After(h.from) {
				h.from = c.committed
			}
		}
		if id > h.last && (h.to.IsZero() || c.committed.Before(h.to)) {
			h.to = c.committed
		}
	}
}

// kept returns the numbers of the chunks in [first, end) that are there, in order.
func (s *salvage) kept(first, end uint64) []uint64 {
	ids := slices.Sorted(maps.Keys(s.chunks))
	return slices.DeleteFunc(ids, func(id uint64) bool {
		c := s.chunks[id]
		return id < first || id >= end || c.deleted || c.err != nil
	})
}
