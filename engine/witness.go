package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The witness is a small file beside the database that says how far the database was. A database
// that shows less at the next start has lost something: Badger itself takes a damaged log or a lost
// list of tables for an older state, and says nothing.
//
// Every transaction of the store has a number, kept in the database under keySeq. When the database
// has a transaction on disk, its number goes into the witness with one write that is not synced; a
// goroutine syncs it every second. So the witness is exact after a kill, and at most about a second
// behind after a power cut. It is never ahead.
const (
	witnessName   = "witness"
	witnessMagic  = "SWIT\x01"
	witnessRecord = 64  // bytes
	witnessSlot   = 512 // two of them, written in turn: a write that is torn leaves the other whole
	witnessSync   = time.Second
)

// A testimony is what the witness says: the state after a transaction.
type testimony struct {
	seq         uint64 // number of the transaction
	head, block uint64 // as in keyHead
	first       uint64 // every output has the chunks before this one
	at          time.Time
}

func (t testimony) encode() []byte {
	b := make([]byte, witnessRecord)
	copy(b, witnessMagic)
	for i, v := range []uint64{t.seq, t.head, t.block, t.first, uint64(t.at.UnixMilli())} {
		binary.BigEndian.PutUint64(b[8+8*i:], v)
	}
	binary.BigEndian.PutUint32(b[witnessRecord-4:], crc32.Checksum(b[:witnessRecord-4], castagnoli))
	return b
}

func decodeTestimony(b []byte) (t testimony, ok bool) {
	if len(b) < witnessRecord || string(b[:len(witnessMagic)]) != witnessMagic {
		return t, false
	}
	b = b[:witnessRecord]
	if crc32.Checksum(b[:witnessRecord-4], castagnoli) != binary.BigEndian.Uint32(b[witnessRecord-4:]) {
		return t, false
	}
	var v [5]uint64
	for i := range v {
		v[i] = binary.BigEndian.Uint64(b[8+8*i:])
	}
	return testimony{seq: v[0], head: v[1], block: v[2], first: v[3], at: time.UnixMilli(int64(v[4])).UTC()}, true
}

// decodeWitness returns what the file says, the newer of its two records.
func decodeWitness(data []byte) (t testimony, ok bool) {
	for at := 0; at < len(data); at += witnessSlot {
		if slot, whole := decodeTestimony(data[at:]); whole && (!ok || slot.seq > t.seq) {
			t, ok = slot, true
		}
	}
	return t, ok
}

var errWitnessDamaged = errors.New("the witness is damaged, so nothing proves that the database is whole")

// readWitness returns what the witness of dir says; there is false if there is none.
func readWitness(dir string) (t testimony, there bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, witnessName))
	if errors.Is(err, fs.ErrNotExist) {
		return t, false, nil
	}
	if err != nil {
		return t, true, err
	}
	t, ok := decodeWitness(data)
	if !ok {
		return t, true, errWitnessDamaged
	}
	return t, true, nil
}

// createWitness makes the witness of dir, whole and durable or not at all.
func createWitness(dir string, t testimony) error {
	data := make([]byte, 2*witnessSlot)
	copy(data[t.seq%2*witnessSlot:], t.encode())
	return writeDurable(filepath.Join(dir, witnessName), data)
}

// writeDurable replaces a file in one step that survives a power cut.
func writeDurable(name string, data []byte) error {
	temp := name + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// A witness writes testimonies. Its zero value, for a store in memory, writes nothing.
type witness struct {
	mu    sync.Mutex // held while a transaction gets its number and is committed
	last  testimony
	file  *os.File
	dirty bool
	err   error // the first that writing met
}

func (w *witness) open(dir string) (err error) {
	w.file, err = os.OpenFile(filepath.Join(dir, witnessName), os.O_RDWR, 0)
	return err
}

// note writes the last testimony.
func (w *witness) note() {
	if w.file == nil {
		return
	}
	_, err := w.file.WriteAt(w.last.encode(), int64(w.last.seq%2*witnessSlot))
	w.dirty = true
	if w.err == nil {
		w.err = err
	}
}

func (w *witness) sync() {
	w.mu.Lock()
	dirty := w.dirty
	w.dirty = false
	w.mu.Unlock()
	if !dirty {
		return
	}
	if err := w.file.Sync(); err != nil {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
}

// keepSynced syncs the witness until the store is closed.
func (w *witness) keepSynced(closed <-chan struct{}) {
	tick := time.NewTicker(witnessSync)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.sync()
		case <-closed:
			return
		}
	}
}

// close reports what went wrong while the witness was written: the database is whole, but the next
// start may not be able to tell.
func (w *witness) close() error {
	if w.file == nil {
		return nil
	}
	w.sync()
	return errors.Join(w.err, w.file.Close())
}

// update is a transaction with a number, which the witness gets when it is on disk. What changes in
// the testimony by it, says changes, which may be nil.
func (s *Store) update(changes func(*testimony), f func(*badger.Txn) error) error {
	w := &s.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.last
	next.seq++
	next.at = time.Now()
	if changes != nil {
		changes(&next)
	}
	s.writing.RLock()
	defer s.writing.RUnlock()
	err := s.db.Update(func(txn *badger.Txn) error {
		if err := f(txn); err != nil {
			return err
		}
		return txn.Set([]byte(keySeq), encodeSeq(next))
	})
	if err != nil {
		return err
	}
	w.last = next
	w.note()
	return nil
}

// encodeSeq is the value of keySeq: the number of a transaction and its time, Unix ms.
func encodeSeq(t testimony) []byte {
	b := binary.BigEndian.AppendUint64(nil, t.seq)
	return binary.BigEndian.AppendUint64(b, uint64(t.at.UnixMilli()))
}

func decodeSeq(b []byte) (seq uint64, at time.Time, err error) {
	if len(b) != 16 {
		return 0, time.Time{}, fmt.Errorf("the number of the last transaction is damaged: %d bytes", len(b))
	}
	return binary.BigEndian.Uint64(b), time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:]))).UTC(), nil
}
