package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// Received counts the events in files that receivers wrote, a frame in each line: a Devo's Record, or what rsyslog writes with the
// template %rawmsg%. What a collector sends about itself does not count. The zero value is ready.
type Received struct {
	Events    int
	Bytes     int64
	Malformed int // whole lines that are no frame, or have no identity
	tally     tally
	read      map[string]int64 // how far each file is read
}

// Read counts the whole lines that are new in a file since its last call. A line without an end does not count: its writer is not
// done with it, or was killed in it.
func (r *Received) Read(file string) error {
	r.prepare()
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read what was received: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(r.read[file], io.SeekStart); err != nil {
		return fmt.Errorf("read what was received: %w", err)
	}
	for lines := bufio.NewReaderSize(f, 64<<10); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read what was received: %w", err)
		}
		r.read[file] += int64(len(line))
		r.count(line[:len(line)-1])
	}
}

func (r *Received) prepare() {
	if r.read == nil {
		r.tally, r.read = newTally(), map[string]int64{}
	}
}

func (r *Received) count(line []byte) {
	frame, err := ParseFrame(line)
	identity := ""
	if err == nil && frame.Internal() {
		return
	}
	if err == nil {
		identity = TraceIdentity(frame.Message)
	}
	if identity == "" {
		r.Malformed++
		return
	}
	r.Events++
	r.Bytes += int64(len(line)) + 1
	r.tally.add(identity, frame.Stamp)
}

// Different returns how many different identities there are.
func (r *Received) Different() int { return len(r.tally.seen) }

// Disorder is as [Devo.Disorder]; files count in the order in which they were read.
func (r *Received) Disorder() int { return r.tally.disorder }

// Compare is as [Devo.Compare].
func (r *Received) Compare(truth iter.Seq[string]) (missing, extra, duplicates int) {
	r.prepare()
	return r.tally.compare(truth)
}
