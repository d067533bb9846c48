package engine

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// A keySet is a set of keys. Keys are hashes already, so a place is found by their first bytes; whoever makes
// many with the same ones gains longer searches, not a wrong answer. A map of Go takes three times as long. The
// zero value, and nil, are empty.
type keySet struct {
	slots []Key // a power of two, at most 5/8 of them used: a search takes four steps then, with 3/4 nine; the zero key marks a free one
	used  int
	zero  bool // the zero key is in the set
}

// leastSlots keeps some of them free, without which a search would not end.
const leastSlots = 16

// newKeySet returns an empty set with room for so many keys.
func newKeySet(room int) *keySet {
	s := &keySet{}
	if room > 0 {
		s.slots = make([]Key, max(leastSlots, 1<<bits.Len(uint(room+room/5*3))))
	}
	return s
}

func (s *keySet) len() int {
	switch {
	case s == nil:
		return 0
	case s.zero:
		return s.used + 1
	}
	return s.used
}

func (s *keySet) has(key Key) bool {
	switch {
	case s == nil:
		return false
	case key == Key{}:
		return s.zero
	case len(s.slots) == 0:
		return false
	}
	return s.slots[s.find(key)] == key
}

// find returns the slot that has the key, or that it would go into.
func (s *keySet) find(key Key) int {
	mask := len(s.slots) - 1
	i := int(binary.LittleEndian.Uint64(key[:])) & mask
	for s.slots[i] != key && s.slots[i] != (Key{}) {
		i = (i + 1) & mask
	}
	return i
}

// add puts a key into the set, if it is not there.
func (s *keySet) add(key Key) {
	if key == (Key{}) {
		s.zero = true
		return
	}
	if 8*s.used >= 5*len(s.slots) {
		s.grow()
	}
	if i := s.find(key); s.slots[i] != key {
		s.slots[i] = key
		s.used++
	}
}

func (s *keySet) grow() {
	old := s.slots
	s.slots = make([]Key, max(leastSlots, 2*len(old)))
	for _, key := range old {
		if key != (Key{}) {
			s.slots[s.find(key)] = key
		}
	}
}

// all gives every key once, in no order.
func (s *keySet) all() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		if s == nil || s.zero && !yield(Key{}) {
			return
		}
		for _, key := range s.slots {
			if key != (Key{}) && !yield(key) {
				return
			}
		}
	}
}

// touch reads where a search for the key begins.
func (s *keySet) touch(key Key) byte {
	if s == nil || len(s.slots) == 0 {
		return 0
	}
	return s.slots[int(binary.LittleEndian.Uint64(key[:]))&(len(s.slots)-1)][0]
}
