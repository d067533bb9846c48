package badgerfile

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// table reads a table: blocks, an index that says where they begin, and how to check it.
//
//	block … | index | length of it (4 bytes) | checksum | length of it (4)
func (r *Reader) table(name string, dropped bool) {
	data := r.load(name)
	body, ok := checked(data)
	if !ok {
		if !dropped { // one that the manifest does not name may be half written
			r.report.problem(name, "damaged: its index cannot be read (%d bytes)", len(data))
		}
		return
	}
	indexLen := int(binary.BigEndian.Uint32(body[len(body)-4:])) // checked has seen that it fits
	index := fb.GetRootAsTableIndex(body[len(body)-4-indexLen:len(body)-4], 0)
	var at fb.BlockOffset
	for i := range index.OffsetsLength() {
		if !index.Offsets(&at, i) {
			r.report.problem(name, "damaged: its index is too short")
			return
		}
		start, end := int64(at.Offset()), int64(at.Offset())+int64(at.Len())
		if end > int64(len(data)) || !r.block(data[start:end], dropped) {
			r.report.problem(name, "damaged: block %d, bytes %d to %d, does not match its checksum", i, start, end)
			if !r.salvage {
				return
			}
		}
	}
}

// checked verifies the index's checksum, and returns the data up to the end of the index's length.
func checked(data []byte) ([]byte, bool) {
	rest, sum, ok := cutChecksum(data)
	if !ok || len(rest) < 4 {
		return nil, false
	}
	n := int64(binary.BigEndian.Uint32(rest[len(rest)-4:]))
	if n < 8 || n > int64(len(rest))-4 {
		return nil, false
	}
	index := rest[int64(len(rest))-4-n : len(rest)-4]
	return rest, verify(index, sum)
}

// cutChecksum takes a checksum and its length off the end of data.
func cutChecksum(data []byte) (rest []byte, sum *pb.Checksum, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	rest = data[:len(data)-4]
	n := int64(binary.BigEndian.Uint32(data[len(data)-4:]))
	if n > int64(len(rest)) || n > 64 {
		return nil, nil, false
	}
	at := int64(len(rest)) - n
	sum = &pb.Checksum{}
	return rest[:at], sum, proto.Unmarshal(rest[at:], sum) == nil
}

func verify(data []byte, sum *pb.Checksum) bool {
	known := sum.Algo == pb.Checksum_CRC32C || sum.Algo == pb.Checksum_XXHash64
	return known && y.CalculateChecksum(data, sum.Algo) == sum.Sum
}

// block reads the entries of a block, which share the beginning of the first one's key.
//
//	entry … | where each begins (4 bytes each) | number of them (4) | checksum | length of it (4)
//	entry: length shared (2), length of its own (2), key, meta (1), user meta (1), expiry (uvarint), value
func (r *Reader) block(data []byte, dropped bool) bool {
	data, sum, ok := cutChecksum(data)
	if !ok || len(data) < 4 || !verify(data, sum) {
		return false
	}
	n := int64(binary.BigEndian.Uint32(data[len(data)-4:]))
	entries := int64(len(data)) - 4 - 4*n
	if entries < 0 {
		return false
	}
	offsets := data[entries : len(data)-4]
	var base []byte
	for i := range n {
		start, end := int64(binary.LittleEndian.Uint32(offsets[4*i:])), entries
		if i+1 < n {
			end = int64(binary.LittleEndian.Uint32(offsets[4*(i+1):]))
		}
		if start > end || end > entries || end-start < 4 {
			return false
		}
		entry := data[start:end]
		shared, own := int(binary.LittleEndian.Uint16(entry)), int(binary.LittleEndian.Uint16(entry[2:]))
		if shared > len(base) || 4+own+3 > len(entry) {
			return false
		}
		key := append(base[:shared:shared], entry[4:4+own]...)
		if i == 0 {
			base = key
		}
		value := entry[4+own:]
		_, skip := binary.Uvarint(value[2:])
		k, version, ok := splitKey(key)
		if skip <= 0 || !ok {
			return false
		}
		r.offer(Entry{Key: k, Version: version, InTable: true, Dropped: dropped}, value[0], value[2+skip:])
	}
	return true
}

// Value returns the value that p points to, of the given key.
func Value(dir string, p Pointer, key []byte, version uint64) ([]byte, error) {
	name := fmt.Sprintf("%06d.vlog", p.Log)
	record, err := readAt(dir, name, int64(p.Offset), int64(p.Len))
	if err != nil {
		return nil, err
	}
	e, ok := decodeRecord(record)
	if !ok || e.size != len(record) {
		return nil, fmt.Errorf("%s: damaged: the record at byte %d does not match its checksum", name, p.Offset)
	}
	if k, v, _ := splitKey(e.key); string(k) != string(key) || v != version {
		return nil, fmt.Errorf("%s: damaged: the record at byte %d is not of key %q", name, p.Offset, key)
	}
	return e.value, nil
}
