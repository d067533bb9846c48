package sim

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"os"
	"sync"
	"time"
)

// DevoOptions describe the receiver. The zero value works.
type DevoOptions struct {
	Addr      string                      // host:port to listen on; default a free port of the loopback interface
	Identity  func(message []byte) string // default TraceIdentity; "" means that the event has none
	ReadDelay time.Duration               // before each read of at most 4 KiB, to be slow
	GzipOnly  bool                        // a frame that is in no gzip member ends the connection
	// Record is a file to which every event is appended as it came, before the end of a connection is confirmed. What an
	// earlier receiver wrote there counts as received, and a line it did not finish is removed.
	Record string
}

// DevoCounters say what the receiver got so far.
type DevoCounters struct {
	Connections  int // that passed the handshake
	Refused      int // that did not
	Closed       int // that the sender ended in order, confirmed by a close_notify
	Broken       int // that ended otherwise
	Events       int
	Bytes        int64 // of frames, with their newlines
	Members      int   // of gzip
	Malformed    int   // lines that are no frame, lines without an end, and members that are damaged or not whole
	Unidentified int   // events without an identity
	Internal     int   // frames that a collector sends about itself, which are not among the events
}

// Devo is a receiver of newline-framed syslog over TLS, compressed or not, that demands a client certificate of its authority. It acknowledges
// nothing, as Devo; it answers a close_notify with its own when everything before it has been taken.
type Devo struct {
	options DevoOptions
	tls     *tls.Config
	addr    string
	wait    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	listener net.Listener
	open     map[*gate]bool
	paused   chan struct{} // closed by Resume; nil when not paused
	delay    time.Duration
	counters DevoCounters
	tags     map[string]int
	tally    tally
	file     *os.File
	record   *bufio.Writer
}

// NewDevo starts a receiver.
func NewDevo(certs *Certs, o DevoOptions) (*Devo, error) {
	if o.Identity == nil {
		o.Identity = TraceIdentity
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	d := &Devo{options: o, tls: certs.ServerConfig(), addr: o.Addr, delay: o.ReadDelay, tags: map[string]int{}, tally: newTally()}
	if err := d.openRecord(); err != nil {
		return nil, err
	}
	if err := d.Restart(); err != nil {
		return nil, err
	}
	return d, nil
}

// Addr is the address, host:port. It stays the same across Kill and Restart.
func (d *Devo) Addr() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.addr
}

// Restart listens again after Kill, on the same port and reading.
func (d *Devo) Restart() error {
	l, err := net.Listen("tcp", d.Addr())
	if err != nil {
		return fmt.Errorf("start simulated Devo: %w", err)
	}
	d.Resume()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listener, d.addr, d.open = l, l.Addr().String(), map[*gate]bool{}
	d.wait.Add(1)
	go d.accept(l)
	return nil
}

// Kill does what the end of the process would: nobody listens any more, every connection is reset, and what had not been read
// is gone. It returns when nothing can be received any more.
func (d *Devo) Kill() {
	d.mu.Lock()
	if d.listener != nil {
		_ = d.listener.Close()
	}
	d.listener = nil
	for g := range d.open {
		g.reset()
	}
	d.mu.Unlock()
	d.wait.Wait()
}

// Reset breaks every connection with an RST, whatever of it has not been read; new ones are taken.
func (d *Devo) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for g := range d.open {
		g.reset()
	}
}

// Close ends the receiver and its record.
func (d *Devo) Close() error {
	d.Kill()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	err := errors.Join(d.record.Flush(), d.file.Close())
	d.file = nil
	return err
}

// Pause stops reading; connections stay open, and new ones wait in their handshake.
func (d *Devo) Pause() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paused == nil {
		d.paused = make(chan struct{})
	}
}

// Resume reads on.
func (d *Devo) Resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paused != nil {
		close(d.paused)
	}
	d.paused = nil
}

// Slow makes every read of at most 4 KiB wait first; 0 is full speed again.
func (d *Devo) Slow(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

// Counters returns what the receiver got so far.
func (d *Devo) Counters() DevoCounters {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counters
}

// Different returns how many different identities came so far.
func (d *Devo) Different() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.tally.seen)
}

// Disorder returns how many events came, for the first time, after one with a later time. It is 0 where the sender reads oldest
// first and keeps the order.
func (d *Devo) Disorder() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tally.disorder
}

// Tags returns how many events came for each tag.
func (d *Devo) Tags() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.tags)
}

