package engine

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestAMemtableOfAnEarlierVersionOpens opens what a kill left of a version with larger memtables: Badger makes a memtable of each
// log again, and ends the process if that has no room for it.
func TestAMemtableOfAnEarlierVersionOpens(t *testing.T) {
	t.Parallel()
	old, dir := t.TempDir(), t.TempDir()
	db, err := badger.Open(badger.DefaultOptions(old).WithLogger(nil).WithMemTableSize(16 << 20).WithValueLogFileSize(1 << 20))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	value := bytes.Repeat([]byte("x"), 256<<10)
	const n = 60 // of 16 MiB
	for i := range n {
		if err := db.Update(func(txn *badger.Txn) error { return txn.Set(fmt.Append(nil, i), value) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(old)); err != nil { // as a kill leaves it
		t.Fatal(err)
	}
	for range 2 {
		db, err := openBadger(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(func(txn *badger.Txn) error {
			for i := range n {
				if got, err := get(txn, fmt.Sprint(i)); err != nil || !bytes.Equal(got, value) {
					return fmt.Errorf("key %d: got %d bytes, %w", i, len(got), err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if got := db.Opts().MemTableSize; got != memTable {
			t.Errorf("it goes on with memtables of %d bytes, want %d", got, memTable)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
