package engine

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A set of keys is the same set as Go's map: with keys by chance, with those of which only the last bytes differ,
// and with the zero key.
func TestKeySet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, room := range []int{0, 1, 15, 1000} {
		set, want := newKeySet(room), map[Key]bool{}
		for i := range 5000 {
			var key Key
			switch i % 3 {
			case 0:
				binary.LittleEndian.PutUint64(key[:], random.Uint64N(3000))
			case 1:
				binary.LittleEndian.PutUint64(key[8:], random.Uint64N(300))
			case 2:
				binary.LittleEndian.PutUint64(key[:], random.Uint64N(3000)<<48)
			}
			if set.has(key) != want[key] {
				t.Fatalf("has(%x) is %v", key, set.has(key))
			}
			set.add(key)
			want[key] = true
			if !set.has(key) || set.len() != len(want) {
				t.Fatalf("after add(%x): has it: %v; %d keys, want %d", key, set.has(key), set.len(), len(want))
			}
		}
		got := slices.Collect(set.all())
		all := map[Key]bool{}
		for _, key := range got {
			all[key] = true
		}
		if len(got) != len(want) || !maps.Equal(all, want) {
			t.Errorf("all gives %d keys, want %d", len(got), len(want))
		}
		for range set.all() {
			break
		}
	}
	var none *keySet
	if none.has(Key{}) || none.has(Key{1}) || none.len() != 0 || len(slices.Collect(none.all())) != 0 {
		t.Error("no set has keys")
	}
}

// A set whose keys all want the same place is slow, and right.
func TestKeySetOfOnePlace(t *testing.T) {
	set := newKeySet(0)
	for i := range 2000 {
		var key Key
		binary.BigEndian.PutUint64(key[8:], uint64(i+1))
		set.add(key)
	}
	if set.len() != 2000 || set.has(Key{15: 0}) || !set.has(Key{15: 1}) {
		t.Errorf("%d keys", set.len())
	}
}
