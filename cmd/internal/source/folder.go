package source

import (
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"go.starlark.net/syntax"

	"starling/engine"
)

// Root returns the scripts folder of a file, which names in load statements are relative to, and the name of the file in it. It is the
// nearest folder above the file where all that the file loads is, or else the file's own.
func Root(file string, text []byte, builtin fs.FS) (root, name string) {
	dir := filepath.Dir(file)
	loads := loadNames(file, text)
	for up, n := dir, 0; n < 4; up, n = filepath.Join(up, ".."), n+1 {
		if !hasAll(up, loads, builtin) {
			continue
		}
		if rel, err := filepath.Rel(up, file); err == nil {
			return up, filepath.ToSlash(rel)
		}
	}
	return dir, filepath.Base(file)
}

func loadNames(file string, text []byte) []string {
	f, err := engine.ParseScript(file, text)
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range f.Stmts {
		if load, ok := s.(*syntax.LoadStmt); ok {
			names = append(names, load.ModuleName())
		}
	}
	return names
}

func hasAll(root string, names []string, builtin fs.FS) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			if _, err := fs.Stat(builtin, path.Clean(name)); err != nil {
				return false
			}
		}
	}
	return true
}

// Folder returns a function for NewReader: the files of a folder, and of the built-in ones what the folder does not have.
func Folder(root string, builtin fs.FS) func(name string) ([]byte, bool) {
	return func(name string) ([]byte, bool) {
		if clean := path.Clean(name); path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../") {
			return nil, false
		}
		if text, err := readScript(filepath.Join(root, filepath.FromSlash(name))); err == nil {
			return text, len(text) <= engine.MaxScriptFile
		}
		text, err := fs.ReadFile(builtin, path.Clean(name))
		return text, err == nil
	}
}

// readScript reads no more of a file than shows that it is too long for a script.
func readScript(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, engine.MaxScriptFile+1))
}
