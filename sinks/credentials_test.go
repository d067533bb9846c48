package sinks

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// wantError fails unless err has every part in its text.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want it to contain %q", err, part)
		}
	}
}

func TestWrongCredentialsAreRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	other := sinktest.NewAuthority(t, "other CA")
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, d *devoSide)
		want  []string // "CERTS" stands for the folder
	}{
		{"expired", func(t *testing.T, d *devoSide) {
			d.writeCredential(t, sinktest.Identity{Name: "old", Ends: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, d.authority)
		}, []string{"certificate CERTS/client.crt expired on 2026-01-02 03:04:05", "download"}},
		{"key of another certificate", func(t *testing.T, d *devoSide) {
			sinktest.WriteFile(t, d.certs()+"/client.key", other.Issue(t, sinktest.Identity{}).Key)
		}, []string{"certificate CERTS/client.crt and key CERTS/client.key", "private key does not match public key", "same credential"}},
		{"not PEM", func(t *testing.T, d *devoSide) {
			sinktest.WriteFile(t, d.certs()+"/client.crt", []byte{0x30, 0x82, 1, 2})
		}, []string{"file CERTS/client.crt is not PEM"}},
		{"certificate and key exchanged", func(t *testing.T, d *devoSide) {
			pair := d.authority.Issue(t, sinktest.Identity{})
			sinktest.Pair{Cert: pair.Key, Key: pair.Cert}.Write(t, d.certs(), "client")
		}, []string{"certificate file CERTS/client.crt holds PRIVATE KEY, want a certificate"}},
		{"key file without key", func(t *testing.T, d *devoSide) {
			sinktest.WriteFile(t, d.certs()+"/client.key", d.authority.PEM)
		}, []string{"key file CERTS/client.key holds CERTIFICATE, want a private key"}},
		{"key with a password", func(t *testing.T, d *devoSide) {
			sinktest.WriteFile(t, d.certs()+"/client.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))
		}, []string{"key file CERTS/client.key is encrypted with a password", "openssl pkey -in CERTS/client.key"}},
		{"key with a password, old form", func(t *testing.T, d *devoSide) {
			block := &pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte{1}}
			sinktest.WriteFile(t, d.certs()+"/client.key", pem.EncodeToMemory(block))
		}, []string{"key file CERTS/client.key is encrypted with a password"}},
		{"chain without certificates", func(t *testing.T, d *devoSide) {
			sinktest.WriteFile(t, d.certs()+"/chain.crt", d.authority.Issue(t, sinktest.Identity{}).Key)
		}, []string{"chain file CERTS/chain.crt holds PRIVATE KEY, want certificates", "chain (CA) file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDevoSide(t, devoServer, false)
			c.spoil(t, d)
			_, err := New(engine.Output{Name: "out_1", Type: "devo_platform", Config: engine.NewSection("", d.dir, d.config(nil))}, testEnv(nil))
			for i := range c.want {
				c.want[i] = strings.ReplaceAll(c.want[i], "CERTS", d.certs())
			}
			wantError(t, err, append(c.want, "output out_1 (127.0.0.1:")...)
			if code := engine.CodeOf(err, ""); code != engine.CodeConfig {
				t.Errorf("got code %q", code)
			}
		})
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	t.Parallel()
	d := newDevoSide(t, devoServer, false)
	config := d.config(map[string]any{"cert": "absent.crt"})
	delete(config, "key")
	_, err := New(engine.Output{Name: "out_1", Type: "devo_platform", Config: engine.NewSection("c.yaml", d.dir, config)}, testEnv(nil))
	wantError(t, err, filepath.Join(d.certs(), "absent.crt"), "key", "is missing; sending over TLS takes the three files")
}

func TestServerIsVerified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		server sinktest.Identity
		other  bool // issued by another authority than the chain file's
		verify string
		want   []string // nothing: accepted
	}{
		{name: "another name is fine for Devo", server: devoServer, verify: "devo"},
		{name: "strict refuses another name", server: devoServer, verify: "strict",
			want: []string{"CN=collector.devo.test: issued to another name", "address is 127.0.0.1", "verify: devo"}},
		{name: "strict takes a common name", server: sinktest.Identity{Name: "127.0.0.1"}, verify: "strict"},
		{name: "strict takes an alternative name", server: sinktest.Identity{Name: "x", Hosts: []string{"127.0.0.1"}}, verify: "strict"},
		{name: "alternative names make the common name void", verify: "strict",
			server: sinktest.Identity{Name: "127.0.0.1", Hosts: []string{"collector.devo.test"}}, want: []string{"issued to another name"}},
		{name: "expired", server: sinktest.Identity{Name: "x", Ends: time.Now().Add(-24 * time.Hour)}, verify: "devo",
			want: []string{"certificate of the server, CN=x", "it expired on " + time.Now().Add(-24*time.Hour).UTC().Format(time.DateOnly), "must renew it"}},
		{name: "another authority", server: devoServer, other: true, verify: "devo",
			want: []string{"certificate signed by unknown authority", "chain.crt does not vouch for it, as CN=other CA issued it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDevoSide(t, c.server, false)
			if c.other {
				issuer := sinktest.NewAuthority(t, "other CA")
				d.Receiver = sinktest.NewReceiver(t, sinktest.ServerConfig(t, issuer.Issue(t, c.server), d.authority), false)
			}
			sink := d.open(t, map[string]any{"verify": c.verify})
			for range 2 {
				err := offer(t.Context(), sink, sinktest.Events(0, 10))
				if len(c.want) > 0 {
					wantError(t, err, c.want...)
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if len(c.want) > 0 && len(d.Frames()) > 0 {
				t.Error("events were sent to a server that was refused")
			}
		})
	}
}

func TestServerThatRefusesTheClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		version uint16
	}{{"TLS 1.3", tls.VersionTLS13}, {"TLS 1.2", tls.VersionTLS12}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDevoSide(t, devoServer, false)
			config := sinktest.ServerConfig(t, d.authority.Issue(t, devoServer), d.authority)
			config.MaxVersion = c.version
			d.Receiver = sinktest.NewReceiver(t, config, false)
			d.writeCredential(t, sinktest.Identity{Name: "stranger"}, sinktest.NewAuthority(t, "other CA"))
			err := offer(t.Context(), d.open(t, nil), sinktest.Events(0, 10))
			wantError(t, err, "the server refused the TLS connection", "unknown certificate authority", "it may not know the certificate "+d.certs()+"/client.crt")
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	d := newDevoSide(t, devoServer, false)
	config := sinktest.ServerConfig(t, d.authority.Issue(t, devoServer), d.authority)
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	d.Receiver = sinktest.NewReceiver(t, config, false)
	wantError(t, offer(t.Context(), d.open(t, nil), sinktest.Events(0, 10)), "protocol version")
}

