package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certs are an authority, a server certificate and a client certificate. The server's has a common name and no other, as Devo's
// have, so a client has to check the chain and not the host name.
type Certs struct {
	Domain string // common name of the client certificate, and name of its files
	chain  []byte // PEM
	cert   []byte // PEM
	key    []byte // PEM
	server tls.Certificate
	pool   *x509.CertPool

	authority             *authority
	serverCert, serverKey []byte // PEM
	serial                int64  // of the client certificate
}

// serverName is the common name of the server certificate.
const serverName = "collector-sim.devo.io"

// NewCerts makes certificates that are valid from yesterday for a year.
func NewCerts(domain string) (*Certs, error) {
	a, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	serverCert, serverKey, err := a.issue(2, serverName, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	c := &Certs{Domain: domain, chain: encode("CERTIFICATE", a.cert.Raw), pool: x509.NewCertPool(),
		authority: a, serverCert: serverCert, serverKey: serverKey, serial: 2}
	c.pool.AddCert(a.cert)
	if err := c.Renew(); err != nil {
		return nil, err
	}
	if c.server, err = tls.X509KeyPair(serverCert, serverKey); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return c, nil
}

// Renew makes another certificate and key for the client, of the same authority. Write writes them.
func (c *Certs) Renew() (err error) {
	c.serial++
	if c.cert, c.key, err = c.authority.issue(c.serial, c.Domain, x509.ExtKeyUsageClientAuth); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	return nil
}

// Files of the receiver's side, as WriteServer writes and LoadServer reads them.
const (
	chainFile      = "chain.crt"
	serverCertFile = "server.crt"
	serverKeyFile  = "server.key"
)

// WriteServer writes chain.crt, server.crt and server.key into dir, for a receiver in another process.
func (c *Certs) WriteServer(dir string) error {
	return writeFiles(dir, map[string][]byte{chainFile: c.chain, serverCertFile: c.serverCert, serverKeyFile: c.serverKey})
}

// LoadServer reads what WriteServer wrote. The result can only receive.
func LoadServer(dir string) (*Certs, error) {
	c := &Certs{pool: x509.NewCertPool()}
	var err error
	if c.chain, err = os.ReadFile(filepath.Join(dir, chainFile)); err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	if !c.pool.AppendCertsFromPEM(c.chain) {
		return nil, fmt.Errorf("read certificates: no certificate in %s", filepath.Join(dir, chainFile))
	}
	if c.server, err = tls.LoadX509KeyPair(filepath.Join(dir, serverCertFile), filepath.Join(dir, serverKeyFile)); err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return c, nil
}

// Write writes chain.crt, <domain>.crt and <domain>.key into dir; only the owner can read the key.
func (c *Certs) Write(dir string) error {
	return writeFiles(dir, map[string][]byte{chainFile: c.chain, c.Domain + ".crt": c.cert, c.Domain + ".key": c.key})
}

func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write certificates: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("write certificates: %w", err)
		}
	}
	return nil
}

// ServerConfig is what a receiver of these certificates listens with: it demands one of the client.
func (c *Certs) ServerConfig() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.server},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    c.pool,
		MinVersion:   tls.VersionTLS12,
	}
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(1, "Simulated Devo CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	return &authority{cert, key}, err
}

// HostCertificate makes a certificate for a host and this machine, and returns the authority of it in PEM.
func HostCertificate(host string) (config *tls.Config, ca []byte, err error) {
	a, err := newAuthority()
	if err != nil {
		return nil, nil, err
	}
	template := certificate(2, "simulated Microsoft")
	template.DNSNames, template.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if host != "" {
		template.DNSNames = append(template.DNSNames, host)
	}
	cert, key, err := a.sign(template, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, encode("CERTIFICATE", a.cert.Raw), err
}

// applicationCertificate makes a certificate that an application can sign in with, and that with its key in PEM.
func applicationCertificate() (cert *x509.Certificate, both []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	template := certificate(3, "simulated application")
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	if cert, err = x509.ParseCertificate(raw); err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	return cert, append(encode("CERTIFICATE", raw), encode("PRIVATE KEY", pkcs8)...), err
}

// issue makes a certificate and its key, in PEM.
func (a *authority) issue(serial int64, name string, usage x509.ExtKeyUsage) (cert, key []byte, err error) {
	return a.sign(certificate(serial, name), usage)
}

func (a *authority) sign(template *x509.Certificate, usage x509.ExtKeyUsage) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{usage}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return encode("CERTIFICATE", raw), encode("PRIVATE KEY", pkcs8), err
}

func certificate(serial int64, name string) *x509.Certificate {
	const day = 24 * time.Hour
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Simulated Devo"}},
		NotBefore:    time.Now().Add(-day),
		NotAfter:     time.Now().Add(365 * day),
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
