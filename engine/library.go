package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// MaxScriptFile is how long one file of a script may be.
const MaxScriptFile = 1 << 20

const (
	maxScriptSet     = 16 << 20 // bytes of all files together
	maxScriptEntries = 10_000   // files and folders that are looked at, of whatever kind
)

// A Library is where scripts come from: a folder that people edit, and the built-in ones below it. A
// file in the folder shadows the built-in file of the same name.
type Library struct {
	// Builtin are the scripts inside the program.
	Builtin fs.FS
	// Dir is the folder, or empty for none.
	Dir string
	// Predeclared are the names that every script can use.
	Predeclared starlark.StringDict
	// TestOnly chooses the test functions that Test runs, by their names; nil means all.
	TestOnly func(name string) bool
	// Golden keeps the text of a golden file, by its name in the library; nil means that golden files
	// are compared with, not written.
	Golden func(name, text string) error
	// Statements counts the statements that run, of scripts that are loaded from then on; nil counts none.
	Statements *Statements
}

// Sources are all files of a library as they were at one moment. Scripts are made from such a
// snapshot only, never from the disk, so that one generation never mixes two.
type Sources struct {
	files map[string]source
	// Hash is equal for equal files.
	Hash [sha256.Size]byte
}

type source struct {
	text    []byte
	display string // what errors call the file
	builtin bool
}

// Read takes a snapshot. A file that cannot be read, or that is too large, fails it.
func (l *Library) Read() (*Sources, error) {
	s := &Sources{files: map[string]source{}}
	if l.Builtin != nil {
		if err := s.add(l.Builtin, "builtin:", true); err != nil {
			return nil, err
		}
	}
	if l.Dir != "" {
		// A folder that is a link, as git-sync and ConfigMaps make them, is followed first, so that
		// all files are read below the same target.
		dir, err := filepath.EvalSymlinks(l.Dir)
		if err != nil {
			return nil, &Error{Code: CodeConfig, Op: "read the scripts folder", Err: err, Hint: "create the folder, or correct starling.scripts or --scripts"}
		}
		if err := s.add(os.DirFS(dir), l.Dir+string(filepath.Separator), false); err != nil {
			return nil, err
		}
	}
	s.seal()
	return s, nil
}

func (s *Sources) add(files fs.FS, display string, builtin bool) error {
	total, entries := 0, 0
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return &Error{Code: CodeScript, Op: "read scripts", Err: err}
		}
		if entries++; entries > maxScriptEntries {
			return &Error{Code: CodeScript, Op: display, Err: fmt.Errorf("more than %d files and folders", maxScriptEntries), Hint: "give scripts a folder of their own"}
		}
		if strings.HasPrefix(d.Name(), ".") && name != "." {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !isScriptFile(name) {
			return nil
		}
		info, err := fs.Stat(files, name) // follows links, which d does not
		if err != nil || info.IsDir() {
			return err
		}
		if info.Size() > MaxScriptFile {
			return Errorf(CodeScript, display+name, "%d bytes, a file of a script may have %d", info.Size(), MaxScriptFile)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if total += len(text); total > maxScriptSet {
			return Errorf(CodeScript, display, "all files together have more than %d bytes", maxScriptSet)
		}
		s.files[name] = source{text, display + name, builtin}
		return nil
	})
}

// isScriptFile reports whether a file belongs to the library: scripts, and what their tests read.
func isScriptFile(name string) bool {
	return strings.HasSuffix(name, ".star") || strings.HasPrefix(name, "testdata/") || strings.Contains(name, "/testdata/")
}

func (s *Sources) seal() {
	h := sha256.New()
	for _, name := range s.Names() {
		writeFramed(h, name)
		writeFramed(h, string(s.files[name].text))
	}
	h.Sum(s.Hash[:0])
}

// Names lists all files, sorted.
func (s *Sources) Names() []string {
	names := make([]string, 0, len(s.files))
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Scripts lists the collector scripts: files at the top with the ending .star that are no tests.
func (s *Sources) Scripts() []string {
	return slices.DeleteFunc(s.Names(), func(name string) bool {
		return strings.Contains(name, "/") || !strings.HasSuffix(name, ".star") || strings.HasSuffix(name, "_test.star")
	})
}

// Text returns a file's text and whether it exists.
func (s *Sources) Text(name string) ([]byte, bool) {
	f, ok := s.files[name]
	return f.text, ok
}

// Builtin reports whether the file is the one inside the program.
func (s *Sources) Builtin(name string) bool { return s.files[name].builtin }

// paths lists the files that are not built in, as they are on disk.
func (s *Sources) paths() []string {
	var paths []string
	for _, f := range s.files {
		if !f.builtin {
			paths = append(paths, f.display)
		}
	}
	return paths
}

// Shown returns the text of the file that errors, and Statements, call by that name.
func (s *Sources) Shown(name string) []byte { return s.byDisplay(name) }

// Display returns the text of a file and what errors call it.
func (s *Sources) Display(name string) (text []byte, display string) {
	return s.files[name].text, s.files[name].display
}

// byDisplay returns the text of the file that errors call display.
func (s *Sources) byDisplay(display string) []byte {
	for _, f := range s.files {
		if f.display == display {
			return f.text
		}
	}
	return nil
}

// version hashes a script and everything that it loads, directly or not.
func (s *Sources) version(files []string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(slices.Values(files)) {
		writeFramed(h, name)
		writeFramed(h, string(s.files[name].text))
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

func writeFramed(w interface{ Write([]byte) (int, error) }, text string) {
	fmt.Fprintf(w, "%d:%s", len(text), text) // hash.Hash never fails
}

// resolve turns the name in a load statement into a file of the snapshot.
func (s *Sources) resolve(name string) (string, error) {
	clean := path.Clean(name)
	if path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(name, `\`) {
		return "", fmt.Errorf("load(%q): names are relative to the scripts folder and stay inside it", name)
	}
	if _, ok := s.files[clean]; ok {
		return clean, nil
	}
	hint := ""
	if near := Nearest(clean, s.Names()); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return "", fmt.Errorf("load(%q): no such file, neither in the scripts folder nor built in%s", name, hint)
}

var errNoPull = errors.New("the script has no function pull(): define one without parameters")
