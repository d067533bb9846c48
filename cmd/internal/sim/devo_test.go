package sim

import (
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

type sender struct {
	t     *testing.T
	certs *Certs
	*tls.Conn
}

func (c *Certs) clientConfig(t *testing.T) *tls.Config {
	t.Helper()
	cert, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.chain)
	return &tls.Config{
		Certificates:       []tls.Certificate{cert},
		InsecureSkipVerify: true, // the name; the chain is verified below
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool})
			return err
		},
	}
}

func newDevo(t *testing.T, o DevoOptions) (*Devo, *Certs) {
	t.Helper()
	certs, err := NewCerts("demo")
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDevo(certs, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, certs
}

func dial(t *testing.T, d *Devo, certs *Certs) *sender {
	t.Helper()
	conn, err := tls.Dial("tcp", d.Addr(), certs.clientConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &sender{t, certs, conn}
}

func event(n int) string {
	return fmt.Sprintf(`{"Organization": "contoso.com", "Subject": "s", "MessageTraceId": "trace-%d", "RecipientAddress": "r@contoso.com"}`, n)
}

func frame(message string) string {
	return "<14>2026-11-20 12:00:00.123 host cloud.office365.messagetracing: " + message + "\n"
}

func (s *sender) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s, text); err != nil {
		s.t.Fatal(err)
	}
}

// finish half-closes and waits for the confirmation.
func (s *sender) finish() error {
	if err := s.CloseWrite(); err != nil {
		return err
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("want an end of file, got %d bytes and %w", n, err)
	}
	return nil
}

// received waits until the receiver has read n events.
func received(t *testing.T, d *Devo, n int) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); d.Counters().Events < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got %+v, want %d events", d.Counters(), n)
		}
	}
}

func events(from, to int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := from; i < to; i++ {
			if !yield(fmt.Sprintf("trace-%d|r@contoso.com", i)) {
				return
			}
		}
	}
}

