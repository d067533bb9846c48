package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The keys of the store. Numbers are big-endian, so that they sort.
//
//	h                          head: the next chunk and the next block of seen keys
//	v                          format version
//	q                          number and time of the last transaction, see witness.go
//	f                          nothing, for a moment, see reclaim.go
//	o <chunk>                  a chunk of the outbox, or its place, see segment.go
//	t/<sink>                   the first chunk that the sink has not acknowledged
//	d/<sink>                   what the sink's place was moved past, JSON
//	c/<collector> 0 <name>     a cursor, JSON
//	l/<collector> 0 <day>      what is covered of a day of event time, JSON, see ledger.go
//	b <block>                  seen keys of one commit and hour, 16 bytes each
//	s/<collector> 0 <bucket> <block>   says that the block belongs to the collector's bucket of keys:
//	                                   an hour, or a day for keys without a time
//
// Chunks and blocks at or past the head are leftovers of a commit that did not happen: nothing points
// at them, and the next commits write over them.
const (
	keyHead    = "h"
	keyVersion = "v"
	keySeq     = "q"
	keyFlush   = "f"
	prefChunk  = "o"
	prefTail   = "t/"
	prefDrop   = "d/"
	prefCursor = "c/"
	prefLedger = "l/"
	prefBlock  = "b"
	prefSeen   = "s/"

	// 1 had no numbers of transactions, and no witness; 2 no segments; in those of 3 chunks had numbers.
	storeVersion = 4

	memTable   = 6 << 20       // in memory, mapped, and once more while a table is made of it
	txnBytes   = memTable / 10 // Badger refuses transactions near 15 % of the memtable
	txnEntries = 5000
	blockBytes = 63 << 10 // of remembered keys in one value
)

// A Store keeps cursors, remembered keys and the outbox in one Badger database. A commit that returned
// is on disk. All methods may be called from any goroutine.
type Store struct {
	db     *badger.DB
	dir    string
	policy policy // guarded by mu
	aside  *aside
	queue  chan *commitRequest
	turn   chan struct{} // whose it is to wait for room
	closed chan struct{}
	wait   sync.WaitGroup
	onStep func(step)  // only tests set it
	space  *spaceGuard // nil: nobody watches the disk
	inline int         // bytes of chunks that a group of commits puts into Badger

	segments segments
	free     atomic.Int64 // room of the outbox, for who does not want to wait for mu
	spare    chan *block  // memory of chunks that were delivered

	witness witness
	quotas  quotas

	writing   sync.RWMutex // held to write; alone while Badger takes no writes
	snapshots sync.RWMutex // held by backups; alone while tables are merged
	removing  sync.Mutex   // held while segments are removed, so that one who removes keeps no other from it

	mu       sync.Mutex
	first    uint64      // oldest chunk that is kept
	sizes    []chunkInfo // of the chunks first, first+1, … head-1
	head     uint64
	block    uint64
	bytes    int64
	inBadger int64 // of them
	others   int64 // bytes in the files that are not of the outbox, when they were last merged
	tails    map[string]uint64
	drops    map[string]Dropped // by sink, since the state began
	changed  chan struct{}      // closed at every change of the outbox

	gate     sync.RWMutex // held while the database is read, and by Close
	isClosed bool

	seenMu sync.Mutex
	hours  map[string]*keyCache
}

type chunkInfo struct {
	size      int64
	events    uint32
	committed time.Time
	segment   uint32 // 0: it is in Badger
}

// OpenStore opens the store in dir, or in memory if dir is empty; outbox bounds the bytes that wait
// for delivery. The directory is created if need be. Only one process can have a store open.
func OpenStore(dir string, outbox int64) (*Store, error) {
	return openWith(storeOptions{dir: dir, outbox: outbox})
}

// storeOptions are what OpenStore takes, and what only tests set.
type storeOptions struct {
	dir      string
	outbox   int64
	onStep   func(step)
	inline   int  // instead of inlineBytes, unless 0
	unsynced bool // as Badger is by default, to show that the tests find what that loses
}

func openWith(o storeOptions) (*Store, error) {
	dir := o.dir
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, storeError("create the state directory", err, "make "+dir+" writable for this user, or set globals.persistence.config.directory_name")
		}
		if err := examine(dir); err != nil {
			return nil, err
		}
		if err := makeRoomToOpen(dir); err != nil {
			return nil, err
		}
	}
	db, err := openBadgerWith(dir, dir != "" && !o.unsynced)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, dir: dir, policy: policy{bytes: o.outbox}, aside: newAside(dir), onStep: o.onStep,
		queue: make(chan *commitRequest, 64), turn: make(chan struct{}, 1), closed: make(chan struct{}), spare: make(chan *block, maxSpare),
		tails: map[string]uint64{}, drops: map[string]Dropped{}, changed: make(chan struct{}),
		hours: map[string]*keyCache{}, quotas: quotas{dir: dir},
		inline: cmp.Or(o.inline, inlineBytes), segments: segments{dir: dir, limit: segmentBytes, unsynced: o.unsynced},
	}
	s.free.Store(o.outbox)
	if err := s.load(); err != nil {
		db.Close()
		s.witness.close()
		return nil, err
	}
	// Values of 768 KiB and more, which only very large events make, lie in files that nothing else gives back.
	if dir != "" {
		for db.RunValueLogGC(0.5) == nil {
		}
		s.wait.Go(func() { s.witness.keepSynced(s.closed) })
	}
	s.wait.Go(s.committer)
	return s, nil
}

