package sinks

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

func TestCertificateExpiresDuringARun(t *testing.T) {
	t.Parallel()
	d := newDevoSide(t, devoServer, false)
	ends := time.Now().Add(4 * time.Second).Truncate(time.Second)
	d.writeCredential(t, sinktest.Identity{Name: "short", Ends: ends}, d.authority)
	var log lockedBuffer
	env := testEnv(io.Discard)
	env.Logger = slog.New(slog.NewTextHandler(&log, nil))
	sink, err := New(engine.Output{Name: "out_1", Type: "devo_platform", Config: engine.NewSection("", d.dir, d.config(nil))}, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	if got := sink.(engine.Expirer).Expires(); !got.Equal(ends) {
		t.Errorf("expires %s, want %s", got, ends)
	}
	want := "client.crt expired on " + ends.UTC().Format(time.DateTime)
	said := func() bool { return err != nil && strings.Contains(err.Error(), want) }
	for !said() && time.Now().Before(ends.Add(time.Minute)) { // for a moment it may be the server who notices
		err = offer(t.Context(), sink, sinktest.Events(0, 1))
		time.Sleep(20 * time.Millisecond)
	}
	if !said() || !strings.Contains(err.Error(), "without a restart") {
		t.Fatalf("got %v", err)
	}
	d.writeCredential(t, sinktest.Identity{Name: "long", Ends: time.Now().Add(15 * 24 * time.Hour)}, d.authority)
	if err := sink.(engine.Reloader).Reload(); err != nil {
		t.Fatal(err)
	}
	if err := offer(t.Context(), sink, sinktest.Events(0, 1)); err != nil {
		t.Errorf("with a new certificate: %v", err)
	}
	if n := strings.Count(log.String(), "a certificate expires soon"); n != 1 {
		t.Errorf("%d warnings, want one of the first certificate in a day:\n%s", n, log.String())
	}
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// A name moves from one address to another.
func TestNameIsResolvedAnew(t *testing.T) {
	t.Parallel()
	first, second := sinktest.NewReceiver(t, nil, false), sinktest.NewReceiver(t, nil, false)
	_, port := first.Address()
	newCutter(t, addressOf("127.0.0.2", port), addressOf(second.Address()))
	names := newNameServer(t)
	sink := open(t, "syslog", "", map[string]any{"address": "receiver.test", "port": port}).(*epochs)
	sink.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", names.address)
	}}
	for i, at := range []struct {
		address  string
		receiver *sinktest.Receiver
	}{{"127.0.0.1", first}, {"127.0.0.2", second}, {"127.0.0.1", first}} {
		names.answer.Store(binary.BigEndian.Uint32(net.ParseIP(at.address).To4()))
		events := sinktest.Events(10*i, 10)
		if err := offer(t.Context(), sink, events); err != nil {
			t.Fatal(err)
		}
		wantEverything(t, at.receiver.Bodies(), events)
	}
}

// nameServer gives every name one IPv4 address, and no other.
type nameServer struct {
	address string
	answer  atomic.Uint32
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{address: conn.LocalAddr().String()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(s.reply(buf[:n]), from)
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return s
}

// reply answers a query (RFC 1035, section 4): its header, its question, and for type A one record.
func (s *nameServer) reply(query []byte) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root, type and class
	reply := append([]byte{}, query[:end]...)
	copy(reply[2:12], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	if binary.BigEndian.Uint16(query[end-4:]) != 1 {
		return reply
	}
	reply[7] = 1
	reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name of the question, A, IN, no time to live
	return binary.BigEndian.AppendUint32(reply, s.answer.Load())
}

func TestReceiverThatTrickles(t *testing.T) {
	t.Parallel()
	for side, start := range sides {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			sink, receiver := start(t)
			receiver.Break(sinktest.Fault{Pause: 100 * time.Millisecond, Trickle: true})
			sink.timeout, sink.patience = time.Second, time.Second
			events := sinktest.Events(0, 1000)
			for i := range events {
				events[i].Body = append(events[i].Body, strings.Repeat(" ", 50_000)...)
			}
			// 50 MB are more than both kernels hold.
			if err := offer(t.Context(), sink, events); err == nil || !strings.Contains(err.Error(), "the receiver takes no bytes") {
				t.Errorf("got %v", err)
			}
			if held := cap(sink.buf); held > 4*bufferSize {
				t.Errorf("%d bytes are held for a receiver that does not read", held)
			}
			receiver.Mend()
			sink.timeout, sink.patience = writeTimeout, confirmTimeout
			if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
				t.Error(err)
			}
		})
	}
}
