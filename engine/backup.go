package engine

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"

	"starling/engine/internal/badgerfile"
)

// A backup is a line that says what it is, a line of JSON (BackupInfo), Badger's own stream of all
// keys, and the SHA-256 of all that.
const backupMagic = "starling backup\n"

// maxBackupHeader bounds the line of JSON.
const maxBackupHeader = 4096

// A BackupInfo says what is in a backup.
type BackupInfo struct {
	Format  int       `json:"format"`  // of the store
	Commits uint64    `json:"commits"` // everything up to this number is in it, perhaps more
	Time    time.Time `json:"time"`
}

// Backup writes everything that is committed to w, as one consistent state, while commits go on.
func (s *Store) Backup(w io.Writer) (BackupInfo, error) {
	s.gate.RLock() // the store is not closed meanwhile
	defer s.gate.RUnlock()
	if s.isClosed {
		return BackupInfo{}, storeError("back up", errStoreClosed, "")
	}
	s.snapshots.RLock()
	defer s.snapshots.RUnlock()
	s.witness.mu.Lock()
	info := BackupInfo{Format: storeVersion, Commits: s.witness.last.seq, Time: time.Now().UTC()}
	s.witness.mu.Unlock()
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 256<<10)
	header, err := json.Marshal(info)
	if err != nil {
		return info, err
	}
	fmt.Fprintf(out, "%s%s\n", backupMagic, header)
	if err := s.db.View(func(txn *badger.Txn) error { return s.dump(out, txn) }); err != nil {
		return info, storeError("back up", err, "")
	}
	if err := out.Flush(); err != nil {
		return info, storeError("back up", err, "")
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return info, storeError("back up", err, "")
	}
	return info, nil
}

// dump writes every version of every key, as Badger's own backups do, but chunks as they are and not their places.
func (s *Store) dump(w io.Writer, txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{AllVersions: true, PrefetchValues: true, PrefetchSize: 16})
	defer it.Close()
	var chunk []byte // the key of the last one
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		kv := &pb.KV{Key: item.Key(), Version: item.Version()}
		isChunk := bytes.HasPrefix(kv.Key, []byte(prefChunk))
		if isChunk && bytes.Equal(kv.Key, chunk) {
			continue // an older version, whose segment may be gone
		}
		if isChunk {
			chunk = item.KeyCopy(chunk)
		}
		var err error
		if item.IsDeletedOrExpired() {
			kv.Meta = []byte{1} // says so
		} else if kv.Value, err = item.ValueCopy(nil); err == nil && isChunk {
			kv.Value, err = s.whole(kv.Key, kv.Value)
		}
		if errors.Is(err, fs.ErrNotExist) && !s.holds(kv.Key) {
			continue // what a crash has left
		}
		if err == nil {
			err = writeList(w, &pb.KVList{Kv: []*pb.KV{kv}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole returns the chunk that a value of the database stands for.
func (s *Store) whole(key, value []byte) ([]byte, error) {
	at, ok := decodeLocation(value)
	if !ok {
		return value, nil
	}
	return readLocated(s.dir, binary.BigEndian.Uint64(key[len(prefChunk):]), at, nil)
}

// holds reports whether a chunk is in the outbox.
func (s *Store) holds(key []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := binary.BigEndian.Uint64(key[len(prefChunk):])
	return s.first <= id && id < s.head
}

// writeList writes what Badger's Load reads: a length of 8 bytes, and a list.
func writeList(w io.Writer, list *pb.KVList) error {
	data, err := proto.Marshal(list)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(data))), data...))
	return err
}

// readBackupHeader reads what comes before the stream.
func readBackupHeader(r *bufio.Reader) (info BackupInfo, err error) {
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != backupMagic {
		return info, errors.New("it is no backup of starling")
	}
	var line []byte
	for len(line) == 0 || line[len(line)-1] != '\n' {
		c, err := r.ReadByte()
		if err != nil || len(line) > maxBackupHeader {
			return info, errors.New("damaged: its header has no end")
		}
		line = append(line, c)
	}
	if err := json.Unmarshal(line, &info); err != nil {
		return info, fmt.Errorf("damaged: its header is no JSON: %w", err)
	}
	if info.Format < 1 {
		return info, errors.New("damaged: its header names no format")
	}
	if info.Format > storeVersion {
		return info, fmt.Errorf("%w (format %d, this one reads up to %d)", errNewer, info.Format, storeVersion)
	}
	return info, nil
}

// checkBackup reads a whole backup and compares its checksum. It returns how long all before the checksum is.
func checkBackup(r io.Reader) (info BackupInfo, size int64, err error) {
	in := bufio.NewReaderSize(r, 256<<10)
	h := &tailHash{Hash: sha256.New()}
	info, err = readBackupHeader(bufio.NewReaderSize(io.TeeReader(in, h), 1))
	if err != nil {
		return info, 0, err
	}
	if _, err := io.Copy(h, in); err != nil {
		return info, 0, err
	}
	if !bytes.Equal(h.tail, h.Sum(nil)) {
		return info, 0, errors.New("damaged or cut short: its checksum differs")
	}
	return info, h.size, nil
}

