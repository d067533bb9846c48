package sinks

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"starling/engine"
)

// natsIdentity is who signs in to NATS.
type natsIdentity struct {
	user, password, token string
	creds, nkey           string // files

	current atomic.Pointer[nats.Option]
}

// newNATSIdentity reads the keys user, password, token, creds and nkey, of which one way is for use.
func newNATSIdentity(c *engine.Section, secure bool, servers []string) *natsIdentity {
	i := &natsIdentity{user: c.Text("user", ""), password: c.Text("password", ""), token: c.Text("token", ""),
		creds: c.File("creds", "certs", "."), nkey: c.File("nkey", "certs", ".")}
	ways := 0
	for _, key := range []string{"user", "token", "creds", "nkey"} {
		if !c.Has(key) {
			continue
		}
		if ways++; ways > 1 {
			c.Errorf(key, "is one way to sign in too many; set user and password, token, creds or nkey")
		}
	}
	if c.Has("password") != c.Has("user") {
		c.Errorf("password", "user and password belong together: set both or none")
	}
	if key := i.readable(); key != "" && !secure {
		for _, server := range servers {
			if host, _, _ := net.SplitHostPort(server); !isThisMachine(host) {
				c.Errorf(key, "can be read by anybody on the way with type: TCP; use SSL, creds or nkey")
				break
			}
		}
	}
	return i
}

// readable is the key of what goes over the wire as it is.
func (i *natsIdentity) readable() string {
	switch {
	case i.password != "":
		return "password"
	case i.token != "":
		return "token"
	}
	return ""
}

// files lists the files that are set.
func (i *natsIdentity) files() (files []string) {
	for _, path := range []string{i.creds, i.nkey} {
		if path != "" {
			files = append(files, path)
		}
	}
	return files
}

// load returns how to sign in, with what the files hold now.
func (i *natsIdentity) load() (nats.Option, error) {
	switch {
	case i.creds != "":
		text, err := os.ReadFile(i.creds)
		if err != nil {
			return nil, err
		}
		_, errJWT := nkeys.ParseDecoratedJWT(text)
		if _, err := nkeys.ParseDecoratedUserNKey(text); err != nil || errJWT != nil {
			return nil, fmt.Errorf("%s is no credentials file of NATS: it has no user's JWT and seed", i.creds)
		}
		return nats.UserCredentialBytes(text), nil
	case i.nkey != "":
		option, err := nats.NkeyOptionFromSeed(i.nkey)
		if err != nil {
			return nil, fmt.Errorf("%s holds no seed of NATS: %w", i.nkey, err)
		}
		return option, nil
	case i.token != "":
		return nats.Token(i.token), nil
	case i.user != "":
		return nats.UserInfo(i.user, i.password), nil
	}
	return func(*nats.Options) error { return nil }, nil
}

// natsSubject reads a subject that can be published to.
func natsSubject(c *engine.Section, key string) string {
	subject := c.Required(key)
	for token := range strings.SplitSeq(subject, ".") {
		if subject != "" && (token == "" || strings.ContainsAny(token, "*> \t\r\n")) {
			c.Errorf(key, "want a subject such as events.mail, without wildcards, got %q", subject)
			break
		}
	}
	return subject
}

func natsURLs(servers []string) string {
	return "nats://" + strings.Join(servers, ",nats://")
}
