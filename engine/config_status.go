package engine

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
)

// StatusAccess says who may ask the status server, and over what.
type StatusAccess struct {
	// Token is what who asks must send as "Authorization: Bearer"; empty means none.
	Token Secret
	// Certificate and Key are files in PEM with which the server speaks TLS; ClientCA holds the
	// authorities that certificates of who asks must be signed by. Empty means none.
	Certificate, Key, ClientCA string
	// Pprof has the server answer /debug/pprof, for those who may ask at all.
	Pprof bool
}

// Guarded reports whether who asks must show who they are.
func (a StatusAccess) Guarded() bool { return bool(a.Token.Truth()) || a.ClientCA != "" }

// minStatusToken is the length of the shortest token that cannot be guessed.
const minStatusToken = 16

// status reads starling.listen and starling.status. What other machines can reach needs a guard.
func (r *configReader) status(starling *Section) {
	r.Listen = starling.Text("listen", "127.0.0.1:9464")
	if r.Listen == "off" {
		r.Listen = ""
	}
	s := starling.sub("status")
	token := s.Text("token", "")
	if token != "" && len(token) < minStatusToken {
		s.Errorf("token", "is shorter than %d characters", minStatusToken)
	}
	r.Status = StatusAccess{Token: NewSecret(token), Certificate: s.File("certificate", ".", "certs"), Key: s.File("key", ".", "certs"), ClientCA: s.File("client_ca", ".", "certs"),
		Pprof: s.Bool("pprof", false)}
	r.statusTLS(s)
	s.unknown(r.problems)
	if r.Listen == "" {
		return
	}
	if !isAddress(r.Listen) {
		e, _ := starling.find("listen")
		starling.wrong(e, "host:port, such as 127.0.0.1:9464, or off")
		return
	}
	if host, _, _ := net.SplitHostPort(r.Listen); IsLocalHost(host) {
		return
	}
	switch {
	case !s.Has("token") && !s.Has("client_ca"):
		starling.Errorf("listen", "other machines can reach %s: set starling.status.token, or certificate, key and client_ca there, or listen on 127.0.0.1", r.Listen)
	case !s.Has("certificate"):
		line, col := s.placeOf("token")
		r.warn(line, col, "starling.status.token", "goes over the network readable, unless certificate and key are set")
	}
}

func (r *configReader) statusTLS(s *Section) {
	a := r.Status
	if s.Has("certificate") != s.Has("key") {
		s.Errorf("certificate", "certificate and key belong together: set both or none")
		return
	}
	if s.Has("client_ca") && !s.Has("certificate") {
		s.Errorf("client_ca", "needs certificate and key, so that the server speaks TLS")
	}
	if a.Certificate != "" && a.Key != "" {
		if _, err := tls.LoadX509KeyPair(a.Certificate, a.Key); err != nil {
			s.Errorf("certificate", "%v", err)
		}
	}
	if a.ClientCA != "" {
		if _, err := ReadPool(a.ClientCA); err != nil {
			s.Errorf("client_ca", "%v", err)
		}
	}
}

// ReadPool reads a file of certificates in PEM.
func ReadPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, Errorf(CodeConfig, "", "there is no certificate in %s: want blocks that begin with -----BEGIN CERTIFICATE-----", file)
	}
	return pool, nil
}
