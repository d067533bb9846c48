package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"starling/builtins"
	"starling/cmd/internal/cases"
	"starling/engine"
	"starling/scripts"
)

func recordFlag(c *cobra.Command, dir *string, help string) {
	c.Flags().StringVar(dir, "record", "", help)
}

// recordings writes cases of pulls.
type recordings struct {
	to       string // a folder or a file for every pull; empty: those that fail go where the configuration says
	redactor *engine.Redactor
	log      *slog.Logger

	mu      sync.Mutex
	config  engine.Recordings
	written []string
	failed  error // why the last one was not written
}

func (p *program) newRecordings(config *engine.Config, to string, log *slog.Logger) *recordings {
	return &recordings{to: to, redactor: p.redactor, log: log, config: config.Recordings}
}

// use takes what a new configuration says.
func (r *recordings) use(c *engine.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.config = c.Recordings
}

func (r *recordings) recorder() *engine.Recorder {
	return &engine.Recorder{Limit: r.limit, Keep: r.keep}
}

func (r *recordings) limit() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == "" && r.config.Dir == "" {
		return 0
	}
	return r.config.Bytes
}

// keep writes a case of a tape if one is wanted. It is no failure of the pull if that does not work.
func (r *recordings) keep(t *engine.Tape) {
	r.mu.Lock()
	config := r.config
	r.mu.Unlock()
	dir := r.to
	if dir == "" {
		if t.Err == nil || engine.CodeOf(t.Err, "") == engine.CodeCanceled {
			return
		}
		dir = config.Dir
	}
	file, err := r.write(t, dir, config)
	if err != nil {
		r.mu.Lock()
		r.failed = err
		r.mu.Unlock()
		r.log.Warn("the recording of a pull is not kept", string(engine.KeyCollector), t.Collector, "error", r.redactor.Redact(err.Error()))
		return
	}
	if r.to == "" || r.log.Enabled(context.Background(), slog.LevelDebug) {
		r.log.Info("the pull was recorded", string(engine.KeyCollector), t.Collector, "case", file)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written = append(r.written, file)
}

func (r *recordings) write(t *engine.Tape, dir string, config engine.Recordings) (string, error) {
	c, err := cases.Make(context.Background(), t, cases.Options{Personal: config.Personal, Secrets: r.redactor.Known(), Library: scriptLibrary("")})
	if err != nil {
		return "", err
	}
	file := dir
	if !strings.HasSuffix(dir, cases.Extension) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
		file = filepath.Join(dir, caseName(t))
	}
	if err := writeWhole(file, c.Bytes()); err != nil || file == dir {
		return file, err
	}
	return file, keepNewest(dir, config.Keep)
}

// scriptLibrary is where scripts come from, with a folder in front of the built-in ones if there is one.
func scriptLibrary(dir string) *engine.Library {
	return &engine.Library{Builtin: scripts.FS(), Dir: dir, Predeclared: builtins.All()}
}

// caseName is sorted by time.
func caseName(t *engine.Tape) string {
	return t.Started.Format("20060102T150405.000000Z") + "-" + strings.Map(func(r rune) rune {
		if strings.ContainsRune("/\\: ", r) {
			return '_'
		}
		return r
	}, t.Collector) + cases.Extension
}

// writeWhole writes a file, which others see whole or not at all.
func writeWhole(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".case-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// keepNewest deletes the oldest cases that caseName has named until there are n.
func keepNewest(dir string, n int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); e.Type().IsRegular() && strings.HasSuffix(name, cases.Extension) && len(name) > 24 && name[8] == 'T' && name[22] == 'Z' && name[23] == '-' {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for len(names) > n {
		if err := os.Remove(filepath.Join(dir, names[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		names = names[1:]
	}
	return nil
}

func (p *program) tellRecorded(files []string) {
	for _, file := range files {
		fmt.Fprintf(p.stderr, "recorded: %s\n", file)
	}
}
