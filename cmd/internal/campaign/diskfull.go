package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// diskBytes is the size of the disk that is filled: the reserve, and room for the database beside it.
const diskBytes = 512 << 20

// fullDisks fills the disk of the state directory to its last byte while rows come and go, and frees it
// again. A collector that ends of it, which is counted, is started again.
func fullDisks(ctx context.Context, r *round) error {
	disk := filepath.Join(r.dir, "disk")
	unmount, err := mount(ctx, disk)
	if err != nil {
		return err
	}
	defer unmount()
	s, err := r.newScene(ctx, plot{receiver: newInside, config: map[string]string{
		"directory_name: state\n": "directory_name: disk/state\n",
		"outputs:\n":              "starling:\n  listen: \"off\"\n  limits:\n    disk_reserve: 128MiB\n\noutputs:\n",
	}})
	if err != nil {
		return err
	}
	defer s.close()
	c, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer func() { c.discard() }()
	filler := filepath.Join(disk, "filler")
	for r.result.Faults < r.size.Faults && !s.complete() {
		s.more(ctx, s.receiver.arrived(), 5*time.Second)
		wait(ctx, r.between(0, 300*time.Millisecond))
		if err := fill(filler); err != nil {
			return err
		}
		wait(ctx, r.between(200*time.Millisecond, 2*time.Second))
		if err := os.Remove(filler); err != nil {
			return err
		}
		r.result.Faults++
		s.pace(r.result.Faults, r.size.Faults)
		if c.alive() == nil {
			continue
		}
		r.result.Ended++
		if c, err = s.start(ctx); err != nil {
			return err
		}
	}
	return s.finish(ctx, c)
}

// mount puts a small disk at a folder.
func mount(ctx context.Context, dir string) (unmount func(), err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: the disk-full campaign mounts a small disk, for which it must be root", ErrSkipped)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", diskBytes), "tmpfs", dir).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: no disk of its own: mount: %s", ErrSkipped, out)
	}
	return func() { _ = exec.Command("umount", "-l", dir).Run() }, nil
}

// fill writes until the disk is full.
func fill(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return ignoreFull(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); err != nil {
			return ignoreFull(err)
		}
	}
}

func ignoreFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}