// tailHash hashes all but the last bytes, which are the checksum.
type tailHash struct {
	hash.Hash
	tail []byte
	size int64 // hashed
}

func (h *tailHash) Write(p []byte) (int, error) {
	h.tail = append(h.tail, p...)
	if n := len(h.tail) - sha256.Size; n > 0 {
		h.Hash.Write(h.tail[:n])
		h.size += int64(n)
		h.tail = append(h.tail[:0], h.tail[n:]...)
	}
	return len(p), nil
}

// BackupDir writes a backup of the state in dir to a file, in one step: the file is whole or not there.
// A starling that runs is asked for it.
func BackupDir(dir, file string) (info BackupInfo, err error) {
	temp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.part") // mode 0600
	if err != nil {
		return info, storeError("back up to "+file, err, "")
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	if info, err = backupTo(dir, temp); err != nil {
		return info, err
	}
	// What comes from another process is read once more before it counts.
	if _, err = temp.Seek(0, io.SeekStart); err == nil {
		info, _, err = checkBackup(temp)
	}
	err = errors.Join(err, temp.Sync())
	if err == nil {
		err = errors.Join(os.Rename(temp.Name(), file), syncDir(filepath.Dir(file)))
	}
	if err != nil {
		return info, storeError("back up to "+file, err, "nothing was written; check the disk's free space")
	}
	return info, nil
}

func backupTo(dir string, w io.Writer) (info BackupInfo, err error) {
	conn, err := dialControl(dir)
	if err == nil {
		defer conn.Close()
		return info, askBackup(conn, w)
	}
	s, err := OpenStore(dir, 0)
	if errors.Is(err, ErrStateInUse) {
		return info, storeError("back up "+dir, err, "it does not answer at "+controlName+" there: it is starting or stopping, try again, or it is a starling command other than run")
	}
	if err != nil {
		return info, err
	}
	info, err = s.Backup(w)
	return info, errors.Join(err, s.Close())
}

// Restore makes a backup the state in dir. What is there before is moved into a folder of its own,
// whose name is returned, if replace says so; otherwise it is an error. Nothing is changed before the
// whole backup has been checked.
func Restore(file, dir string, replaceOld bool) (info BackupInfo, moved string, err error) {
	op := "restore " + file
	f, err := os.Open(file)
	if err != nil {
		return info, "", storeError(op, err, "")
	}
	defer f.Close()
	info, size, err := checkBackup(f)
	if err != nil {
		return info, "", storeError(op, err, "nothing was changed; use another backup")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return info, "", openError(dir, err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return info, "", openError(dir, err)
	}
	defer unlock()
	if err := errors.Join(accessible(dir), halfReplaced(dir)); err != nil {
		return info, "", openError(dir, err)
	}
	if used, err := inhabited(dir); err != nil || used && !replaceOld {
		err = errors.Join(err, fmt.Errorf("there is a state in %s already", dir))
		return info, "", storeError(op, err, "--replace moves it aside; what was sent after the backup is sent again")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return info, "", storeError(op, err, "")
	}
	if err := build(dir, func(db *badger.DB) (testimony, error) { return load(db, io.LimitReader(f, size)) }); err != nil {
		return info, "", storeError(op, err, "nothing was changed")
	}
	moved, err = replace(dir, "replaced")
	if err != nil {
		return info, moved, openError(dir, err)
	}
	if os.Remove(moved) == nil { // nothing was there
		moved = ""
	}
	return info, moved, syncDir(dir)
}

// inhabited reports whether dir has a state, whole or not.
func inhabited(dir string) (bool, error) {
	exists, err := badgerfile.Exists(dir)
	if err != nil || exists {
		return true, err
	}
	_, err = os.Stat(filepath.Join(dir, witnessName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return true, err
}

// load reads a backup into an empty database.
func load(db *badger.DB, r io.Reader) (t testimony, err error) {
	in := bufio.NewReaderSize(r, 256<<10)
	if _, err := readBackupHeader(in); err != nil {
		return t, err
	}
	const pendingWrites = 16
	if err := db.Load(in, pendingWrites); err != nil {
		return t, err
	}
	err = db.View(func(txn *badger.Txn) error {
		if v, err := get(txn, keySeq); err != nil || v != nil {
			if err != nil {
				return err
			}
			if t.seq, _, err = decodeSeq(v); err != nil {
				return err
			}
		}
		h, err := get(txn, keyHead)
		if err == nil && len(h) == 16 {
			t.head, t.block = binary.BigEndian.Uint64(h), binary.BigEndian.Uint64(h[8:])
		}
		return err
	})
	t.seq, t.at = t.seq+1, time.Now() // first stays 0: no chunk is known to be acknowledged
	return t, err
}
