package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"starling/engine/internal/badgerfile"
)

// found is what a look at the files of a state directory tells before Badger opens them.
type found struct {
	exists   bool // there is a database, whole or in part
	format   int  // 0 if none is written down
	report   badgerfile.Report
	inTables numbered   // the last transaction that is in a table
	inLogs   []numbered // all that are in logs, in no order
	pointers map[string]pointed

	witness    testimony
	hasWitness bool
	witnessErr error
}

// numbered is a transaction of the store.
type numbered struct {
	seq uint64
	at  time.Time
}

// pointed is a chunk that is kept in a value log or in a segment.
type pointed struct {
	version  uint64
	at       badgerfile.Pointer
	location location
}

// look reads every file of dir and changes none.
func look(dir string) (f found, err error) {
	if f.exists, err = badgerfile.Exists(dir); err != nil {
		return f, err
	}
	f.witness, f.hasWitness, f.witnessErr = readWitness(dir)
	f.pointers = map[string]pointed{}
	var formatVersion uint64
	var head valued
	tails := map[string]valued{}
	f.report, err = badgerfile.Read(dir, false, func(e badgerfile.Entry) {
		switch key := string(e.Key); {
		case key == keySeq:
			seq, at, err := decodeSeq(e.Value)
			if err == nil && e.InTable && seq > f.inTables.seq {
				f.inTables = numbered{seq, at}
			} else if err == nil && !e.InTable {
				f.inLogs = append(f.inLogs, numbered{seq, at})
			}
		case key == keyVersion && e.Version >= formatVersion:
			formatVersion = e.Version
			f.format, _ = strconv.Atoi(string(e.Value))
		case key == keyHead && e.Version >= head.version:
			head = valued{version: e.Version}.with(e.Value)
		case strings.HasPrefix(key, prefTail):
			newest(tails, key, valued{version: e.Version, deleted: e.Deleted}.with(e.Value))
		case strings.HasPrefix(key, prefChunk) && e.Version >= f.pointers[key].version:
			p, _ := decodeLocation(e.Value)
			f.pointers[key] = pointed{e.Version, e.Pointer, p}
		}
	})
	f.readSegments(dir, oldestTail(tails), head.value)
	for key, p := range f.pointers {
		if p.at == (badgerfile.Pointer{}) {
			continue
		}
		if _, err := badgerfile.Value(dir, p.at, []byte(key), p.version); err != nil {
			name, what, _ := strings.Cut(err.Error(), ": ")
			f.report.Problems = append(f.report.Problems, badgerfile.Problem{File: name, What: what})
		}
	}
	return f, err
}

// readSegments reads the chunks of the outbox that are in segments. Of others, which a crash has left, the
// segments may be gone.
func (f *found) readSegments(dir string, first uint64, head []byte) {
	if len(head) != 16 {
		return
	}
	var buffer []byte
	segments := map[uint32]bool{}
	for key, p := range f.pointers {
		if p.location.segment == 0 || len(key) != len(prefChunk)+8 {
			continue
		}
		id := binary.BigEndian.Uint64([]byte(key[len(prefChunk):]))
		if id < first || id >= binary.BigEndian.Uint64(head) {
			continue
		}
		chunk, err := readLocated(dir, id, p.location, buffer)
		if err != nil {
			name, what, _ := strings.Cut(err.Error(), ": ")
			f.report.Problems = append(f.report.Problems, badgerfile.Problem{File: name, What: what})
			continue
		}
		buffer = chunk
		segments[p.location.segment] = true
		f.report.Bytes += int64(len(chunk))
	}
	f.report.Files += len(segments)
}

// stateFiles returns the names of the files in dir that hold the state, but for the witness.
func stateFiles(dir string) ([]string, error) {
	names, err := badgerfile.Names(dir)
	numbers, err2 := segmentNumbers(dir)
	for _, n := range numbers {
		names = append(names, segmentName(n))
	}
	return names, errors.Join(err, err2)
}

// last returns the last transaction that the database shows, and the problem that one before it is missing.
func (f *found) last() (last numbered, gap error) {
	last = f.inTables
	slices.SortFunc(f.inLogs, func(a, b numbered) int { return int(a.seq) - int(b.seq) })
	for _, n := range f.inLogs {
		if n.seq > last.seq+1 && gap == nil {
			gap = fmt.Errorf("commits %d to %d are missing", last.seq+1, n.seq-1)
		}
		if n.seq > last.seq {
			last = n
		}
	}
	return last, gap
}

// errNewer says that a newer program wrote the state: nothing is wrong with it.
var errNewer = errors.New("it was written by a newer version of starling")

