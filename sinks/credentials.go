package sinks

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"starling/engine"
)

// credential is what a TLS connection to Devo is made with, read from files that may change.
type credential struct {
	op      string
	files   credentialFiles
	current atomic.Pointer[tls.Config]
	own     ownCertificate
}

// newCredential reads the keys chain, cert, key and verify; Reload reads the files.
func newCredential(c *engine.Section, t target, env Env) *credential {
	return &credential{op: t.op, own: ownCertificate{log: env.Logger, op: t.op}, files: credentialFiles{
		chain:  credentialFile(c, "chain"),
		cert:   credentialFile(c, "cert"),
		key:    credentialFile(c, "key"),
		server: t.host,
		strict: c.Choice("verify", "devo", "devo", "strict") == "strict",
	}}
}

func credentialFile(c *engine.Section, key string) string {
	key = either(c, key, key+"_loc")
	if !c.Has(key) {
		c.Errorf(key, "is missing; sending over TLS takes the three files chain, cert and key")
	}
	return c.File(key, "certs", ".")
}

// Expires returns when the certificate does.
func (s *credential) Expires() time.Time { return s.own.expires() }

// Files lists the chain, the certificate and its key.
func (s *credential) Files() []string { return []string{s.files.chain, s.files.cert, s.files.key} }

// Reload reads the three files again. The next epoch uses them; if one is wrong, all stay as they were.
func (s *credential) Reload() error {
	config, err := s.files.load(&s.own)
	if err != nil {
		err.Op = s.op
		return err
	}
	s.current.Store(config)
	return nil
}

type credentialFiles struct {
	chain, cert, key string // absolute paths
	server           string // the host connected to
	strict           bool   // the server's certificate must be in that name
}

// load reads the files and checks all that can be known before connecting.
func (f *credentialFiles) load(own *ownCertificate) (*tls.Config, *engine.Error) {
	chain, err := f.readChain()
	if err != nil {
		return nil, configError(err, "download the chain (CA) file of your Devo domain again")
	}
	pair, err := f.readPair()
	if err != nil {
		return nil, configError(err, "download certificate and private key of the same credential again, as PEM")
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS12,
		ServerName:           f.server,
		GetClientCertificate: own.use(&pair, f.cert),
		// No ClientSessionCache: servers on OpenSSL that verify clients and set no session id context,
		// rsyslog among them, refuse resumed sessions, and a full handshake costs little more.
		//
		// Devo's certificates have no subject alternative names, which crypto/tls insists on: verify
		// does the verification instead.
		InsecureSkipVerify:          true,
		VerifyConnection:            func(state tls.ConnectionState) error { return f.verify(state, chain) },
		DynamicRecordSizingDisabled: true,
	}, nil
}

func configError(err error, hint string) *engine.Error {
	return &engine.Error{Code: engine.CodeConfig, Err: err, Hint: hint}
}

func (f *credentialFiles) readChain() (*x509.CertPool, error) {
	blocks, err := readPEM(f.chain)
	if err != nil {
		return nil, err
	}
	pool, found := x509.NewCertPool(), false
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("chain file %s: %w", f.chain, err)
		}
		pool.AddCert(cert)
		found = true
	}
	if !found {
		return nil, fmt.Errorf("chain file %s holds %s, want certificates", f.chain, kindsOf(blocks))
	}
	return pool, nil
}

func (f *credentialFiles) readPair() (tls.Certificate, error) {
	none := tls.Certificate{}
	certs, err := readPEM(f.cert)
	if err != nil {
		return none, err
	}
	if !holds(certs, "CERTIFICATE") {
		return none, fmt.Errorf("certificate file %s holds %s, want a certificate", f.cert, kindsOf(certs))
	}
	keys, err := readPEM(f.key)
	if err != nil {
		return none, err
	}
	if !holds(keys, "PRIVATE KEY") {
		return none, fmt.Errorf("key file %s holds %s, want a private key", f.key, kindsOf(keys))
	}
	for _, block := range keys {
		if strings.HasPrefix(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return none, fmt.Errorf("key file %s is encrypted with a password; decrypt it: openssl pkey -in %s -out decrypted.key", f.key, f.key)
		}
	}
	pair, err := tls.X509KeyPair(encode(certs), encode(keys))
	if err != nil {
		return none, fmt.Errorf("certificate %s and key %s: %w", f.cert, f.key, err)
	}
	return pair, checkDates(pair.Leaf, "certificate "+f.cert, time.Now())
}

