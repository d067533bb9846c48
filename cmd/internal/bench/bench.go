package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options say what is measured, and how.
type Options struct {
	Program  string // the file of the program, which has the command PartName
	Dir      string // where state is kept; default a temporary folder
	Rows     []int
	Runs     int
	HTTPS    bool      // HTTPS with gzip to the API
	Script   string    // "declared", "def" or "dict"
	Profiles string    // a folder for those of the program's last run
	Backlog  int       // MB of frames that wait, for the figure drain
	Out      io.Writer // for a table, if there is one
}

// What can be measured with the same rows: the program, and its references.
const (
	Starling = "starling"
	structs  = "encoding/json"
	scan     = "byte-scan"
)

// References lists the hand-written programs beside which the product is measured.
func References() []string { return []string{structs, scan} }

// A bench is a measurement that is going on.
type bench struct {
	Options
	ctx context.Context // its end kills what was started
	*world
	runs int // so far
}

func begin(ctx context.Context, o Options) (*bench, error) {
	if !slices.Contains(scripts, o.Script) {
		return nil, fmt.Errorf("script %q: it is one of %s", o.Script, strings.Join(scripts, ", "))
	}
	dir, err := os.MkdirTemp(o.Dir, "starling-bench-")
	if err == nil {
		o.Dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, err
	}
	w, err := startWorld(ctx, o.Program, o.Dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &bench{Options: o, ctx: ctx, world: w}, nil
}

func (b *bench) end() error {
	return errors.Join(b.world.close(), os.RemoveAll(b.Dir))
}

// past is a history of so many rows, at most as dense as a million in a day.
func past(rows int) history {
	const hour = time.Hour
	span := min(max(23*hour*time.Duration(rows)/1_000_000, 23*hour), 230*hour)
	to := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
	return history{From: to.Add(-span), To: to, Rows: rows, Collectors: 1}
}

// A Sample is one run of one program.
type Sample struct {
	Program string  `json:"program"`
	Rows    int     `json:"rows"`
	CPU     float64 `json:"cpu_seconds_per_million"` // user and system
	Rate    float64 `json:"events_per_second"`       // from the first request to the last event
	Peak    float64 `json:"peak_rss_mib"`
	Bytes   float64 `json:"bytes_allocated_per_event"`
	Allocs  float64 `json:"allocations_per_event"`
	Start   float64 `json:"start_to_first_request_seconds"`
}

// measure runs a program over a history, in a process of its own.
func (b *bench) measure(name string, h history) (Sample, error) {
	if _, err := b.ask(request{Begin: &h}); err != nil {
		return Sample{}, err
	}
	started := time.Now()
	p, err := b.start(name, h)
	if err != nil {
		return Sample{}, err
	}
	a, used, err := b.until(p, request{Received: true})
	if err != nil {
		return Sample{}, fmt.Errorf("%s: %w", name, err)
	}
	// What came after the last row, while it stopped, would be a repetition.
	if end, err := b.ask(request{}); err != nil || end.Problem != "" || end.Events != h.total() {
		return Sample{}, fmt.Errorf("%s: %d events of %d: %s, %w", name, end.Events, h.total(), end.Problem, err)
	}
	n := float64(h.total())
	return Sample{Program: name, Rows: h.total(), CPU: used.cpu.Seconds() / n * 1e6, Rate: n / a.Last.Sub(a.First).Seconds(), Peak: float64(used.PeakKiB) / 1024,
		Bytes: float64(used.Bytes) / n, Allocs: float64(used.Allocs) / n, Start: a.First.Sub(started).Seconds()}, nil
}

// await asks the world for something that p has to do; it is an error if p fails before.
func (b *bench) await(p *process, r request) (answer, error) {
	type asked struct {
		answer
		err error
	}
	done := make(chan asked, 1)
	go func() {
		a, err := b.ask(r)
		done <- asked{a, err}
	}()
	select {
	case got := <-done:
		return got.answer, got.err
	case <-p.failed:
		return answer{}, errors.New("it ended by itself")
	}
}

// A process is one that is measured.
type process struct {
	cmd           *exec.Cmd
	in            io.WriteCloser
	log           bytes.Buffer
	used          usage
	err           error // after ended
	ended, failed chan struct{}
}

// start starts a program on a history. That of the product runs until it is stopped.
func (b *bench) start(name string, h history) (*process, error) {
	if name != Starling {
		base := b.Plain
		if b.HTTPS {
			base = b.Secure
		}
		j, err := json.Marshal(job{Base: base, Devo: b.Devo, Certs: b.Certs, From: h.From, To: h.To})
		if err != nil {
			return nil, err
		}
		return b.run(name, string(j))
	}
	return b.product(h, setup{Period: 1})
}

// product starts the program on a history, with a state of its own.
func (b *bench) product(h history, s setup) (*process, error) {
	b.runs++
	s.places, s.HTTPS, s.Script = b.places, b.HTTPS, b.Script
	s.Collectors, s.Back = h.Collectors, daysBack(&h)
	config, err := s.write(b.runDir())
	if err != nil {
		return nil, err
	}
	return b.run(Starling, config, b.Profiles)
}

// runDir is the folder of the latest run of the program; its state is below.
func (b *bench) runDir() string { return filepath.Join(b.Dir, strconv.Itoa(b.runs)) }

func (b *bench) run(args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(b.ctx, b.Program, append([]string{PartName}, args...)...), ended: make(chan struct{}), failed: make(chan struct{})}
	p.cmd.Stderr = &p.log
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.cmd.Start()); err != nil {
		return nil, err
	}
	p.in = in
	go func() {
		defer close(p.ended)
		p.err = json.NewDecoder(out).Decode(&p.used)
		if err := p.cmd.Wait(); err != nil {
			p.err = err
		}
		if p.err != nil {
			close(p.failed)
		}
	}()
	return p, nil
}

// until waits for what the world says, ends the process in order, and returns what it has used.
func (b *bench) until(p *process, r request) (answer, usage, error) {
	a, err := b.await(p, r)
	p.in.Close()
	<-p.ended
	p.used.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if p.err != nil {
		err = p.err
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, p.log.Bytes()[max(0, p.log.Len()-4096):])
	}
	return a, p.used, err
}
