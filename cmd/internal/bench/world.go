package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"starling/cmd/internal/sim"
)

// world is the API and the receiver in a process of their own, as the process that measures sees them: for every line of
// JSON that it is sent, it answers with one.
type world struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
	places
}

// places are where the world is.
type places struct {
	Plain, Secure string // URLs of the API
	Devo          string // host:port
	Certs         string // the folder with the client's certificate and the authorities
}

// A request to the world. It does what is set, in this order.
type request struct {
	Begin    *history
	Timed    bool // note how late events come
	Shut     bool // refuse connections
	Open     bool // take them again
	Pulled   bool // wait until all rows are asked for, and committed
	Received bool // wait until all events are there
}

type answer struct {
	received
	First time.Time // when the first request came
	Lags  []time.Duration
	Error string
}

// files of the world's folder of certificates, beside those of the client.
const (
	domain   = "bench"
	caFile   = "microsoft.crt"
	patience = 3 * time.Minute // how long nothing may come
)

func startWorld(ctx context.Context, program, dir string) (*world, error) {
	w := &world{cmd: exec.CommandContext(ctx, program, PartName, "world", dir)}
	w.cmd.Stderr = os.Stderr
	var err1, err2 error
	w.in, err1 = w.cmd.StdinPipe()
	out, err2 := w.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the simulated API and receiver: %w", err)
	}
	w.out = json.NewDecoder(out)
	if err := w.out.Decode(&w.places); err != nil {
		return nil, errors.Join(fmt.Errorf("start the simulated API and receiver: %w", err), w.close())
	}
	return w, nil
}

// close ends the process.
func (w *world) close() error {
	w.in.Close()
	return w.cmd.Wait()
}

// ask has the world do something.
func (w *world) ask(r request) (a answer, err error) {
	if err := json.NewEncoder(w.in).Encode(r); err != nil {
		return a, fmt.Errorf("ask the simulated API and receiver: %w", err)
	}
	if err := w.out.Decode(&a); err != nil {
		return a, fmt.Errorf("ask the simulated API and receiver: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// serveWorld is the process. It ends with its input.
func serveWorld(dir string, in io.Reader, out io.Writer) error {
	certs, err := sim.NewCerts(domain)
	if err != nil {
		return err
	}
	folder := filepath.Join(dir, "certs")
	if err := certs.Write(folder); err != nil {
		return err
	}
	api := newAPI()
	sink := newSink(api.stock, certs)
	if err := sink.open(); err != nil {
		return err
	}
	p := places{Devo: sink.addr, Certs: folder}
	var ca []byte
	if p.Plain, p.Secure, ca, err = api.listen(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, caFile), ca, 0o600); err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	if err := answers.Encode(p); err != nil {
		return err
	}
	s := served{api: api, sink: sink, gone: make(chan struct{})}
	requests := make(chan request)
	go func() {
		defer close(s.gone)
		for lines := json.NewDecoder(in); ; {
			var r request
			if lines.Decode(&r) != nil {
				return
			}
			requests <- r
		}
	}()
	for {
		var a answer
		select {
		case r := <-requests:
			if err := s.do(r); err != nil {
				a.Error = err.Error()
			}
		case <-s.gone:
			return nil
		}
		s.fill(&a)
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

type served struct {
	api           *api
	sink          *sink
	pulled, taken chan struct{}
	gone          chan struct{} // closed when nobody asks any more
}

func (s *served) do(r request) error {
	if r.Begin != nil {
		s.pulled, s.taken = s.api.begin(*r.Begin), s.sink.begin(*r.Begin, r.Timed)
	}
	if r.Shut {
		if err := s.sink.shut(); err != nil {
			return err
		}
	}
	if r.Open {
		if err := s.sink.open(); err != nil {
			return err
		}
	}
	if r.Pulled {
		if err := s.wait(s.pulled, "asked for"); err != nil {
			return err
		}
	}
	if r.Received {
		return s.wait(s.taken, "received")
	}
	return nil
}

// wait waits until something is done; it gives up when nothing comes any more.
func (s *served) wait(done chan struct{}, what string) error {
	before := -1
	for {
		select {
		case <-done:
			return s.sink.problem()
		case <-s.gone:
			return errors.New("nobody waits for it any more")
		case <-time.After(patience):
		}
		requests, events := s.api.count(), s.sink.count()
		if before == requests+events {
			return fmt.Errorf("not all was %s, and nothing came for %v: %d requests, %d events", what, patience, requests, events)
		}
		before = requests + events
	}
}

func (s *served) fill(a *answer) {
	a.First = s.api.began()
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	a.received, a.Lags = s.sink.received, slices.Clone(s.sink.lags)
}
