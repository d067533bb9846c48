package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

// A File is a small file that the operator names in a setting, such as a certificate. In a script it is
// a value of type "file", which prints as its path and can be handed to builtins that read one; scripts
// themselves cannot read it. The zero File is none.
type File struct {
	// Path is absolute, except in the tests of scripts, which have files of the scripts folder only.
	Path string
	read func() ([]byte, error)
}

// Read returns the content as it is now, at least one byte and at most 64 KiB.
func (f File) Read() ([]byte, error) { return f.read() }

func (f File) String() string        { return f.Path }
func (f File) Type() string          { return "file" }
func (f File) Freeze()               {}
func (f File) Truth() starlark.Bool  { return true }
func (f File) Hash() (uint32, error) { return starlark.String(f.Path).Hash() }

var _ starlark.Value = File{}

// maxSmallFile is the size of the largest file that a setting may name or take in: keys and tokens are
// far smaller.
const maxSmallFile = 64 << 10

func readSmallFile(path string) ([]byte, error) {
	// A pipe or device could block for ever, so look before opening.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxSmallFile:
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxSmallFile)
	case len(data) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	}
	return data, nil
}

// File returns the file that a setting names. A relative name is looked up below certs, and then below
// the base directory of the configuration.
func (s *Settings) File(name string) (File, error) {
	if s.open != nil {
		return s.open(name)
	}
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		candidates = []string{filepath.Join(s.base, "certs", name), filepath.Join(s.base, name)}
	}
	for _, path := range candidates {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return File{}, fmt.Errorf("%s is a directory, want a file", path)
		case err == nil:
			return File{Path: path, read: func() ([]byte, error) { return readSmallFile(path) }}, nil
		case !os.IsNotExist(err):
			return File{}, errors.Unwrap(err) // without the name, which can be a secret by mistake
		}
	}
	return File{}, fmt.Errorf("there is no file %s", strings.Join(candidates, " and no file "))
}

// file returns the file of a snapshot, for the tests of scripts.
func (s *Sources) file(name string) (File, error) {
	text, ok := s.Text(name)
	if !ok {
		return File{}, fmt.Errorf("no file %s in the scripts folder; files that tests read are below testdata/", name)
	}
	return File{Path: name, read: func() ([]byte, error) { return text, nil }}, nil
}

// Follow says that the load has read f: when its content changes, the collector's script is loaded again
// for it, and takes the place of this one if that goes well. Ends is when the content expires, the zero
// time if it does not.
func (l *Load) Follow(f File, ends time.Time) {
	l.followed = append(l.followed, f.Path)
	if l.ends.IsZero() || !ends.IsZero() && ends.Before(l.ends) {
		l.ends = ends
	}
}

// reloadFollowed loads the script of a collector again, because a file that it has read is another now.
func (e *Engine) reloadFollowed(key string) {
	c := e.collectors[key]
	if c == nil {
		return // the configuration took it out
	}
	// From the snapshot that it runs from: the newest one may be refused.
	script, err := e.library(e.config).Load(c.script.Load().sources, c.config.Script,
		&Load{Settings: c.config.Settings.Fresh(), Env: e.env, Collector: key, Place: c.config.Place, Replaces: true})
	if err == nil {
		c.use(script)
	}
	e.outcome("certificate", key, "", err)
}
