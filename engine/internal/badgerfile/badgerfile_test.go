package badgerfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

func open(t testing.TB, dir string) *badger.DB {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithCompression(options.None).WithSyncWrites(true).
		WithMemTableSize(8 << 20).WithValueThreshold(1000).WithValueLogFileSize(1 << 20))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fill writes n keys in a transaction each, the tenth with a value for the value log, and deletes the third.
func fill(t testing.TB, db *badger.DB, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		err := db.Update(func(txn *badger.Txn) error {
			size := 100
			if i%10 == 0 {
				size = 5000
			}
			return txn.Set(fmt.Appendf(nil, "key %03d", i), bytes.Repeat([]byte{byte(i)}, size))
		})
		if err == nil && i%3 == 0 {
			err = db.Update(func(txn *badger.Txn) error { return txn.Delete(fmt.Appendf(nil, "key %03d", i)) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadSeesWhatBadgerShows compares with Badger itself: tables, a log that nobody closed, value logs.
func TestReadSeesWhatBadgerShows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	fill(t, db, 0, 50)
	db.Close()
	db = open(t, dir)
	fill(t, db, 50, 50)
	got := map[string]Entry{}
	values := map[string]string{}
	report, err := Read(dir, false, func(e Entry) {
		key := string(e.Key)
		if got[key].Version <= e.Version {
			values[key] = string(e.Value)
			got[key] = e
		}
	})
	if err != nil || len(report.Problems)+len(report.Torn) > 0 {
		t.Fatalf("%v, %v, %v", err, report.Problems, report.Torn)
	}
	for i := range 100 {
		key := fmt.Sprintf("key %03d", i)
		e := got[key]
		if e.Pointer != (Pointer{}) {
			v, err := Value(dir, e.Pointer, []byte(key), e.Version)
			if err != nil {
				t.Fatal(err)
			}
			values[key] = string(v)
		}
		err := db.View(func(txn *badger.Txn) error {
			item, err := txn.Get([]byte(key))
			if err == badger.ErrKeyNotFound {
				if !e.Deleted {
					t.Errorf("%s is not deleted", key)
				}
				return nil
			}
			if err != nil {
				return err
			}
			return item.Value(func(v []byte) error {
				if e.Deleted || values[key] != string(v) || e.Version != item.Version() {
					t.Errorf("%s: got %d bytes of version %d (deleted: %v), want %d bytes of version %d", key, len(values[key]), e.Version, e.Deleted, len(v), item.Version())
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
}

// FuzzFiles reads files of foreign bytes: nothing but findings may come of it.
func FuzzFiles(f *testing.F) {
	dir := f.TempDir()
	db := open(f, dir)
	fill(f, db, 0, 12)
	for _, name := range []string{"00001.mem", "000001.vlog"} {
		data, err := readData(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, data)
	}
	db.Close()
	names, err := listing(dir)
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil && len(data) < 1<<16 {
			f.Add(name, data)
		}
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		dir := t.TempDir()
		switch filepath.Ext(name) {
		case ".sst", ".mem", ".vlog":
		default:
			name = badger.ManifestFilename
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o600); err != nil {
			t.Skip()
		}
		for _, salvage := range []bool{false, true} {
			_, err := Read(dir, salvage, func(e Entry) {
				if e.Pointer != (Pointer{}) {
					Value(dir, e.Pointer, e.Key, e.Version)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
