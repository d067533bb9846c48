package sinks

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"starling/engine"
)

const fileBuffer = 64 << 10

// file appends one line per event to a file, which nobody else may write to. Flush acknowledges when
// the disk has the epoch; an epoch that fails is cut off again, so that it is not there twice when it
// is offered again. Whoever renames, removes or truncates the file, as logrotate does, finds a
// new one, or the same one, written to from the next epoch on. The file can rotate by itself too.
type file struct {
	op       string
	path     string
	line     appendLine
	rotation rotation
	tidier   tidier

	file  *os.File // nil before the first epoch and after an error
	start int64    // length of the file when the epoch began
	dirty bool     // within an epoch
	buf   []byte
	turn  time.Time // of the last rotation
}

var _ engine.Sink = (*file)(nil)

// newFile makes a sink of the type file. Its keys:
//
//	path          the file; its directory must exist. A new file is readable by its owner only.
//	format        body, devo or frame (body); see lineFormat
//	rotate_bytes  rotate when the file has so much: rename it to <path>.<time>, UTC such as
//	              20261127T150405.123Z, and begin a new one (never)
//	rotate_every  rotate when the last event was written in an earlier stretch of this many seconds, which
//	              are counted from midnight UTC: 24h makes a file for each day (never)
//	keep          how many rotated files are kept; older ones are deleted (all)
//	compress      whether rotated files are compressed, to <path>.<time>.gz (false)
//
// It rotates when an epoch begins: a file may exceed rotate_bytes by an epoch, up to 8 MiB and a chunk, and
// one that is old rotates with the next event. What is acknowledged is on disk, under one of these names,
// whenever the program or the machine stops.
func newFile(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	s := &file{op: "output " + out.Name, path: c.Path("path", ""), line: lineFormat(c, env, "body", "body", "devo", "frame"), rotation: newRotation(c)}
	s.tidier = tidier{path: s.path, rotation: s.rotation, log: env.Logger.With("output", out.Name)}
	if c.Required("path") != "" {
		if err := isDirectory(filepath.Dir(s.path)); err != nil {
			c.Errorf("path", "the directory of the file must exist: %v", err)
		}
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *file) Send(ctx context.Context, events []engine.Event) error {
	if ctx.Err() != nil {
		return s.failed(context.Cause(ctx))
	}
	if err := s.begin(); err != nil {
		return s.failed(err)
	}
	for i := range events {
		s.buf = s.line(s.buf, &events[i])
		if len(s.buf) >= fileBuffer {
			if err := s.write(); err != nil {
				return s.failed(err)
			}
		}
	}
	return nil
}

func (s *file) Flush(ctx context.Context) error {
	if !s.dirty {
		return nil
	}
	if ctx.Err() != nil {
		return s.failed(context.Cause(ctx))
	}
	if err := s.write(); err != nil {
		return s.failed(err)
	}
	if err := s.file.Sync(); err != nil {
		return s.failed(err)
	}
	s.dirty = false
	return nil
}

// begin begins an epoch, unless one is under way.
func (s *file) begin() error {
	if s.dirty {
		return nil
	}
	if s.file != nil && !s.isCurrent() {
		s.file.Close()
		s.file = nil
	}
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if now := time.Now(); s.rotation.isDue(info, s.turn, now) {
		if info, err = s.rotate(now); err != nil {
			return err
		}
	}
	s.start, s.dirty = info.Size(), true
	return nil
}

// isCurrent reports whether path still names the file that is open.
func (s *file) isCurrent() bool {
	there, err := os.Stat(s.path)
	if err != nil {
		return false
	}
	ours, err := s.file.Stat()
	return err == nil && os.SameFile(ours, there)
}

func (s *file) open() error {
	info, err := os.Stat(s.path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file; to write to a terminal or a pipe, use an output of type console", s.path)
	}
	if s.file, err = os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		return err
	}
	// Its name must be durable before its first event is, and who made the file may have died before that.
	if err := syncDirectory(filepath.Dir(s.path)); err != nil {
		return err
	}
	s.tidier.wakeUp()
	return s.endLine()
}

// rotate gives the file, every epoch of which the disk has, its other name, and begins a new one. After a
// crash in between there is none with the first name, and the next epoch makes it.
func (s *file) rotate(now time.Time) (fs.FileInfo, error) {
	name, err := nextName(s.path, now)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(s.path, name); err != nil {
		return nil, err
	}
	s.file.Close()
	s.file, s.turn = nil, now
	if err := s.open(); err != nil {
		return nil, err
	}
	return s.file.Stat()
}

// endLine ends the last line, if the program died within it.
func (s *file) endLine() error {
	info, err := s.file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	var last [1]byte
	if _, err := s.file.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = s.file.Write(lineFeed)
	return err
}

func (s *file) write() error {
	_, err := s.file.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

// failed takes back what was written of the epoch, as far as possible.
func (s *file) failed(err error) error {
	s.rollback()
	return outputError(s.op, err)
}

func (s *file) rollback() {
	if s.file != nil {
		if info, err := s.file.Stat(); err == nil && s.dirty && info.Size() > s.start {
			_ = s.file.Truncate(s.start) // without it lines repeat, which delivery allows
		}
		s.file.Close()
	}
	s.file, s.buf, s.dirty = nil, s.buf[:0], false
}

// Close takes back an epoch that was not flushed, as it will be offered again.
func (s *file) Close() error {
	s.rollback()
	s.tidier.close()
	return nil
}

// syncDirectory makes the names of files durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
