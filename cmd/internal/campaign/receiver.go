package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"starling/cmd/internal/sim"
)

// A receiver takes the events, and says which it has.
type receiver interface {
	addr() string
	start(context.Context) error // listens when it returns
	kill() error
	arrived() int // how many different events
	compare(truth iter.Seq[string]) (missing, extra, twice int)
	disorder() int // how many came, for the first time, after a later one
	close()
}

// inside is a receiver in this process.
type inside struct{ *sim.Devo }

func newInside(_ *round, w *sim.World) (receiver, error) { return inside{w.Devo}, nil }

func (d inside) addr() string                { return d.Addr() }
func (d inside) start(context.Context) error { return nil }
func (d inside) kill() error                 { d.Kill(); return nil }
func (d inside) arrived() int                { return d.Different() }
func (d inside) disorder() int               { return d.Disorder() }
func (d inside) close()                      {} // the world does

func (d inside) compare(truth iter.Seq[string]) (missing, extra, twice int) { return d.Compare(truth) }

// outside is a receiver in a process of its own, which writes what it has to files: one for each start, because a kill can leave a
// line without its end.
type outside struct {
	address string
	dir     string
	command func(file string) *exec.Cmd

	cmd      *exec.Cmd
	stdin    io.WriteCloser
	output   *lastLines
	files    []string
	received sim.Received
}

// newOwn is the simulated Devo in a process of its own. It reads slowly, so that kernels hold what it has not read when it is killed.
func newOwn(r *round, w *sim.World) (receiver, error) {
	d := &outside{dir: filepath.Join(r.dir, "receiver")}
	if err := d.prepare(w); err != nil {
		return nil, err
	}
	delay := r.between(500*time.Microsecond, 3*time.Millisecond).String()
	d.command = func(file string) *exec.Cmd {
		args := append(r.Receiver[1:len(r.Receiver):len(r.Receiver)], d.address, d.dir, file, delay, strconv.FormatBool(r.gzip))
		return exec.Command(r.Receiver[0], args...)
	}
	return d, nil
}

// prepare writes the certificates and finds a port.
func (d *outside) prepare(w *sim.World) (err error) {
	if err := w.Certs.WriteServer(d.dir); err != nil {
		return err
	}
	d.address, err = freeAddress()
	return err
}

// freeAddress finds a port that stays free while nobody listens there: outside of the range that connections are made from.
func freeAddress() (string, error) {
	var last error
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
		last = err
	}
	return "", last
}

// Receive is the receiver's process. Its arguments are an address, a folder with certificates, the file to write, and how long to
// wait before each read, and whether it takes gzip only. It ends when its input does, so it does not outlive who started it.
func Receive(args []string) error {
	if len(args) != 5 {
		return errors.New("want an address, a folder with certificates, a file, a delay, and true or false")
	}
	delay, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	certs, err := sim.LoadServer(args[1])
	if err != nil {
		return err
	}
	d, err := sim.NewDevo(certs, sim.DevoOptions{Addr: args[0], Record: args[2], ReadDelay: delay, GzipOnly: args[4] == "true"})
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return d.Close()
}

func (d *outside) addr() string { return d.address }

func (d *outside) start(ctx context.Context) error {
	file := filepath.Join(d.dir, fmt.Sprintf("received-%04d", len(d.files)))
	d.files = append(d.files, file)
	d.cmd, d.output = d.command(file), &lastLines{}
	d.cmd.Stdout, d.cmd.Stderr = d.output, d.output
	var err error
	if d.stdin, err = d.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start the receiver: %w", err)
	}
	listens := func() bool {
		conn, err := net.Dial("tcp", d.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	if !poll(ctx, patience, listens) {
		return errors.Join(fmt.Errorf("the receiver does not listen on %s: %s", d.address, d.output), d.kill())
	}
	return nil
}

// kill ends it by SIGKILL.
func (d *outside) kill() error {
	if d.cmd == nil {
		return nil
	}
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
	_ = d.stdin.Close()
	if status := d.cmd.ProcessState.String(); !strings.Contains(status, "killed") {
		return fmt.Errorf("the receiver ended by itself, %s: %s", status, d.output)
	}
	d.cmd = nil
	return nil
}

func (d *outside) close() { _ = d.kill() }

func (d *outside) arrived() int {
	for _, file := range d.files {
		_ = d.received.Read(file) // it may not be there yet; what is missing shows at the end
	}
	return d.received.Different()
}

func (d *outside) compare(truth iter.Seq[string]) (missing, extra, twice int) {
	missing, extra, twice = d.received.Compare(truth)
	return missing, extra + d.received.Malformed, twice
}

// down leaves it dead for a while.
func (d *outside) down(ctx context.Context, pause time.Duration) error {
	if err := d.kill(); err != nil {
		return err
	}
	wait(ctx, pause)
	return d.start(ctx)
}

func (d *outside) disorder() int { return d.received.Disorder() }

// stall stops the process until the returned function is called.
func (d *outside) stall() (resume func()) {
	process := d.cmd.Process
	_ = process.Signal(syscall.SIGSTOP)
	return func() { _ = process.Signal(syscall.SIGCONT) } // it may be dead
}

// wait waits, as the draw wants.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
