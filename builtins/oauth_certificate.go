package builtins

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.starlark.net/starlark"
	"software.sslmate.com/src/go-pkcs12"

	"starling/engine"
)

// A certificate signs for a client. It is a value of scripts.
type certificate struct {
	file string // for people
	id   string
	leaf *x509.Certificate
	key  *rsa.PrivateKey
	alg  string
}

func (c *certificate) String() string        { return fmt.Sprintf("oauth.certificate(%q)", c.file) }
func (c *certificate) Type() string          { return "oauth.certificate" }
func (c *certificate) Freeze()               {}
func (c *certificate) Truth() starlark.Bool  { return true }
func (c *certificate) Hash() (uint32, error) { return 0, errors.New("unhashable: oauth.certificate") }

// thumbprint returns the header that tells the server which certificate it is, RFC 7515 section 4.1.
func (c *certificate) thumbprint() (name, value string) {
	if c.alg == "RS256" {
		sum := sha1.Sum(c.leaf.Raw)
		return "x5t", base64.RawURLEncoding.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(c.leaf.Raw)
	return "x5t#S256", base64.RawURLEncoding.EncodeToString(sum[:])
}

func oauthCertificate(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var fileArg, keyArg starlark.Value
	var password engine.Secret
	var passwordArg starlark.Value
	alg := "PS256"
	if err := unpack(b, args, kwargs, 1, "file", &fileArg, "key??", &keyArg, "password??", &passwordArg, "alg?", &alg); err != nil {
		return nil, err
	}
	var file, key engine.File
	if err := errors.Join(argOf(b, "file", "config.file", fileArg, &file), argOf(b, "key", "config.file", keyArg, &key)); err != nil {
		return nil, err
	}
	if passwordArg != nil {
		if err := (*secretArg)(&password).Unpack(passwordArg); err != nil {
			return nil, fmt.Errorf("%s: password: %w", b.Name(), err)
		}
	}
	if alg != "PS256" && alg != "RS256" {
		return nil, fmt.Errorf("%s: alg: got %q, want PS256 or RS256", b.Name(), alg)
	}
	load, err := engine.LoadOf(thread)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	c, err := loadCertificate(load, file, key, password)
	if err != nil {
		load.Problem(thread, err) // of the operator, not of the script
		return &certificate{alg: alg}, nil
	}
	c.alg = alg
	return c, nil
}

// loadCertificate reads a certificate and its key, and has them followed.
func loadCertificate(load *engine.Load, file, key engine.File, password engine.Secret) (*certificate, error) {
	if load.Env.Offline {
		return &certificate{file: file.Path}, nil
	}
	fail := func(err error) (*certificate, error) {
		return nil, &engine.Error{Code: engine.CodeConfig, Op: load.Place, Err: fmt.Errorf("certificate %s: %w", file.Path, err)}
	}
	data, err := file.Read()
	if err != nil {
		return fail(err)
	}
	var keyData []byte
	if key.Path != "" {
		if keyData, err = key.Read(); err != nil {
			return fail(err)
		}
	}
	c, err := parseCertificate(data, keyData, password.Reveal())
	if err != nil {
		return fail(err)
	}
	if load.Replaces {
		if err := checkDates(c.leaf, time.Now()); err != nil {
			return fail(err)
		}
	}
	c.file = file.Path
	for _, text := range [][]byte{data, keyData} {
		load.Env.Redactor.Add(string(pemKeys(text)))
	}
	load.Follow(file, c.leaf.NotAfter)
	if key.Path != "" {
		load.Follow(key, time.Time{})
	}
	return c, nil
}

// parseCertificate reads PEM or PKCS#12. The key, in PEM, may be in data or in keyData. The leaf is the
// certificate that belongs to the key, whatever else is there. Errors show nothing of the content.
func parseCertificate(data, keyData []byte, password string) (*certificate, error) {
	certs, key, err := readCertificate(data, keyData, password)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key is of type %T, want RSA, which PS256 and RS256 sign with", key)
	}
	for _, cert := range certs {
		if private.PublicKey.Equal(cert.PublicKey) {
			return &certificate{leaf: cert, key: private, id: digest("certificate", string(cert.Raw))}, nil
		}
	}
	return nil, errors.New("the key does not belong to the certificate")
}