func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer string
		want   string
	}{
		{"talks", "220 mail.example ESMTP\r\n", "the server does not speak TLS on this port"},
		{"hangs up", "", "the server hung up during the TLS handshake"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDevoSide(t, devoServer, false)
			port := plainServer(t, 100, c.answer)
			err := offer(t.Context(), d.open(t, map[string]any{"port": port}), sinktest.Events(0, 1))
			wantError(t, err, c.want, "check address and port")
		})
	}
}

func TestReplacedCertificateIsUsedFromTheNextEpochOn(t *testing.T) {
	t.Parallel()
	d := newDevoSide(t, devoServer, false)
	sink := d.open(t, nil)
	if want := []string{d.certs() + "/chain.crt", d.certs() + "/client.crt", d.certs() + "/client.key"}; !slices.Equal(sink.Files(), want) {
		t.Fatalf("got files %q, want %q", sink.Files(), want)
	}
	// Enough to have a spare, which is made with the first certificate and must not be used.
	if err := sink.Send(t.Context(), sinktest.Events(0, 2000)); err != nil {
		t.Fatal(err)
	}
	for len(d.Subjects()) < 2 {
		time.Sleep(time.Millisecond)
	}
	d.writeCredential(t, sinktest.Identity{Name: "second"}, d.authority)
	if err := sink.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := sink.Flush(t.Context()); err != nil {
		t.Fatalf("the epoch under way: %v", err)
	}
	if err := offer(t.Context(), sink, sinktest.Events(2000, 10)); err != nil {
		t.Fatal(err)
	}
	if got, want := d.Subjects(), []string{"first", "first", "second"}; !slices.Equal(got, want) {
		t.Errorf("got connections of %q, want %q", got, want)
	}
	wantEverything(t, d.Bodies(), sinktest.Events(0, 2010))
}

func TestBadReloadChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDevoSide(t, devoServer, false)
	sink := d.open(t, nil)
	for _, spoil := range []func(){
		func() { sinktest.WriteFile(t, d.certs()+"/client.key", d.authority.Issue(t, sinktest.Identity{}).Key) },
		func() { os.Remove(d.certs() + "/chain.crt") },
	} {
		spoil()
		if err := sink.Reload(); err == nil {
			t.Error("no error")
		}
		if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.Subjects(); got[len(got)-1] != "first" {
		t.Errorf("connected as %q", got)
	}
	d.writeCredential(t, sinktest.Identity{Name: "third"}, d.authority)
	if err := sink.Reload(); err != nil {
		t.Fatal(err)
	}
}

// FuzzCredentialFiles: whatever the files hold, reading them ends in a usable pair or an error.
func FuzzCredentialFiles(f *testing.F) {
	authority := sinktest.NewAuthority(f, "CA")
	pair := authority.Issue(f, sinktest.Identity{Name: "client"})
	f.Add(authority.PEM, pair.Cert, pair.Key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), pair.Key, pair.Cert)
	f.Add([]byte(""), []byte("\x30\x82"), []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, chain, cert, key []byte) {
		files := credentialFiles{chain: dir + "/chain", cert: dir + "/cert", key: dir + "/key"}
		for path, text := range map[string][]byte{files.chain: chain, files.cert: cert, files.key: key} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		config, err := files.load(&ownCertificate{log: testEnv(nil).Logger})
		if err != nil {
			if strings.Contains(err.Error(), string(key)) && len(key) > 20 {
				t.Fatal("the key is in the error")
			}
			return
		}
		got, _ := config.GetClientCertificate(nil)
		if _, err := x509.ParseCertificate(got.Certificate[0]); err != nil {
			t.Fatal(err)
		}
	})
}