func TestReceiverCountsAndConfirms(t *testing.T) {
	t.Parallel()
	d, certs := newDevo(t, DevoOptions{})
	s := dial(t, d, certs)
	text := ""
	const internal = "<14>2026-11-20 12:00:00.123 host devo.collectors.out.local.info: {\"msg\": \"about itself\"}\n"
	for _, n := range []int{0, 1, 2, 3, 1, 1} {
		text += frame(event(n))
	}
	text += "<14>2026-11-20 12:00:00.123 host devo.other: {\"msg\": \"other\"}\n" + "no frame\n" + internal +
		frame(`{"long": "`+strings.Repeat("x", 200_000)+`"}`)
	for piece := range slices.Chunk([]byte(text), 1000) {
		s.send(string(piece))
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	want := DevoCounters{Connections: 1, Closed: 1, Events: 8, Bytes: int64(len(text) - len("no frame\n"+internal)), Malformed: 1, Unidentified: 2, Internal: 1}
	if got := d.Counters(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := d.Tags(); len(got) != 3 || got["cloud.office365.messagetracing"] != 7 || got["devo.other"] != 1 {
		t.Errorf("got the tags %v", got)
	}
	if missing, extra, duplicates := d.Compare(events(1, 10)); missing != 6 || extra != 1 || duplicates != 2 {
		t.Errorf("got %d missing, %d extra, %d duplicates, want 6, 1, 2", missing, extra, duplicates)
	}
}

func TestReceiverWantsAClientCertificateOfItsAuthority(t *testing.T) {
	t.Parallel()
	d, certs := newDevo(t, DevoOptions{})
	strangers, err := NewCerts("demo")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*tls.Config){
		"none":              func(c *tls.Config) { c.Certificates = nil },
		"another authority": func(c *tls.Config) { c.Certificates = strangers.clientConfig(t).Certificates },
		"the server's":      func(c *tls.Config) { c.Certificates = []tls.Certificate{certs.server} },
	} {
		config := certs.clientConfig(t)
		change(config)
		conn, err := tls.Dial("tcp", d.Addr(), config)
		if err == nil { // in TLS 1.3 the refusal comes after the client's handshake
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if remote := (*net.OpError)(nil); !errors.As(err, &remote) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	d.Kill() // waits for the connections
	if got := d.Counters(); got.Refused != 3 || got.Connections != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestServerCertificateHasACommonNameOnly(t *testing.T) {
	t.Parallel()
	d, certs := newDevo(t, DevoOptions{})
	state := dial(t, d, certs).ConnectionState()
	leaf := state.PeerCertificates[0]
	if leaf.Subject.CommonName == "" || len(leaf.DNSNames)+len(leaf.IPAddresses) > 0 || leaf.VerifyHostname(leaf.Subject.CommonName) == nil {
		t.Errorf("got %v with the names %v %v", leaf.Subject, leaf.DNSNames, leaf.IPAddresses)
	}
}

func TestLineWithoutEndIsNoEvent(t *testing.T) {
	t.Parallel()
	d, certs := newDevo(t, DevoOptions{})
	s := dial(t, d, certs)
	s.send(frame(event(1)) + strings.TrimSuffix(frame(event(2)), "\n"))
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	if got := d.Counters(); got.Events != 1 || got.Malformed != 1 {
		t.Errorf("got %+v", got)
	}
}

func gzipped(text string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

func TestMembersAndFramesMayAlternate(t *testing.T) {
	t.Parallel()
	d, certs := newDevo(t, DevoOptions{})
	s := dial(t, d, certs)
	member := gzipped(frame(event(2)) + frame(event(3)))
	for piece := range slices.Chunk([]byte(frame(event(1))+member+gzipped(frame(event(4)))+frame(event(5))), 7) {
		s.send(string(piece))
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	if got := d.Counters(); got.Events != 5 || got.Members != 2 || got.Malformed != 0 || got.Closed != 1 {
		t.Errorf("got %+v", got)
	}
	// Nothing of a member counts that is not whole, or whose checksum is wrong.
	for name, broken := range map[string]string{
		"cut":      member[:len(member)-1],
		"checksum": member[:len(member)-8] + "\x00\x00\x00\x00" + member[len(member)-4:],
		"no end":   gzipped("no line feed"),
	} {
		before := d.Counters()
		s := dial(t, d, certs)
		s.send(broken)
		_ = s.finish()
		d.Kill() // waits for the connection
		if got := d.Counters(); got.Events != before.Events || got.Malformed != before.Malformed+1 {
			t.Errorf("%s: got %+v after %+v", name, got, before)
		}
		if err := d.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKillResetsAndRestartListensOnTheSamePort(t *testing.T) {
	t.Parallel()
	d, certs := newDevo(t, DevoOptions{})
	addr := d.Addr()
	s := dial(t, d, certs)
	s.send(frame(event(1)))
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	s = dial(t, d, certs)
	s.send(frame(event(1)))
	received(t, d, 2) // nothing is left unread, which would reset the connection by itself
	d.Kill()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want a refusal", err)
	}
	if err := d.Restart(); err != nil {
		t.Fatal(err)
	}
	if d.Addr() != addr {
		t.Errorf("listens on %s, before on %s", d.Addr(), addr)
	}
	s = dial(t, d, certs)
	s.send(frame(event(2)))
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	if missing, extra, _ := d.Compare(events(1, 3)); missing+extra > 0 {
		t.Errorf("%d missing, %d extra", missing, extra)
	}
}

// Nothing is confirmed while the receiver is paused, and what it had not read is lost when it is killed then.
func TestPauseHoldsBack(t *testing.T) {
	t.Parallel()
	d, certs := newDevo(t, DevoOptions{})
	s := dial(t, d, certs)
	s.send(frame(event(1)))
	received(t, d, 1)
	d.Pause()
	s.send(frame(event(2)))
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := s.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.NetConn().Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v while paused, want nothing", err)
	}
	if got := d.Counters().Events; got != 1 {
		t.Errorf("%d events while paused", got)
	}
	d.Resume()
	if err := s.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v after the pause, want the end", err)
	}
	if got := d.Counters(); got.Events != 2 || got.Closed != 1 {
		t.Errorf("after the pause: got %+v", got)
	}

	s = dial(t, d, certs)
	s.send(frame(event(3)))
	received(t, d, 3)
	d.Pause()
	s.send(frame(event(4)))
	d.Kill()
	if got := d.Counters(); got.Events != 3 || got.Broken != 1 {
		t.Errorf("after the kill: got %+v", got)
	}
}

func TestSlowReceiverIsSlow(t *testing.T) {
	t.Parallel()
	d, certs := newDevo(t, DevoOptions{ReadDelay: time.Millisecond})
	s := dial(t, d, certs)
	start := time.Now()
	for i := range 400 { // about 70 KB, so some 17 reads at least
		s.send(frame(event(i)))
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 17*time.Millisecond {
		t.Errorf("took %s", took)
	}
	if missing, extra, _ := d.Compare(events(0, 400)); missing+extra > 0 {
		t.Errorf("%d missing, %d extra", missing, extra)
	}
}

func TestRecordSurvivesTheReceiver(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "received")
	d, certs := newDevo(t, DevoOptions{Record: file})
	s := dial(t, d, certs)
	s.send(frame(event(1)) + frame(event(2)))
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	// Confirmed means recorded, also when the process ends right now.
	content, err := os.ReadFile(file)
	if want := frame(event(1)) + frame(event(2)); err != nil || string(content) != want {
		t.Fatalf("got the record %q (%v), want %q", content, err, want)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(content, "<14>2026-11-20 12:00"...), 0o600); err != nil { // a write cut short
		t.Fatal(err)
	}
	d, certs = newDevo(t, DevoOptions{Record: file})
	s = dial(t, d, certs)
	s.send(frame(event(2)) + frame(event(3)))
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	if missing, extra, duplicates := d.Compare(events(1, 4)); missing != 0 || extra != 0 || duplicates != 1 {
		t.Errorf("got %d missing, %d extra, %d duplicates, want only one duplicate", missing, extra, duplicates)
	}
	content, err = os.ReadFile(file)
	if want := frame(event(1)) + frame(event(2)) + frame(event(2)) + frame(event(3)); err != nil || string(content) != want {
		t.Errorf("got the record %q (%v), want %q", content, err, want)
	}
}
