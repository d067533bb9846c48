package engine

import (
	"fmt"
	"testing"
	"testing/fstest"
)

// TestFolderOfEverythingIsRefused: a folder of scripts that is somebody's home is not gone through to its end.
func TestFolderOfEverythingIsRefused(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	for i := range maxScriptEntries {
		files[fmt.Sprintf("%d/%d.jpg", i/100, i)] = &fstest.MapFile{}
	}
	_, err := (&Library{Builtin: files}).Read()
	if want := "builtin:: more than 10000 files and folders (give scripts a folder of their own)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
