package sinks

import (
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"testing"

	"starling/engine"
	"starling/sinks/sinktest"
)

// open makes a sink that is closed with the test. Relative paths in values start at dir.
func open(t testing.TB, kind, dir string, values map[string]any) engine.Sink {
	t.Helper()
	sink, err := New(engine.Output{Name: "out_1", Type: kind, Config: engine.NewSection("", dir, values)}, testEnv(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	return sink
}

func testEnv(stdout io.Writer) Env {
	return Env{Logger: slog.New(slog.DiscardHandler), Stdout: stdout, Hostname: "test-host"}
}

// devoSide is a domain of Devo in small: an authority, a receiver, and the files of a credential.
type devoSide struct {
	*sinktest.Receiver
	authority *sinktest.Authority
	dir       string // of the configuration; the files are in certs
}

// newDevoSide starts a receiver whose certificate says server and is issued by the same authority
// as the client's, as Devo has it.
func newDevoSide(t testing.TB, server sinktest.Identity, counted bool) *devoSide {
	t.Helper()
	d := &devoSide{authority: sinktest.NewAuthority(t, "domain CA"), dir: t.TempDir()}
	d.Receiver = sinktest.NewReceiver(t, sinktest.ServerConfig(t, d.authority.Issue(t, server), d.authority), counted)
	d.writeCredential(t, sinktest.Identity{Name: "first"}, d.authority)
	return d
}

func (d *devoSide) certs() string { return filepath.Join(d.dir, "certs") }

// writeCredential writes chain, certificate and key; the certificate is issued by issuer.
func (d *devoSide) writeCredential(t testing.TB, client sinktest.Identity, issuer *sinktest.Authority) {
	t.Helper()
	if err := os.MkdirAll(d.certs(), 0o700); err != nil {
		t.Fatal(err)
	}
	sinktest.WriteFile(t, filepath.Join(d.certs(), "chain.crt"), d.authority.PEM)
	issuer.Issue(t, client).Write(t, d.certs(), "client")
}

func (d *devoSide) config(more map[string]any) map[string]any {
	host, port := d.Address()
	config := map[string]any{"address": host, "port": port, "type": "SSL",
		"chain": "chain.crt", "cert": "client.crt", "key": "client.key"}
	maps.Copy(config, more)
	return config
}

// open makes a sink that sends to the receiver.
func (d *devoSide) open(t testing.TB, more map[string]any) *devo {
	t.Helper()
	return open(t, "devo_platform", d.dir, d.config(more)).(*devo)
}

// devoServer is CN-only, like the certificates of Devo's platform, and names another host than the
// one that tests connect to.
var devoServer = sinktest.Identity{Name: "collector.devo.test"}

// plainServer answers the first bytes of every connection with a text, and hangs up when the client does.
func plainServer(t *testing.T, first int, answer string) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(conn, make([]byte, first)); err == nil && answer != "" {
				_, _ = io.WriteString(conn, answer)
			}
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}
