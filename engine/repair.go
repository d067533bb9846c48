package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"starling/engine/internal/badgerfile"
)

// The folders in which a new database becomes the database of the state directory. Each step is a
// rename, so one that is interrupted goes on where it was: a folder that is still building is thrown
// away, one that is built takes over when the old files are out of its way.
const (
	dirBuilding = "new-building"
	dirBuilt    = "new-built"  // whole; the old files are being moved away
	dirMoving   = "new-moving" // the old files are away
)

var errHalfReplaced = errors.New("the replacement of the database by a repair or a restore was interrupted")

// halfReplaced reports an interrupted replacement.
func halfReplaced(dir string) error {
	for _, name := range []string{dirBuilt, dirMoving} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return errHalfReplaced
		}
	}
	return nil
}

// A Repaired is what Repair did.
type Repaired struct {
	*Inspection
	// Moved is the folder that the old files are in now; empty if nothing had to be done.
	Moved string
}

// Repair makes a new database of all that can be read in dir, and moves the old files into a folder of
// their own. It does nothing to a directory that is whole. Cursors are taken from before what is lost
// where older ones can be found, so that it is pulled again. Interrupted, it can be run again.
func Repair(dir string) (Repaired, error) {
	unlock, err := lockDir(dir)
	if err != nil {
		return Repaired{}, openError(dir, err)
	}
	defer unlock()
	r := Repaired{}
	if err := accessible(dir); err != nil {
		return r, openError(dir, err)
	}
	if halfReplaced(dir) != nil {
		if r.Moved, err = replace(dir, "damaged"); err != nil {
			return r, openError(dir, err)
		}
	}
	if r.Inspection, err = inspect(dir); err != nil {
		return r, openError(dir, err)
	}
	if r.err == nil {
		return r, nil
	}
	err = build(dir, func(db *badger.DB) (testimony, error) { return r.rebuild(db) })
	if err == nil {
		r.Moved, err = replace(dir, "damaged")
	}
	return r, openError(dir, err)
}

// build makes a database with its witness in a folder of dir, for replace.
func build(dir string, fill func(*badger.DB) (testimony, error)) error {
	building := filepath.Join(dir, dirBuilding)
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	if err := os.Mkdir(building, 0o700); err != nil {
		return err
	}
	db, err := openBadger(building)
	if err != nil {
		return err
	}
	t, err := fill(db)
	if err == nil {
		err = db.Update(func(txn *badger.Txn) error {
			return errors.Join(txn.Set([]byte(keySeq), encodeSeq(t)), txn.Set([]byte(keyVersion), fmt.Append(nil, storeVersion)))
		})
	}
	// Closing brings everything from the log into tables.
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := createWitness(building, t); err != nil {
		return err
	}
	return errors.Join(syncDir(building), os.Rename(building, filepath.Join(dir, dirBuilt)), syncDir(dir))
}

// replace moves the database of dir into a folder with the given name and the time, and the one that
// was built to its place.
func replace(dir, name string) (moved string, err error) {
	built, moving := filepath.Join(dir, dirBuilt), filepath.Join(dir, dirMoving)
	if _, err := os.Stat(built); err == nil {
		moved = filepath.Join(dir, name+"-"+time.Now().UTC().Format("20060102T150405.000Z"))
		if err := moveDatabase(dir, moved); err != nil {
			return moved, err
		}
		if err := errors.Join(os.Rename(built, moving), syncDir(dir)); err != nil {
			return moved, err
		}
	}
	if err := moveDatabase(moving, dir); err != nil {
		return moved, err
	}
	return moved, errors.Join(syncDir(dir), os.Remove(moving), syncDir(dir))
}

// moveDatabase moves the files of a database, the witness last.
func moveDatabase(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	names, err := stateFiles(from)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(from, witnessName)); err == nil {
		names = append(names, witnessName)
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(to), syncDir(from))
}

// rebuild writes what the inspection found into an empty database.
func (i *Inspection) rebuild(db *badger.DB) (testimony, error) {
	p := &i.plan
	t := testimony{seq: p.seq, head: p.head, block: p.block, first: p.head - uint64(len(p.chunks)), at: time.Now()}
	w := db.NewWriteBatch()
	defer w.Cancel()
	err := i.copyValues(w)
	for sink, tail := range p.tails {
		err = errors.Join(err, w.Set([]byte(prefTail+sink), binary.BigEndian.AppendUint64(nil, tail)))
	}
	for name, value := range p.cursors {
		err = errors.Join(err, w.Set([]byte(prefCursor+name), value))
	}
	for name, value := range p.ledgers {
		err = errors.Join(err, w.Set([]byte(prefLedger+name), value))
	}
	for _, key := range p.seen {
		err = errors.Join(err, w.Set([]byte(key), nil))
	}
	head := binary.BigEndian.AppendUint64(nil, p.head)
	err = errors.Join(err, w.Set([]byte(keyHead), binary.BigEndian.AppendUint64(head, p.block)))
	return t, errors.Join(err, w.Flush())
}

// copyValues copies chunks, which get new numbers without holes, and blocks of keys.
func (i *Inspection) copyValues(w *badger.WriteBatch) error {
	p := &i.plan
	numbers := map[uint64]uint64{}
	for at, id := range p.chunks {
		numbers[id] = p.head - uint64(len(p.chunks)-at)
	}
	var failed error
	written := map[string]bool{}
	_, err := badgerfile.Read(i.Dir, true, func(e badgerfile.Entry) {
		if len(e.Key) != 9 || e.Deleted || written[string(e.Key)] {
			return
		}
		id := binary.BigEndian.Uint64(e.Key[1:])
		key, value := slices.Clone(e.Key), slices.Clone(e.Value)
		switch string(e.Key[:1]) {
		case prefBlock:
			if p.blocks[id] != e.Version {
				return
			}
		case prefChunk:
			if p.versions[id] != e.Version {
				return
			}
			key = chunkKey(numbers[id])
			if e.Pointer != (badgerfile.Pointer{}) {
				value, _ = badgerfile.Value(i.Dir, e.Pointer, e.Key, e.Version)
			} else if at, ok := decodeLocation(value); ok {
				value, _ = readLocated(i.Dir, id, at, nil)
			}
		default:
			return
		}
		written[string(e.Key)] = true
		failed = errors.Join(failed, w.Set(key, value))
	})
	if want := len(p.chunks) + len(p.blocks); err == nil && failed == nil && len(written) != want {
		err = fmt.Errorf("%d of %d values could be read the second time", len(written), want)
	}
	return errors.Join(err, failed)
}
