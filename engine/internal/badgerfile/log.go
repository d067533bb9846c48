package badgerfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

const logHeader = 20 // number of the encryption key (8 bytes), start of the initialisation vector (12)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A record is what logs consist of:
//
//	meta (1 byte) | user meta (1) | length of key, of value, expiry (uvarints) | key | value | CRC-32C (4)
type record struct {
	meta       byte
	key, value []byte
	size       int
}

// decodeRecord reads the record at the start of data.
func decodeRecord(data []byte) (record, bool) {
	e, ok := frameRecord(data)
	if !ok {
		return record{}, false
	}
	end := e.size - 4
	return e, crc32.Checksum(data[:end], castagnoli) == binary.BigEndian.Uint32(data[end:])
}

// frameRecord finds out where the parts of a record are, without looking at its checksum.
func frameRecord(data []byte) (record, bool) {
	if len(data) < 2 {
		return record{}, false
	}
	at := 2
	var n [3]uint64
	for i := range n {
		v, skip := binary.Uvarint(data[at:])
		if skip <= 0 {
			return record{}, false
		}
		n[i], at = v, at+skip
	}
	keyLen, valueLen, rest := n[0], n[1], uint64(len(data)-at)
	if keyLen == 0 || keyLen > 1<<16 || valueLen > rest || keyLen+valueLen+4 > rest {
		return record{}, false
	}
	value := at + int(keyLen)
	end := value + int(valueLen)
	return record{meta: data[0], key: data[at:value], value: data[value:end], size: end + 4}, true
}

// log reads the log of a memtable: transactions, each closed by a record that names its version.
func (r *Reader) log(name string) {
	data, err := readData(filepath.Join(r.dir, name))
	if err != nil {
		r.report.problem(name, "cannot be read: %v", err)
		return
	}
	r.report.Files++
	r.report.Bytes += int64(len(data))
	r.checkHead(name, data)
	size := len(data)
	data = data[min(logHeader, size):]
	t := transaction{}
	dropped := false
	for len(data) > 0 {
		e, ok := decodeRecord(data)
		if !dropped && !(ok && t.fits(e)) {
			if allZero(data) {
				break // nothing was written from here on
			}
			at := size - len(data)
			r.report.Torn = append(r.report.Torn, Problem{name, fmt.Sprintf("from byte %d on it cannot be read", at)})
			if !r.salvage {
				return
			}
			r.offerAll(t.records, true)
			t, dropped = transaction{}, true
		}
		if !ok {
			data = resume(data)
			continue
		}
		data = data[e.size:]
		switch {
		case dropped:
			r.offerAll([]record{e}, true)
		case t.add(e):
			r.offerAll(t.records, false)
			t = transaction{}
		}
	}
	if r.salvage {
		r.offerAll(t.records, true)
	}
}

// A transaction gathers the records of one version, until the one that ends it.
type transaction struct {
	records []record
	version uint64
}

// fits reports whether Badger would take e as the next record.
func (t *transaction) fits(e record) bool {
	_, v, ok := splitKey(e.key)
	switch {
	case !ok:
		return false
	case e.meta&bitTxn != 0:
		return len(t.records) == 0 || v == t.version
	case e.meta&bitFinTxn != 0:
		end, err := strconv.ParseUint(string(e.value), 10, 64)
		return err == nil && end == t.version && len(t.records) > 0
	}
	return len(t.records) == 0
}

// add adds a record that fits, and reports whether the transaction is complete.
func (t *transaction) add(e record) bool {
	if e.meta&bitFinTxn != 0 {
		return true
	}
	_, t.version, _ = splitKey(e.key)
	t.records = append(t.records, e)
	return e.meta&bitTxn == 0
}

func (r *Reader) offerAll(records []record, dropped bool) {
	for _, e := range records {
		if key, version, ok := splitKey(e.key); ok {
			r.offer(Entry{Key: key, Version: version, Dropped: dropped}, e.meta, e.value)
		}
	}
}

// valueLog looks at the head of a value log. Its records are read where an entry points to them.
func (r *Reader) valueLog(name string) {
	f, err := os.Open(filepath.Join(r.dir, name))
	if err != nil {
		r.report.problem(name, "cannot be read: %v", err)
		return
	}
	defer f.Close()
	head := make([]byte, logHeader)
	n, _ := io.ReadFull(f, head)
	r.checkHead(name, head[:n])
	r.report.Files++
}

// resume returns data from the next whole record on.
func resume(data []byte) []byte {
	for i := 1; i+2 < len(data); i++ {
		if data[i]&(bitTxn|bitFinTxn) == 0 || data[i+1] != 0 {
			continue
		}
		e, ok := frameRecord(data[i:])
		if _, version, whole := splitKey(e.key); !ok || !whole || version > 1<<48 {
			continue // cheaper to find out than the checksum
		}
		if _, ok := decodeRecord(data[i:]); ok {
			return data[i:]
		}
	}
	return nil
}

func allZero(data []byte) bool { return len(bytes.TrimLeft(data, "\x00")) == 0 }

// checkHead finds a head that names an encryption key: Badger would look for it and give up.
func (r *Reader) checkHead(name string, head []byte) {
	if len(head) >= 8 && binary.BigEndian.Uint64(head) != 0 {
		r.report.problem(name, "damaged: its head names an encryption key, and there is none")
	}
}

func readAt(dir, name string, offset, size int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	if offset+size > info.Size() {
		return nil, fmt.Errorf("%s: damaged: it ends at byte %d, and a record should be at %d to %d", name, info.Size(), offset, offset+size)
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, offset); err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	return data, nil
}