// Compare holds what was received against the truth, in which every identity comes once: how many of it are missing, how many
// identities it does not know, and how many events were repetitions.
func (d *Devo) Compare(truth iter.Seq[string]) (missing, extra, duplicates int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tally.compare(truth)
}

func (d *Devo) accept(l net.Listener) {
	defer d.wait.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed by Kill
		}
		g := &gate{Conn: conn, devo: d, dead: make(chan struct{})}
		d.mu.Lock()
		if d.listener != l {
			g.reset()
			d.mu.Unlock()
			return
		}
		d.open[g] = true
		d.wait.Add(1)
		d.mu.Unlock()
		go d.serve(g)
	}
}

// serve reads one connection to its end.
func (d *Devo) serve(g *gate) {
	defer d.wait.Done()
	conn := tls.Server(g, d.tls)
	err := conn.Handshake()
	d.mu.Lock()
	if err == nil {
		d.counters.Connections++
	} else {
		d.counters.Refused++
	}
	d.mu.Unlock()
	if err == nil {
		err = d.readFrames(bufio.NewReaderSize(conn, 64<<10))
		d.finish(err)
	}
	_ = conn.Close() // sends close_notify; a connection that was reset cannot say more
	d.mu.Lock()
	delete(d.open, g)
	d.mu.Unlock()
}

// readFrames takes frames, and gzip members of frames, until the connection ends; io.EOF means that the sender ended it in order.
func (d *Devo) readFrames(r *bufio.Reader) error {
	for {
		first, err := r.Peek(1)
		if err != nil {
			return err
		}
		read := d.readFrame
		switch {
		case first[0] == gzipID:
			read = d.readMember
		case d.options.GzipOnly:
			d.torn()
			return errNotGzip
		}
		if err := read(r); err != nil {
			return err
		}
	}
}

func (d *Devo) readFrame(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		var rest []byte
		line = bytes.Clone(line)
		rest, err = r.ReadBytes('\n')
		line = append(line, rest...)
	}
	if err != nil {
		d.torn()
		return err
	}
	d.take(line)
	return nil
}

var errNotGzip = errors.New("a frame that is not compressed")

// gzipID is the first byte of a gzip member, and of no frame.
const gzipID = 0x1f

// readMember takes the frames of a member once all of it has come.
func (d *Devo) readMember(r *bufio.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		d.torn()
		return err
	}
	z.Multistream(false)
	text, err := io.ReadAll(z)
	if err != nil {
		d.torn()
		return err
	}
	d.mu.Lock()
	d.counters.Members++
	d.mu.Unlock()
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			d.torn()
			break
		}
		d.take(line)
	}
	return nil
}

func (d *Devo) torn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counters.Malformed++
}

// take counts and records one line, which ends in a newline.
func (d *Devo) take(line []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count(line[:len(line)-1]) && d.file != nil {
		if _, err := d.record.Write(line); err != nil {
			panic(fmt.Errorf("simulated Devo: %w", err)) // the record is what the test will believe
		}
	}
}

func (d *Devo) count(line []byte) bool {
	frame, err := ParseFrame(line)
	if err != nil {
		d.counters.Malformed++
		return false
	}
	d.tags[string(frame.Tag)]++
	if frame.Internal() {
		d.counters.Internal++
		return true
	}
	d.counters.Events++
	d.counters.Bytes += int64(len(line)) + 1
	if identity := d.options.Identity(frame.Message); identity != "" {
		d.tally.add(identity, frame.Stamp)
	} else {
		d.counters.Unidentified++
	}
	return true
}

// finish notes how a connection ended and makes the record complete.
func (d *Devo) finish(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == io.EOF {
		d.counters.Closed++
	} else {
		d.counters.Broken++
	}
	if d.file != nil {
		if err := d.record.Flush(); err != nil {
			panic(fmt.Errorf("simulated Devo: %w", err)) // as in take
		}
	}
}

// openRecord reads what an earlier receiver recorded and goes on after its last whole line.
func (d *Devo) openRecord() error {
	if d.options.Record == "" {
		return nil
	}
	file, err := os.OpenFile(d.options.Record, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("start simulated Devo: %w", err)
	}
	whole := int64(0)
	r := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return errors.Join(err, file.Close())
		}
		whole += int64(len(line))
		d.count(line[:len(line)-1])
	}
	if err := file.Truncate(whole); err != nil {
		return errors.Join(err, file.Close())
	}
	if _, err := file.Seek(whole, io.SeekStart); err != nil {
		return errors.Join(err, file.Close())
	}
	d.file, d.record = file, bufio.NewWriterSize(file, 64<<10)
	return nil
}
