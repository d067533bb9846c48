// Package badgerfile reads the files of a Badger database without opening it: nothing is written, no
// panic leaves it, and damage is a finding and not the end. Badger itself drops what follows damage in
// a log, deletes tables that its manifest does not name, and panics or exits on damaged tables, in
// goroutines of its own. So one looks first.
//
// It knows what Starling uses: neither encryption nor compression.
package badgerfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// An Entry is one version of a key.
type Entry struct {
	Key     []byte // valid during the call only, as is Value
	Version uint64
	Deleted bool
	Value   []byte
	Pointer Pointer // where the value is, if it is in a value log; Value is nil then
	InTable bool    // it comes from a table and not from a log
	Dropped bool    // Badger would not show it: it lies behind damage, or in a table that the manifest does not name
}

// A Pointer says where in the value logs a value is. Its zero value points nowhere.
type Pointer struct{ Log, Len, Offset uint32 }

// A Problem is damage in a file, or the lack of a file.
type Problem struct {
	File string // its name in the directory
	What string
}

func (p Problem) String() string { return p.File + ": " + p.What }

// A Report says what Read found. A log that is torn ends in bytes that are no record: so it does after
// a kill or a power cut in the middle of a write, and so it does when it is damaged.
type Report struct {
	Files    int // that were read
	Bytes    int64
	Problems []Problem
	Torn     []Problem
}

func (r *Report) problem(file, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{file, fmt.Sprintf(format, args...)})
}

// A Reader reads one directory.
type Reader struct {
	dir     string
	salvage bool
	visit   func(Entry)
	report  Report
}

// Read calls visit with every intact entry in the files of dir, in no order. With salvage it also
// looks behind damage, and into tables that the manifest does not name. The error is about the
// directory itself.
func Read(dir string, salvage bool, visit func(Entry)) (Report, error) {
	r := &Reader{dir: dir, salvage: salvage, visit: visit}
	names, err := listing(dir)
	if err != nil {
		return r.report, err
	}
	r.registry(names)
	named, known := r.manifest(names)
	for _, name := range withSuffix(names, ".sst") {
		id := number(name)
		if live := known && named[id]; live || salvage {
			r.guard(name, func() { r.table(name, !live) })
		}
	}
	for id := range named {
		if name := fmt.Sprintf("%06d.sst", id); !slices.Contains(names, name) {
			r.report.problem(name, "the table is missing")
		}
	}
	for _, name := range withSuffix(names, ".mem") {
		r.guard(name, func() { r.log(name) })
	}
	for _, name := range withSuffix(names, ".vlog") {
		r.guard(name, func() { r.valueLog(name) })
	}
	slices.SortFunc(r.report.Problems, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
	return r.report, nil
}

// Exists reports whether dir holds a database, whole or in part.
func Exists(dir string) (bool, error) {
	names, err := listing(dir)
	return slices.ContainsFunc(names, func(n string) bool {
		return n == badger.ManifestFilename || number(n) != 0
	}), err
}

// Names returns the names of the files in dir that belong to a database.
func Names(dir string) ([]string, error) {
	names, err := listing(dir)
	return slices.DeleteFunc(names, func(n string) bool {
		return number(n) == 0 && !slices.Contains([]string{badger.ManifestFilename, badger.KeyRegistryFileName, "DISCARD", "LOCK", "MANIFEST-REWRITE", "KEYREGISTRY-REWRITE"}, n)
	}), err
}

func listing(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func withSuffix(names []string, suffix string) []string {
	var some []string
	for _, n := range names {
		if strings.HasSuffix(n, suffix) && number(n) != 0 {
			some = append(some, n)
		}
	}
	slices.SortFunc(some, func(a, b string) int { return int(number(a)) - int(number(b)) })
	return some
}

// number returns the number in the name of a table or log, 0 if it has another name.
func number(name string) (id uint64) {
	stem, ext, _ := strings.Cut(name, ".")
	if ext != "sst" && ext != "mem" && ext != "vlog" {
		return 0
	}
	for _, c := range stem {
		if c < '0' || c > '9' || id > 1<<32 {
			return 0
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}

// guard turns a panic into a finding: the formats are Badger's, and what they may hold after damage is
// anything.
func (r *Reader) guard(name string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			r.report.problem(name, "damaged: %v", p)
		}
	}()
	f()
}

// load returns the content of a file, and nothing if it cannot be read, which is a problem.
func (r *Reader) load(name string) []byte {
	data, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.report.problem(name, "cannot be read: %v", err)
		return nil
	}
	r.report.Files++
	r.report.Bytes += int64(len(data))
	return data
}

// registry looks at the list of encryption keys, which is empty.
func (r *Reader) registry(names []string) {
	const name, iv, sanity = badger.KeyRegistryFileName, 16, "Hello Badger"
	if !slices.Contains(names, name) {
		return // Badger makes a new one
	}
	if data := r.load(name); len(data) != iv+len(sanity) || !bytes.Equal(data[iv:], []byte(sanity)) {
		r.report.problem(name, "damaged: it is not the empty list of keys that it should be")
	}
}

// manifest returns the numbers of the tables that count, and whether it is known.
func (r *Reader) manifest(names []string) (named map[uint64]bool, known bool) {
	const name = badger.ManifestFilename
	if !slices.Contains(names, name) {
		if len(withSuffix(names, ".sst"))+len(withSuffix(names, ".mem")) > 0 {
			r.report.problem(name, "the list of tables is missing")
		}
		return nil, false
	}
	r.guard(name, func() {
		fp, err := os.Open(filepath.Join(r.dir, name))
		if err != nil {
			r.report.problem(name, "cannot be read: %v", err)
			return
		}
		defer fp.Close()
		m, end, err := badger.ReplayManifestFile(fp, 0, badger.DefaultOptions(r.dir).WithLogger(nil))
		if err != nil {
			text, _, _ := strings.Cut(err.Error(), "\n")
			r.report.problem(name, "damaged: %s", text)
			return
		}
		if info, err := fp.Stat(); err == nil && info.Size() != end {
			r.report.Torn = append(r.report.Torn, Problem{name, fmt.Sprintf("its end from byte %d on is no record", end)})
		}
		r.report.Files++
		named, known = map[uint64]bool{}, true
		for id := range m.Tables {
			named[id] = true
		}
	})
	return named, known
}

// offer calls visit unless the key is one of Badger's own.
func (r *Reader) offer(e Entry, meta byte, value []byte) {
	if bytes.HasPrefix(e.Key, []byte("!badger!")) {
		return
	}
	e.Deleted = meta&bitDelete != 0
	if meta&bitPointer != 0 && len(value) == 12 {
		e.Pointer = Pointer{binary.LittleEndian.Uint32(value), binary.LittleEndian.Uint32(value[4:]), binary.LittleEndian.Uint32(value[8:])}
	} else {
		e.Value = value
	}
	r.visit(e)
}

// Bits of an entry's meta byte.
const (
	bitDelete  = 1 << 0
	bitPointer = 1 << 1
	bitTxn     = 1 << 6
	bitFinTxn  = 1 << 7
)

// splitKey takes the version off a key: it is stored as its complement behind it, so that newer sorts first.
func splitKey(key []byte) ([]byte, uint64, bool) {
	if len(key) < 8 {
		return nil, 0, false
	}
	at := len(key) - 8
	return key[:at], ^binary.BigEndian.Uint64(key[at:]), true
}
