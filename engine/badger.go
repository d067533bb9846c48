package engine

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

func openBadger(dir string) (*badger.DB, error) { return openBadgerWith(dir, dir != "") }

func openBadgerWith(dir string, sync bool) (*badger.DB, error) {
	memory := int64(memTable)
	if dir == "" {
		memory = 16 << 20 // chunks go through it too
	}
	o := badger.DefaultOptions(dir).
		WithInMemory(dir == "").
		WithLogger(nil).
		WithMetricsEnabled(false).
		WithSyncWrites(sync). // without it a power cut loses everything since the last flush
		WithDetectConflicts(false).
		WithMemTableSize(memory).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(6).
		WithValueThreshold(min(memory/8, 1<<20)). // what is larger is in the value log; Badger takes no more
		WithBaseTableSize(2 << 20).
		WithBlockSize(blockBytes + 1<<10). // for one value of keys: what does not fit takes three times its room while tables are made
		WithCompression(options.None).     // chunks are compressed already
		WithBlockCacheSize(0).
		WithValueLogFileSize(64 << 20).
		WithNumCompactors(2).
		WithNumGoroutines(2).
		WithCompactL0OnClose(dir != "")
	if large := largestLog(dir); large > memTable/2 && large != 2*memTable {
		db, err := openWhole(dir, o.WithMemTableSize(min(2*large, 64<<20)).WithCompactL0OnClose(false))
		if err == nil {
			err = openError(dir, db.Close()) // brings what is in the logs into tables
		}
		if err != nil {
			return nil, err
		}
	}
	return openWhole(dir, o)
}

// largestLog is the size of the largest log of a memtable that a kill or a cut of the power left. Badger makes a memtable of each
// again, and ends the process if it has no room for one, as of a version with larger memtables. While a log is written it has
// twice the size of a memtable, and later on the size of what is in it.
func largestLog(dir string) (size int64) {
	entries, _ := os.ReadDir(dir) // if it cannot be read, Open says so
	for _, e := range entries {
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == ".mem" {
			size = max(size, info.Size())
		}
	}
	return size
}

func openWhole(dir string, o badger.Options) (*badger.DB, error) {
	var err error
	for range 2 * (1 + emptyFiles(dir)) { // at each of them Open fails once, and makes it whole
		var db *badger.DB
		if db, err = badger.Open(o); err == nil {
			return db, nil
		}
		if isLocked(err) { // perhaps only by a child that was forked at the last try: lockDir waits for that
			if unlock, err := lockDir(dir); err == nil {
				unlock()
				continue
			}
		}
		if !strings.Contains(err.Error(), "Create a new file") {
			break
		}
	}
	if isLocked(err) {
		err = inUse(dir)
	}
	return nil, openError(dir, err)
}

func isLocked(err error) bool { return strings.Contains(err.Error(), "Another process is using") }

// emptyFiles counts the files of 0 bytes, which a kill or a cut of the power leaves of a log that was just made.
func emptyFiles(dir string) (n int) {
	entries, _ := os.ReadDir(dir) // if it cannot be read, Open says so
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
			n++
		}
	}
	return n
}
