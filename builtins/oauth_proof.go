package builtins

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"starling/engine"
)

// A clientSecret proves a client by a secret that both sides know.
type clientSecret engine.Secret

func (c clientSecret) identity() string { return digest("secret", engine.Secret(c).Reveal()) }

func (c clientSecret) fields(*engine.Pull, *url.URL) (params, string, error) {
	text := engine.Secret(c).Reveal()
	return params{{name: "client_secret", value: text, secret: true}}, "", nil
}

// offlineProof stands for what is signed, while a recording is played.
const offlineProof = "assertion-masked"

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func assertionFields(text string) params {
	return params{{name: "client_assertion_type", value: assertionType}, {name: "client_assertion", value: text, secret: true}}
}

// A signedAssertion proves a client by what it signs with its key: RFC 7523.
type signedAssertion struct {
	clientID string
	cert     *certificate
}

func (s *signedAssertion) identity() string { return digest("certificate", s.cert.id, s.cert.alg) }

func (s *signedAssertion) fields(p *engine.Pull, audience *url.URL) (params, string, error) {
	if err := s.cert.usable(p); err != nil {
		return nil, "", err
	}
	if p.Env().Offline {
		return assertionFields(offlineProof), offlineProof, nil
	}
	text, err := s.cert.sign(s.clientID, audience.String(), p.Now())
	return assertionFields(text), text, err
}

// An assertion is valid from a while ago for a while: servers accept ten minutes in all, and clocks of
// machines differ in both directions.
const assertionAround = 5 * time.Minute

// sign makes an assertion of clientID for the endpoint audience.
func (c *certificate) sign(clientID, audience string, now time.Time) (string, error) {
	name, thumbprint := c.thumbprint()
	text, err := signAssertion(c.alg, name, thumbprint, c.key, clientID, audience, now)
	if err != nil {
		return "", &engine.Error{Code: engine.CodeAuth, Err: fmt.Errorf("sign with %s: %w", c.file, err)}
	}
	return text, nil
}

// randomUUID returns a UUID of version 4, RFC 9562.
func randomUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// An assertionFile proves a client by an assertion that somebody else keeps writing into a file, such as
// Kubernetes for a workload.
type assertionFile engine.File

func (f assertionFile) identity() string { return digest("assertion file", f.Path) }

func (f assertionFile) fields(p *engine.Pull, _ *url.URL) (params, string, error) {
	if p.Env().Offline {
		return assertionFields(offlineProof), offlineProof, nil
	}
	fail := func(err error) (params, string, error) {
		return nil, "", &engine.Error{Code: engine.CodeAuth, Err: fmt.Errorf("the assertion in %s: %w", f.Path, err),
			Hint: "the file is read at each request for a token: whoever keeps it up to date has to write it again"}
	}
	data, err := engine.File(f).Read()
	if err != nil {
		return fail(err)
	}
	text := strings.TrimSpace(string(data))
	if strings.Count(text, ".") != 2 || strings.ContainsAny(text, " \r\n\t") {
		return fail(errors.New("it is no JSON web token, which has three parts with dots between them"))
	}
	return assertionFields(text), text, nil
}
