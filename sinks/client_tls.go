package sinks

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"starling/engine"
)

// clientTLS is TLS to servers with certificates such as everybody's, by files that may change. They are
// all optional.
type clientTLS struct {
	on      bool
	op      string
	files   credentialFiles
	own     ownCertificate
	current atomic.Pointer[tls.Config]
}

// newClientTLS reads the keys type, chain, cert and key; Reload reads the files.
func newClientTLS(c *engine.Section, env Env, op string) *clientTLS {
	t := &clientTLS{on: c.Choice("type", "SSL", "SSL", "TCP") == "SSL", op: op, own: ownCertificate{log: env.Logger, op: op}, files: optionalFiles(c)}
	if !t.on {
		refuseCertificates(c, "chain", "cert", "key")
	}
	return t
}

// refuseCertificates tells of keys that have no effect where type is TCP.
func refuseCertificates(c *engine.Section, keys ...string) {
	for _, key := range keys {
		if c.Has(key) {
			c.Errorf(key, "is nothing with type: TCP, which has no certificates: leave it out, or say type: SSL")
		}
	}
}

// optionalFiles reads the keys chain, cert and key.
func optionalFiles(c *engine.Section) credentialFiles {
	files := credentialFiles{chain: c.File("chain", "certs", "."), cert: c.File("cert", "certs", "."), key: c.File("key", "certs", ".")}
	if (files.cert == "") != (files.key == "") {
		c.Errorf("cert", "cert and key belong together: set both or none")
	}
	return files
}

// config returns the present one, nil without TLS.
func (t *clientTLS) config() *tls.Config { return t.current.Load() }

// Expires returns when the certificate that is shown does.
func (t *clientTLS) Expires() time.Time { return t.own.expires() }

// Files lists the files that are set.
func (t *clientTLS) Files() []string { return t.files.set() }

// Reload reads the files again. The next epoch uses them; if one is wrong, all stay as they were.
func (t *clientTLS) Reload() error {
	if !t.on {
		return nil
	}
	config, err := t.files.loadOptional(&t.own)
	if err != nil {
		return &engine.Error{Code: engine.CodeConfig, Op: t.op, Err: err}
	}
	t.current.Store(config)
	return nil
}

// set lists the files that are.
func (f *credentialFiles) set() (files []string) {
	for _, path := range []string{f.chain, f.cert, f.key} {
		if path != "" {
			files = append(files, path)
		}
	}
	return files
}

// loadOptional reads the files that are set. Without a chain the system's authorities count.
func (f *credentialFiles) loadOptional(own *ownCertificate) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.chain != "" {
		roots, err := f.readChain()
		if err != nil {
			return nil, err
		}
		config.RootCAs = roots
	}
	if f.cert != "" {
		pair, err := f.readPair()
		if err != nil {
			return nil, err
		}
		config.GetClientCertificate = own.use(&pair, f.cert)
	}
	return config, nil
}

// isThisMachine reports whether what is sent to host stays on this machine.
func isThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
