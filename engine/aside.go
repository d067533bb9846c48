package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// AsideDir is the folder of events that were set aside, below the state directory.
const AsideDir = "aside"

// aside keeps events that could not go their way, in files that people can read: one for each day
// and collector or output, an event to a line. What write was given is on disk when it returns. With
// state in memory, nothing is kept.
type aside struct {
	dir string // empty: state is in memory

	mu    sync.Mutex
	known bool // bytes has been counted
	bytes int64
}

func newAside(state string) *aside {
	if state == "" {
		return &aside{}
	}
	return &aside{dir: filepath.Join(state, AsideDir)}
}

// An AsideEvent is a line of such a file.
type AsideEvent struct {
	SetAside  time.Time  `json:"set_aside"`
	Collector string     `json:"collector,omitempty"` // the one that pulled it, if it went no further
	Output    string     `json:"output,omitempty"`    // the one that refused it
	Table     string     `json:"table"`
	Time      *time.Time `json:"time,omitempty"`
	Reason    string     `json:"reason"`
	Bytes     int        `json:"bytes"` // of the body
	Body      string     `json:"body,omitempty"`
	// BodyBase64 stands for Body if that is not valid UTF-8.
	BodyBase64 []byte `json:"body_base64,omitempty"`
}

func newAsideEvent(table *Table, at time.Time, body []byte, reason string) AsideEvent {
	e := AsideEvent{SetAside: time.Now().UTC(), Table: table.Tag, Reason: reason, Bytes: len(body)}
	if !at.IsZero() {
		at = at.UTC()
		e.Time = &at
	}
	if utf8.Valid(body) {
		e.Body = string(body)
	} else {
		e.BodyBase64 = body
	}
	return e
}

// line returns the event as a line of JSON.
func (e AsideEvent) line() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(e) // texts, a number and times: it cannot fail
	return b.Bytes()
}

// write appends lines to the file of whose, such as "pull-office365", and today, and returns its path.
// It refuses what would make all files together larger than limit.
func (a *aside) write(whose string, lines []byte, limit int64) (path string, err error) {
	if a.dir == "" {
		return "nowhere: state is in memory", nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.room(int64(len(lines)), limit); err != nil {
		return "", err
	}
	path = filepath.Join(a.dir, asideName(whose, time.Now().UTC()))
	if err := appendDurably(path, lines); err != nil {
		a.known = false
		return "", storeError("set an event aside in "+path, err, "check the disk's free space and that the directory is writable")
	}
	a.bytes += int64(len(lines))
	return path, nil
}

func (a *aside) room(more, limit int64) error {
	if !a.known || a.bytes+more > limit { // somebody may have made room
		files, err := ListAside(filepath.Dir(a.dir))
		if err != nil {
			return storeError("look at what was set aside", err, "")
		}
		a.bytes, a.known = 0, true
		for _, f := range files {
			a.bytes += f.Bytes
		}
	}
	if a.bytes+more > limit {
		return &Error{Code: CodeTooLarge, Op: "set an event aside in " + a.dir, Err: fmt.Errorf("it holds %d bytes, the limit is %d", a.bytes, limit),
			Hint: "look at the files (starling state aside), move them away, or raise starling.limits.aside_bytes"}
	}
	return nil
}

var notInNames = regexp.MustCompile(`[^0-9A-Za-z_.-]+`)

// asideName makes the name of a file. Names that would be too long end in a hash instead.
func asideName(whose string, day time.Time) string {
	name := notInNames.ReplaceAllString(whose, "-")
	if len(name) > 200 {
		h := fnv.New64a()
		h.Write([]byte(whose))
		name = fmt.Sprintf("%s-%x", name[:180], h.Sum64())
	}
	return name + "-" + day.Format("2006-01-02") + ".jsonl"
}

// appendDurably appends to a file that only its owner can read, and makes one if there is none. A line
// that a crash left unfinished is ended first.
func appendDurably(path string, lines []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	_, err = os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if last := make([]byte, 1); info.Size() > 0 {
		if _, err := f.ReadAt(last, info.Size()-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			lines = append([]byte("\n"), lines...)
		}
	}
	if _, err := f.Write(lines); err != nil {
		return err
	}
	if err := f.Sync(); err != nil || !isNew {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(path)), syncDir(filepath.Dir(filepath.Dir(path))))
}

// An AsideFile is a file of events that were set aside.
type AsideFile struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// Aside lists the files of events that were set aside.
func (s *Store) Aside() ([]AsideFile, error) {
	if s.dir == "" {
		return nil, nil
	}
	return ListAside(s.dir)
}

// ListAside lists the files of events that were set aside below a state directory, by name.
func ListAside(state string) ([]AsideFile, error) {
	dir := filepath.Join(state, AsideDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var files []AsideFile
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr == nil && info.Mode().IsRegular() && strings.HasSuffix(e.Name(), ".jsonl") {
			files = append(files, AsideFile{filepath.Join(dir, e.Name()), info.Size()})
		}
	}
	return files, err
}
