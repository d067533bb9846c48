package engine

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// work commits and delivers at the same time, as the engine does, until standard input ends.
func (c *crashRun) work(reserve int64) {
	c.store.guardSpace(reserve, slog.New(slog.NewTextHandler(tellLog{c}, nil)))
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, collector := range crashCollectors {
		all.Go(func() {
			for ctx.Err() == nil && c.store.space.fits(0) || c.pause(ctx) {
				c.commit(collector)
			}
		})
	}
	for _, sink := range crashSinks {
		all.Go(func() {
			for c.pause(ctx) {
				if c.store.space.writable() == nil {
					c.deliver(sink)
				}
			}
		})
	}
	all.Go(func() {
		for c.pause(ctx) {
			c.tell("alive")
		}
	})
	io.Copy(io.Discard, os.Stdin)
	stop()
	all.Wait()
}

// pause waits a moment and reports whether to go on.
func (c *crashRun) pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}

// tellLog tells the parent when the guard of the disk stops pulls and when it lets them go on.
type tellLog struct{ c *crashRun }

func (l tellLog) Write(line []byte) (int, error) {
	switch text := string(line); {
	case strings.Contains(text, "is nearly full: pulls wait"):
		l.c.tell("low")
	case strings.Contains(text, "pulls go on"):
		l.c.tell("room")
	}
	return len(line), nil
}
