package source

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"starling/engine"
)

// TestFolder: its own files stand in front of the built-in ones; nothing outside of it is read, and nothing that is too long, to its end or at all.
func TestFolder(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "scripts")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"mine.star": 1, "both.star": 2, "just.star": engine.MaxScriptFile, "long.star": engine.MaxScriptFile + 1, "../outside.star": 1} {
		if err := os.WriteFile(filepath.Join(root, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/dev/zero", filepath.Join(root, "endless.star")); err != nil {
		t.Fatal(err)
	}
	text := Folder(root, fstest.MapFS{"both.star": {Data: []byte("builtin")}, "builtin.star": {Data: []byte("builtin")}})
	for name, want := range map[string]int{"mine.star": 1, "both.star": 2, "builtin.star": 7, "just.star": engine.MaxScriptFile,
		"long.star": -1, "endless.star": -1, "nowhere.star": -1, "../outside.star": -1, "a/../../outside.star": -1, filepath.Join(root, "mine.star"): -1} {
		got, ok := text(name)
		if ok != (want >= 0) || ok && len(got) != want {
			t.Errorf("%s: got %d bytes, %v, want %d", name, len(got), ok, want)
		}
	}
}