func storeError(op string, err error, hint string) *Error {
	return &Error{Code: CodeStore, Op: op, Err: err, Hint: hint}
}

// load reads what is in memory while the store is open, and drops leftovers of commits that did not happen.
func (s *Store) load() error {
	s.at(stepOpened)
	if s.dir != "" {
		if err := s.witness.open(s.dir); err != nil {
			return openError(s.dir, err)
		}
	}
	var leftovers [][]byte
	current := false
	err := s.db.View(func(txn *badger.Txn) error {
		format, err := get(txn, keyVersion)
		if err != nil {
			return err
		}
		current = string(format) == fmt.Sprint(storeVersion)
		if err := s.loadSeq(txn); err != nil {
			return err
		}
		h, err := get(txn, keyHead)
		if err != nil {
			return err
		}
		switch len(h) {
		case 0: // nothing was ever committed
		case 16:
			s.head, s.block = binary.BigEndian.Uint64(h), binary.BigEndian.Uint64(h[8:])
		default: // without it, all that waits would pass for leftovers
			return errors.New("the end of the outbox is damaged")
		}
		if err := s.loadTails(txn); err != nil {
			return err
		}
		if err := s.loadDrops(txn); err != nil {
			return err
		}
		if err := s.loadChunks(txn, &leftovers); err != nil {
			return err
		}
		return scan(txn, prefBlock, false, func(key string, _ *badger.Item) error {
			if len(key) == 8 && binary.BigEndian.Uint64([]byte(key)) >= s.block {
				leftovers = append(leftovers, []byte(prefBlock+key))
			}
			return nil
		})
	})
	if err == nil {
		s.at(stepLeftovers)
		err = s.write(func(w *badger.WriteBatch) error {
			for _, key := range leftovers {
				if err := w.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
	}
	s.witness.last.head, s.witness.last.block, s.witness.last.first = s.head, s.block, s.first
	if err == nil && !current {
		err = s.update(nil, func(txn *badger.Txn) error { return txn.Set([]byte(keyVersion), fmt.Append(nil, storeVersion)) })
	}
	if err == nil {
		s.at(stepCleaned)
		err = s.removeSegments()
	}
	if err == nil {
		err = s.trim()
	}
	if err != nil {
		return openError(s.dir, err)
	}
	return nil
}

// loadSeq reads the number of the last transaction, and has the witness go on from there.
func (s *Store) loadSeq(txn *badger.Txn) error {
	v, err := get(txn, keySeq)
	if err != nil || v == nil {
		return err
	}
	s.witness.last.seq, s.witness.last.at, err = decodeSeq(v)
	return err
}

func (s *Store) loadTails(txn *badger.Txn) error {
	return scan(txn, prefTail, true, func(key string, item *badger.Item) error {
		return item.Value(func(v []byte) error {
			if len(v) != 8 {
				return fmt.Errorf("the position of output %q is damaged", key)
			}
			s.tails[key] = binary.BigEndian.Uint64(v)
			if s.tails[key] > s.head { // it would pass over what is committed next
				return fmt.Errorf("the position of output %q lies past the end of the outbox", key)
			}
			return nil
		})
	})
}

func (s *Store) loadChunks(txn *badger.Txn, leftovers *[][]byte) error {
	s.first = s.head
	next, oldest := uint64(0), uint64(0)
	if len(s.tails) > 0 {
		oldest = slices.Min(slices.Collect(maps.Values(s.tails)))
	}
	now := time.Now()
	err := scan(txn, prefChunk, true, func(key string, item *badger.Item) error {
		if len(key) != 8 {
			return fmt.Errorf("unexpected key %q in the outbox", key)
		}
		id := binary.BigEndian.Uint64([]byte(key))
		if id >= s.head || id < oldest { // a commit that did not happen, a deletion that did not
			*leftovers = append(*leftovers, item.KeyCopy(nil))
			return nil
		}
		if len(s.sizes) == 0 {
			s.first, next = id, id
		}
		if id != next {
			return fmt.Errorf("chunks %d to %d of the outbox are missing", next, id-1)
		}
		next++
		info := chunkInfo{size: item.ValueSize()}
		if err := item.Value(func(v []byte) error {
			if p, ok := decodeLocation(v); ok {
				info = chunkInfo{int64(p.size), p.events, sinceCommit(now, p.committed), p.segment}
			} else if len(v) >= chunkHeader {
				info.events, info.committed = chunkEvents(v), sinceCommit(now, chunkCommitted(v))
			}
			return nil
		}); err != nil {
			return err
		}
		s.keep(info)
		return nil
	})
	if err == nil {
		err = s.segments.load(s.sizes)
	}
	if err == nil && len(s.sizes) > 0 && next != s.head {
		err = fmt.Errorf("chunks %d to %d of the outbox are missing", next, s.head-1)
	}
	return err
}

// keep notes the next chunk of the outbox.
func (s *Store) keep(c chunkInfo) {
	s.sizes = append(s.sizes, c)
	s.bytes += c.size
	s.free.Add(-c.size)
	if c.segment == 0 {
		s.inBadger += c.size
	}
}

// let notes that the oldest chunk is not kept any more.
func (s *Store) let(c chunkInfo) {
	s.bytes -= c.size
	s.free.Add(c.size)
	if c.segment == 0 {
		s.inBadger -= c.size
	}
}

// sinceCommit returns a time of this process for that of a chunk: ages count on whatever becomes of the machine's clock.
func sinceCommit(now time.Time, committed int64) time.Time {
	return now.Add(-max(0, now.Sub(time.UnixMilli(committed))))
}

// Close waits for commits on their way and closes the database.
func (s *Store) Close() error {
	close(s.closed)
	s.wait.Wait()
	s.gate.Lock()
	defer s.gate.Unlock()
	s.isClosed = true
	s.at(stepClose)
	s.segments.close()
	if err := errors.Join(s.db.Close(), s.witness.close(), s.quotas.close()); err != nil {
		return storeError("close the state directory "+s.dir, err, "")
	}
	return nil
}

// Cursor returns a committed cursor and whether there is one.
func (s *Store) Cursor(collector, name string) (json.RawMessage, bool, error) {
	var value []byte
	err := s.view(func(txn *badger.Txn) (err error) {
		value, err = get(txn, prefCursor+collector+"\x00"+name)
		return err
	})
	if err != nil {
		return nil, false, storeError("read cursor "+name, err, "")
	}
	return value, value != nil, nil
}

// Cursors returns every committed cursor, by collector and name.
func (s *Store) Cursors() (map[string]map[string]json.RawMessage, error) {
	all := map[string]map[string]json.RawMessage{}
	err := s.view(func(txn *badger.Txn) error {
		return scan(txn, prefCursor, true, func(key string, item *badger.Item) error {
			collector, name, _ := strings.Cut(key, "\x00")
			value, err := item.ValueCopy(nil)
			if all[collector] == nil {
				all[collector] = map[string]json.RawMessage{}
			}
			all[collector][name] = value
			return err
		})
	})
	if err != nil {
		return nil, storeError("read the cursors", err, "")
	}
	return all, nil
}

// SetCursor sets a cursor outside any pull; nil removes it.
func (s *Store) SetCursor(collector, name string, value json.RawMessage) error {
	return s.submit(context.Background(), collector, staging{cursors: map[string]json.RawMessage{name: value}})
}

// Reset forgets every cursor and remembered key of a collector. Events in its name that wait in the
// outbox stay there.
func (s *Store) Reset(collector string) error {
	return s.submit(context.Background(), collector, staging{wipe: true})
}

func (s *Store) submit(ctx context.Context, collector string, st staging) error {
	c := st.seal()
	c.collector = collector
	return s.commit(ctx, c)
}

func chunkKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte(prefChunk), id) }
func blockKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte(prefBlock), id) }
func seenKey(c string, h int64, block uint64) []byte {
	key := binary.BigEndian.AppendUint64([]byte(prefSeen+c+"\x00"), uint64(h))
	return binary.BigEndian.AppendUint64(key, block)
}

func get(txn *badger.Txn, key string) ([]byte, error) {
	item, err := txn.Get([]byte(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// scan calls f with every key below prefix, the prefix cut off, in order.
func scan(txn *badger.Txn, prefix string, values bool, f func(key string, item *badger.Item) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix), PrefetchValues: values, PrefetchSize: 16})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := f(string(it.Item().Key()[len(prefix):]), it.Item()); err != nil {
			return err
		}
	}
	return nil
}

// view reads the database, unless it is closed: the status may be asked for at any time.
func (s *Store) view(f func(*badger.Txn) error) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.isClosed {
		return errStoreClosed
	}
	return s.db.View(f)
}

// write runs f over a batch that may be larger than a transaction; it is durable when write returns,
// but not atomic.
func (s *Store) write(f func(*badger.WriteBatch) error) error {
	s.writing.RLock()
	defer s.writing.RUnlock()
	w := s.db.NewWriteBatch()
	defer w.Cancel()
	if err := f(w); err != nil {
		return err
	}
	return w.Flush()
}