// verdict returns what is wrong with what was found, nil if everything that was committed is there.
func (f *found) verdict() error {
	if f.format > storeVersion {
		return fmt.Errorf("%w (format %d, this one reads up to %d)", errNewer, f.format, storeVersion)
	}
	last, gap := f.last()
	var all []error
	for _, p := range f.report.Problems {
		all = append(all, errors.New(p.String()))
	}
	switch {
	case f.witnessErr != nil:
		all = append(all, fmt.Errorf("%s: %w", witnessName, f.witnessErr))
	case !f.exists && f.witness.seq > 0:
		all = append(all, fmt.Errorf("the database is gone: there is only its %s, which knows of %d commits, the last at %s",
			witnessName, f.witness.seq, f.witness.at.Format(time.RFC3339)))
	case !f.hasWitness && (last.seq > 0 || f.format >= 2):
		all = append(all, fmt.Errorf("%s: it is missing, so nothing proves that the database is whole", witnessName))
	case last.seq < f.witness.seq:
		all = append(all, f.behind(last))
	case gap != nil:
		all = append(all, gap)
	}
	return errors.Join(all...)
}

func (f *found) behind(last numbered) error {
	text := fmt.Sprintf("commits %d to %d, until %s, are missing", last.seq+1, f.witness.seq, f.witness.at.Format(time.RFC3339))
	if last.seq > 0 {
		text += ": the database ends at " + last.at.Format(time.RFC3339)
	}
	for _, t := range f.report.Torn {
		text += "; " + t.String()
	}
	return errors.New(text)
}

// ErrStateInUse says that another process has the state directory open.
var ErrStateInUse = errors.New("another process has it open")

func inUse(dir string) error {
	pid, err := os.ReadFile(filepath.Join(dir, "LOCK"))
	if text := strings.TrimSpace(string(pid)); err == nil && text != "" {
		return fmt.Errorf("%w, number %s", ErrStateInUse, text)
	}
	return ErrStateInUse
}

// examine makes sure that dir holds all that was ever committed to it, before Badger may change
// anything, and that there is a witness from now on.
func examine(dir string) error {
	unlock, err := lockDir(dir)
	if err != nil {
		return openError(dir, err)
	}
	defer unlock()
	if err := accessible(dir); err != nil {
		return openError(dir, err)
	}
	if err := halfReplaced(dir); err != nil {
		return openError(dir, err)
	}
	f, err := look(dir)
	if err == nil {
		err = f.verdict()
	}
	if err != nil && !errors.Is(err, errNewer) {
		if i, ierr := inspect(dir); ierr == nil {
			err = &lossError{err, i.Lost}
		}
	}
	if err == nil && !f.hasWitness {
		err = createWitness(dir, testimony{})
	}
	return openError(dir, err)
}

// A lossError says what is lost along with why.
type lossError struct {
	error
	lost []string
}

func (e *lossError) Error() string {
	return strings.Join(strings.Split(e.error.Error(), "\n"), "; ") + "; lost: " + strings.Join(e.lost, "; ")
}

func (e *lossError) Unwrap() error { return e.error }

// accessible finds out whether all files can be read and written, and the directory too.
func accessible(dir string) error {
	names, err := stateFiles(dir)
	if err != nil {
		return err
	}
	const readWriteExecute = 7
	if err := access(dir, readWriteExecute); err != nil {
		return &os.PathError{Op: "use", Path: dir, Err: err}
	}
	if _, err := os.Lstat(filepath.Join(dir, witnessName)); err == nil {
		names = append(names, witnessName)
	}
	const readWrite = 6
	for _, name := range names {
		if err := access(filepath.Join(dir, name), readWrite); err != nil {
			return &os.PathError{Op: "use", Path: filepath.Join(dir, name), Err: err}
		}
	}
	return nil
}

// openError says what to do about err.
func openError(dir string, err error) error {
	op := "open the state directory " + dir
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrStateInUse):
		return storeError(op, err, "stop the other starling first, or use another state directory")
	case errors.Is(err, errNewer):
		return storeError(op, err, "use that version, or another state directory")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return storeError(op, err, fmt.Sprintf("it and its files must be readable and writable for the user that starling runs as: chown -R %d %s; chmod -R u+rwX %[2]s", os.Geteuid(), dir))
	case errors.Is(err, errHalfReplaced):
		return storeError(op, err, "starling state repair --yes --state "+dir+" completes it")
	case errors.Is(err, syscall.EROFS):
		return storeError(op, err, "make the file system writable, or use another state directory")
	}
	return storeError(op, err, fmt.Sprintf("nothing was changed; starling state check --state %s shows more; starling state repair --yes --state %[1]s keeps what can be read, starling state restore puts a backup in its place", dir))
}