func checkDates(cert *x509.Certificate, name string, now time.Time) error {
	if now.After(cert.NotAfter) {
		return fmt.Errorf("%s expired on %s", name, cert.NotAfter.UTC().Format(time.DateTime))
	}
	if now.Before(cert.NotBefore) {
		return fmt.Errorf("%s is not valid before %s; this machine's clock says %s",
			name, cert.NotBefore.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	}
	return nil
}

// verify takes the place of crypto/tls's own verification.
func (f *credentialFiles) verify(state tls.ConnectionState, chain *x509.CertPool) error {
	leaf := state.PeerCertificates[0]
	options := x509.VerifyOptions{Roots: chain, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	if _, err := leaf.Verify(options); err != nil {
		return &serverCertError{leaf, err}
	}
	if f.strict && !isNamed(leaf, f.server) {
		return &serverCertError{leaf, errOtherName}
	}
	return nil
}

var errOtherName = errors.New("issued to another name")

// serverCertError says that the server's certificate was refused, and why.
type serverCertError struct {
	cert *x509.Certificate
	err  error
}

func (e *serverCertError) Error() string {
	return fmt.Sprintf("certificate of the server, %s: %v", e.cert.Subject, e.err)
}

func (e *serverCertError) Unwrap() error { return e.err }

// isNamed reports whether cert is for host: by its alternative names or, if it has none, by its
// common name.
func isNamed(cert *x509.Certificate, host string) bool {
	if len(cert.DNSNames)+len(cert.IPAddresses) == 0 {
		name := cert.Subject.CommonName
		cert = &x509.Certificate{DNSNames: []string{name}}
		if ip := net.ParseIP(name); ip != nil {
			cert = &x509.Certificate{IPAddresses: []net.IP{ip}}
		}
	}
	return cert.VerifyHostname(host) == nil
}

// explain puts an error of a TLS connection into words.
func (f *credentialFiles) explain(err error) (text, hint string) {
	if _, ok := errors.AsType[*expiredError](err); ok {
		return "", "put a new one and its key in the place of the files; it is used at once, without a restart"
	}
	if server, ok := errors.AsType[*serverCertError](err); ok {
		return "", f.explainServer(server)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not speak TLS on this port", "check address and port; for plain TCP use an output of type syslog"
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		if strings.Contains(alert.Error(), "certificate") || strings.Contains(alert.Error(), "access denied") {
			hint = fmt.Sprintf("it may not know the certificate %s, or not accept it any more; download a valid one", f.cert)
		}
		return "the server refused the TLS connection", hint
	}
	if errors.Is(err, errBareFIN) {
		return "", "with confirmation: auto, some of these in a row show that this receiver never sends one, and its FIN counts; confirmation: fin says so from the start"
	}
	if errors.Is(err, io.EOF) {
		return "the server hung up during the TLS handshake", "check address and port"
	}
	return explainNetwork(err)
}

func (f *credentialFiles) explainServer(e *serverCertError) string {
	if e.err == errOtherName {
		return fmt.Sprintf("address is %s; correct it, or set verify: devo to accept any name that the chain file vouches for", f.server)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](e.err); ok {
		return fmt.Sprintf("the chain file %s does not vouch for it, as %s issued it; use the chain file of the domain that address belongs to", f.chain, e.cert.Issuer)
	}
	if err := checkDates(e.cert, "it", time.Now()); err != nil {
		return err.Error() + "; whoever runs the server must renew it, unless this machine's clock is wrong"
	}
	return ""
}

// readPEM returns the blocks of a PEM file, of which there is at least one.
func readPEM(path string) ([]*pem.Block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var blocks []*pem.Block
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("file %s is not PEM: it has no line -----BEGIN …-----", path)
	}
	return blocks, nil
}

func encode(blocks []*pem.Block) []byte {
	var text bytes.Buffer
	for _, block := range blocks {
		_ = pem.Encode(&text, block) // a bytes.Buffer takes everything
	}
	return text.Bytes()
}

func holds(blocks []*pem.Block, kind string) bool {
	for _, block := range blocks {
		if strings.HasSuffix(block.Type, kind) {
			return true
		}
	}
	return false
}

func kindsOf(blocks []*pem.Block) string {
	names := make([]string, len(blocks))
	for i, block := range blocks {
		names[i] = block.Type
	}
	return strings.Join(names, ", ")
}
