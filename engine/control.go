package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A starling that runs listens on a Unix socket in its state directory, for commands that need what
// only it can read. A request is a line; the answer is the line "ok" and what was asked for, or a line
// that begins with "error: ".
const (
	controlName    = "control.sock"
	controlRequest = 10 * time.Second // to send a request
	controlLine    = 4 << 10          // bytes of a request
	controlStall   = time.Minute      // for the other side to take a part of the answer
)

// serveControl answers until the function that it returns is called, and for a store in memory not at all.
func (s *Store) serveControl(log *slog.Logger, status func() Status) (stop func()) {
	if s.dir == "" {
		return func() {}
	}
	path := filepath.Join(s.dir, controlName)
	os.Remove(path) // of a process that was killed: this one has the lock
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		log.Warn("backups, coverage and backfills are possible only while starling is stopped: it cannot listen in the state directory", "error", err.Error())
		return func() {}
	}
	c := control{store: s, log: log, status: status, open: map[net.Conn]bool{}}
	c.wait.Go(func() { c.accept(l) })
	return func() {
		l.Close()
		c.closeAll()
		c.wait.Wait()
	}
}

// A control answers on the socket of one store.
type control struct {
	store  *Store
	log    *slog.Logger
	status func() Status
	wait   sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (c *control) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.open[conn] = true
		closed := c.closed
		c.mu.Unlock()
		if closed {
			conn.Close()
			return
		}
		c.wait.Go(func() {
			c.answer(conn)
			conn.Close()
			c.mu.Lock()
			delete(c.open, conn)
			c.mu.Unlock()
		})
	}
}

func (c *control) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		conn.Close()
	}
}

func (c *control) answer(conn net.Conn) {
	conn.SetReadDeadline(time.Now().Add(controlRequest))
	request, err := bufio.NewReader(io.LimitReader(conn, controlLine)).ReadString('\n')
	if err != nil {
		return
	}
	out := patient{conn}
	verb, arg, _ := strings.Cut(strings.TrimSuffix(request, "\n"), " ")
	if verb != "backup" {
		if !c.answerAsk(out, verb, arg) {
			fmt.Fprintf(out, "error: unknown request %q\n", verb)
		}
		return
	}
	if _, err := io.WriteString(out, "ok\n"); err != nil {
		return
	}
	info, err := c.store.Backup(out)
	if err != nil {
		c.log.Warn("a backup failed", "error", err.Error())
		return
	}
	c.log.Info("backed up", "commits", info.Commits)
}

// patient has a deadline for each part that it writes.
type patient struct{ net.Conn }

func (p patient) Write(b []byte) (int, error) {
	p.SetWriteDeadline(time.Now().Add(controlStall))
	return p.Conn.Write(b)
}

func dialControl(dir string) (net.Conn, error) {
	return net.Dial("unix", filepath.Join(dir, controlName))
}

// askBackup copies the backup that the other side makes to w.
func askBackup(conn net.Conn, w io.Writer) error {
	const op = "back up"
	if _, err := io.WriteString(conn, "backup\n"); err != nil {
		return storeError(op, err, "")
	}
	in := bufio.NewReaderSize(conn, 256<<10)
	answer, err := in.ReadString('\n')
	if err == nil && answer != "ok\n" {
		err = errors.New(strings.TrimSpace(answer))
	}
	if err == nil {
		_, err = io.Copy(w, in)
	}
	if err != nil {
		return storeError(op, err, "the starling that runs ended in between; try again")
	}
	return nil
}