func readCertificate(data, keyData []byte, password string) (certs []*x509.Certificate, key any, err error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		if len(keyData) > 0 {
			return nil, nil, errors.New("is not PEM; beside PKCS#12, which has the key in it, no other file is needed")
		}
		return readPKCS12(data, password)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, fmt.Errorf("the certificate cannot be read: %w", err)
			}
			certs = append(certs, cert)
		}
	}
	if len(certs) == 0 {
		return nil, nil, errors.New("there is no certificate in the file")
	}
	if len(keyData) == 0 {
		keyData = data
	}
	key, err = readKey(keyData)
	return certs, key, err
}

func readPKCS12(data []byte, password string) ([]*x509.Certificate, any, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return nil, nil, errors.New("is encrypted: set its password")
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, nil, errors.New("the password is not that of the file")
	case err != nil:
		return nil, nil, fmt.Errorf("is neither PEM nor PKCS#12: %w", err)
	}
	return append([]*x509.Certificate{leaf}, chain...), key, nil
}

// readKey returns the first private key of PEM: PKCS#1 or PKCS#8.
func readKey(data []byte) (any, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the key in it is encrypted, which PEM is not read with: " +
				"make PKCS#12 of it (openssl pkcs12 -export -in cert.pem -inkey key.pem -out cert.pfx) and set its password, or decrypt it (openssl pkey -in key.pem -out plain.pem)")
		case block.Type == "RSA PRIVATE KEY":
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			return key, keyError(err)
		case block.Type == "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			return key, keyError(err)
		case block.Type == "EC PRIVATE KEY":
			return nil, errors.New("the key is of an elliptic curve, want RSA, which PS256 and RS256 sign with")
		}
	}
	return nil, errors.New("there is no private key in it")
}

// keyError does not repeat what the library says, which could show a part of the key.
func keyError(err error) error {
	if err != nil {
		return errors.New("the private key cannot be read: it is damaged, or not of the kind that it says")
	}
	return nil
}

// pemKeys returns the private keys in PEM as they are written.
func pemKeys(data []byte) (keys []byte) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			keys = append(keys, pem.EncodeToMemory(block)...)
		}
	}
	return keys
}

// remindEvery is how often the log speaks of a certificate that ends soon.
const remindEvery = 24 * time.Hour

// usable returns why the certificate cannot be used now, and warns when that is near.
func (c *certificate) usable(p *engine.Pull) error {
	if p.Env().Offline {
		return nil
	}
	now := p.Now()
	if err := checkDates(c.leaf, now); err != nil {
		return &engine.Error{Code: engine.CodeAuth, Err: fmt.Errorf("%s: %w", c.file, err),
			Hint: "put a new certificate and its key in the place of the file, which is used without a restart, and register it where the application is"}
	}
	if c.leaf.NotAfter.Sub(now) <= engine.CertificateWarning && p.Env().Shared.Get("oauth.remind:"+c.id, func() any { return new(reminder) }).(*reminder).due(now) {
		p.Logger().Warn("a certificate expires soon; register a new one where the application is, put it and its key in the place of the file, and it is used without a restart",
			"file", c.file, "expires", c.leaf.NotAfter.UTC().Format(time.DateTime))
	}
	return nil
}

func checkDates(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("the certificate expired on %s", cert.NotAfter.UTC().Format(time.DateTime))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s; this machine's clock says %s", cert.NotBefore.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	}
	return nil
}

// A reminder is due once in remindEvery.
type reminder struct {
	mu   sync.Mutex
	last time.Time
}

func (r *reminder) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last) < remindEvery {
		return false
	}
	r.last = now
	return true
}
