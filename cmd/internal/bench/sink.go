package bench

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync"
	"time"

	"starling/cmd/internal/sim"
)

// sink receives frames over TLS as Devo does, demands a client certificate, and answers a close_notify with its own when
// it has read everything. It looks at the number of every event, and holds one in a thousand against the row.
type sink struct {
	stock stock
	tls   *tls.Config
	addr  string

	mu       sync.Mutex // guards what follows
	listener net.Listener
	history  history
	seen     []uint64 // a bit for each row
	lags     []time.Duration
	timed    bool // note lags
	done     chan struct{}
	received
}

// received is what came so far.
type received struct {
	Events  int
	Bytes   int64
	Last    time.Time
	Problem string // the first thing that was wrong
}

func newSink(s stock, certs *sim.Certs) *sink {
	return &sink{stock: s, tls: certs.ServerConfig(), addr: "127.0.0.1:0"}
}

// begin expects other rows. Done is closed when all have come, or something is wrong.
func (s *sink) begin(h history, timed bool) (done chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history, s.timed, s.seen, s.lags = h, timed, make([]uint64, h.total()/64+1), nil
	s.received, s.done = received{}, make(chan struct{})
	return s.done
}

// open listens, at the same address each time.
func (s *sink) open() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.addr = l, l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed by shut
			}
			go s.serve(tls.Server(conn, s.tls))
		}
	}()
	return nil
}

// shut refuses connections.
func (s *sink) shut() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listener.Close()
}

// serve reads a connection to its end.
func (s *sink) serve(conn *tls.Conn) {
	defer conn.Close() // says close_notify
	buf := make([]byte, 256<<10)
	have := 0
	for {
		n, err := conn.Read(buf[have:])
		have += n
		whole := bytes.LastIndexByte(buf[:have], '\n') + 1
		s.take(buf[:whole])
		have = copy(buf, buf[whole:have])
		switch {
		case err != nil && have == 0:
			return
		case err != nil:
			s.wrong("a connection ended with %d bytes of a frame: %v", have, err)
			return
		case have == len(buf):
			s.wrong("a frame is longer than %d bytes", have)
			return
		}
	}
}

func (s *sink) wrong(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(format, args...)
}

func (s *sink) fail(format string, args ...any) {
	if s.Problem == "" && s.done != nil {
		s.Problem = fmt.Sprintf(format, args...)
		s.end()
	}
}

func (s *sink) end() {
	select {
	case <-s.done:
	default:
		close(s.done)
	}
}

// problem is what was wrong.
func (s *sink) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Problem != "" {
		return errors.New(s.Problem)
	}
	return nil
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Events
}

// take counts whole frames.
func (s *sink) take(frames []byte) {
	if len(frames) == 0 {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Bytes, s.Last = s.Bytes+int64(len(frames)), now
	for len(frames) > 0 {
		i := bytes.IndexByte(frames, '\n')
		s.look(frames[:i], now)
		frames = frames[i+1:]
	}
	if s.Events == s.history.total() {
		s.end()
	}
}

const (
	sampled = 997 // one in so many is looked at as a whole
	stamp   = "2006-01-02 15:04:05.000"
)

func (s *sink) look(frame []byte, now time.Time) {
	n := -1
	if i := bytes.Index(frame, []byte(idKey)); i >= 0 && len(frame) > i+len(idKey)+idLength {
		n = numberOf(frame[i+len(idKey)+idLength-digits : i+len(idKey)+idLength])
	}
	if n < 0 && bytes.Contains(frame, []byte(" devo.collector")) {
		return // about the program itself
	}
	if n < 0 || n >= s.history.total() {
		s.fail("an event of no row: %.300q", frame)
		return
	}
	if s.seen[n/64]>>(n%64)&1 != 0 {
		s.fail("row %d came twice", n)
		return
	}
	s.seen[n/64] |= 1 << (n % 64)
	s.Events++
	received := s.history.moment(n / s.history.Collectors)
	if s.timed {
		s.lags = append(s.lags, now.Sub(received))
	}
	if n%sampled != 0 {
		return
	}
	if err := s.compare(frame, n, received); err != nil {
		s.fail("row %d: %v", n, err)
	}
}

// compare holds an event against its row.
func (s *sink) compare(frame []byte, number int, at time.Time) error {
	f, err := sim.ParseFrame(frame)
	if err != nil {
		return err
	}
	if want := at.Truncate(time.Millisecond).Format(stamp); string(f.Stamp) != want || string(f.Tag) != tag {
		return fmt.Errorf("got %s of %s, want %s of %s", f.Tag, f.Stamp, tag, want)
	}
	var got, want map[string]any
	if err := json.Unmarshal(f.Message, &got); err != nil {
		return err
	}
	row := append(s.stock.row(nil, number, at), `"}`...)
	if err := json.Unmarshal(row, &want); err != nil {
		return err
	}
	for _, added := range []string{"@devo_pulling_id", "StartDate", "EndDate", "Index"} {
		if _, ok := got[added]; !ok {
			return fmt.Errorf("%s is missing in %s", added, f.Message)
		}
		delete(got, added)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

const tag = "cloud.office365.messagetracing"
