package sinks

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// tidier compresses and deletes files that rotated, beside the deliveries. It looks at what there is, so
// what a crash left undone is done after the next start.
type tidier struct {
	path     string
	rotation rotation
	log      *slog.Logger

	wake  chan struct{} // nil: it does not run
	stop  context.CancelFunc
	ended chan struct{}
}

// wakeUp has it look; it may be at work.
func (t *tidier) wakeUp() {
	if t.rotation.keep == 0 && !t.rotation.compress {
		return
	}
	if t.wake == nil {
		ctx, cancel := context.WithCancel(context.Background())
		t.wake, t.stop, t.ended = make(chan struct{}, 1), cancel, make(chan struct{})
		go t.run(ctx, t.wake, t.ended)
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *tidier) run(ctx context.Context, wake, ended chan struct{}) {
	defer close(ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		if err := t.rotation.tidy(ctx, t.path); err != nil && ctx.Err() == nil {
			t.log.Warn("rotated files could not be compressed or deleted; it is tried again at the next rotation", "error", err)
		}
	}
}

// close ends it and waits, so that nobody else is at the files when the next one begins.
func (t *tidier) close() {
	if t.wake != nil {
		t.stop()
		<-t.ended
		t.wake = nil
	}
}

// tidy deletes what is more than is kept, oldest first, and compresses the rest. It can be stopped at any
// point and begun again.
func (r rotation) tidy(ctx context.Context, path string) error {
	all, err := rotatedAt(path)
	if err != nil {
		return err
	}
	for i, at := range all {
		name := rotatedName(path, at)
		switch {
		case r.keep > 0 && i < len(all)-r.keep:
			err = removeAll(name, name+partSuffix, name+".gz")
		case r.compress:
			err = compressFile(ctx, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func removeAll(names ...string) error {
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// partSuffix marks a compressed file that is not whole yet.
const partSuffix = ".gz.part"

// compressFile puts name.gz in the place of the file: the old one goes when the disk has all of the new one.
func compressFile(ctx context.Context, name string) error {
	in, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is compressed
	}
	if err != nil {
		return err
	}
	defer in.Close()
	part := name + partSuffix
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(zipTo(ctx, out, in), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(part, name+".gz")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("compress %s: %w", name, err), removeAll(part))
	}
	if err := syncDirectory(filepath.Dir(name)); err != nil {
		return err
	}
	return os.Remove(name)
}

func zipTo(ctx context.Context, out io.Writer, in io.Reader) error {
	zip := gzip.NewWriter(out)
	for ctx.Err() == nil {
		n, err := io.CopyN(zip, in, 1<<20)
		if n == 0 && err == io.EOF {
			return zip.Close()
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return ctx.Err()
}
