package engine

import (
	"context"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	pollEvery     = time.Second           // network, bind and desktop mounts send no events
	quietFor      = 60 * time.Millisecond // a change is read when nothing has moved for this long…
	quietAtMost   = 2 * time.Second       // …or has moved for this long
	retryConfig   = 5 * time.Second       // a refused configuration may name a file that comes later
	vanishedGrace = 5 * time.Second       // git checkout and rsync --delete take files away for a moment
)

// watch reloads whatever changes on disk until ctx ends. Events of the file system are only hints to
// look; what counts is the content, compared with what was looked at last.
func (e *Engine) watch(ctx context.Context) {
	hints := e.hints()
	if hints != nil {
		defer hints.Close()
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	last := e.seen
	var vanished, tried time.Time
	warned := map[string]bool{}
	for {
		force := false
		select {
		case <-ctx.Done():
			return
		case <-e.force:
			force = true
		case <-poll.C:
			e.warnOfReplaced(last.sources, warned)
		case <-events(hints):
		}
		is := e.look()
		if !force && is.equal(last) {
			vanished = time.Time{}
			if time.Since(tried) > retryConfig {
				tried = time.Now()
				e.retryConfig(is.sources)
			}
			continue
		}
		if is = e.settled(ctx, is); ctx.Err() != nil {
			return
		}
		if !force && lost(last, is) {
			if vanished.IsZero() {
				vanished = time.Now()
			}
			if time.Since(vanished) < vanishedGrace {
				continue
			}
		}
		vanished = time.Time{}
		e.reload(last, is, force)
		last = is
		e.follow(hints)
	}
}

// settled looks until nothing moves any more, so that a file is not read half written.
func (e *Engine) settled(ctx context.Context, is observed) observed {
	deadline := time.Now().Add(quietAtMost)
	for time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return is
		case <-time.After(quietFor):
		}
		next := e.look()
		if next.equal(is) {
			return next
		}
		is = next
	}
	return is
}

// lost reports whether a script of the folder is gone, or the folder itself.
func lost(was, is observed) bool {
	if was.err != nil {
		return false
	}
	if is.err != nil {
		return true
	}
	for name, f := range was.sources.files {
		now, ok := is.sources.files[name]
		if !f.builtin && (!ok || now.builtin) {
			return true
		}
	}
	return false
}

// hints starts watching directories. Without it, polling does the work alone.
func (e *Engine) hints() *fsnotify.Watcher {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		e.options.Logger.Warn("the system gives no file events; changes are found by polling", "every", pollEvery.String(), "error", err.Error())
		return nil
	}
	e.follow(w)
	return w
}

// follow watches the directories of everything that can change. A directory that cannot be watched is
// polled.
func (e *Engine) follow(w *fsnotify.Watcher) {
	if w == nil {
		return
	}
	files, scripts := e.followed()
	for _, f := range files {
		w.Add(filepath.Dir(f))
	}
	if scripts == "" {
		return
	}
	w.Add(filepath.Dir(scripts))
	if real, err := filepath.EvalSymlinks(scripts); err == nil {
		filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				w.Add(path)
			}
			return nil
		})
	}
}

// followed returns the files that can change, beside the scripts, and the folder of these.
func (e *Engine) followed() (files []string, scripts string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	files = append(files, e.config.Files...)
	for _, d := range e.deliveries {
		if r, ok := d.sink.(Reloader); ok {
			files = append(files, r.Files()...)
		}
	}
	for _, c := range e.collectors {
		files = append(files, c.script.Load().files...)
	}
	return files, e.config.ScriptsDir
}

// warnOfReplaced says once of each file that it will not be seen to change any more. A file that is
// mounted by itself stays what it was when another is renamed over it outside, as most editors do.
func (e *Engine) warnOfReplaced(scripts *Sources, warned map[string]bool) {
	files, _ := e.followed()
	if scripts != nil {
		files = append(files, scripts.paths()...)
	}
	for _, name := range files {
		// Twice, for the first look may come between the two halves of a rename.
		if warned[name] || !isReplaced(name) || !isReplaced(name) {
			continue
		}
		warned[name] = true
		e.options.Logger.Warn("a file that is mounted by itself was replaced outside, and here it is still the old one: "+
			"restart the container, and mount the folder that the file is in, in place of the file", "file", name)
	}
}

// events returns the channel of hints; a full queue or an error is a hint too.
func events(w *fsnotify.Watcher) <-chan fsnotify.Event {
	if w == nil {
		return nil
	}
	select {
	case <-w.Errors:
	default:
	}
	return w.Events
}
