package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A registration is an application as its identity provider knows it: a token endpoint and an API.
type registration struct {
	mu     sync.Mutex
	certs  map[string]*x509.Certificate // by x5t#S256
	tokens map[string]int               // how many, by x5t#S256
	sent   []string                     // assertions
}

func (r *registration) know(cert *x509.Certificate) (thumbprint string) {
	sum := sha256.Sum256(cert.Raw)
	thumbprint = base64.RawURLEncoding.EncodeToString(sum[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.certs[thumbprint] = cert
	return thumbprint
}

func (r *registration) given(thumbprint string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tokens[thumbprint]
}

func (r *registration) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !strings.HasSuffix(req.URL.Path, "/token") {
		return
	}
	text := req.PostFormValue("client_assertion")
	r.sent = append(r.sent, text)
	var thumbprint string
	_, err := jwt.Parse(text, func(t *jwt.Token) (any, error) {
		thumbprint, _ = t.Header["x5t#S256"].(string)
		if cert := r.certs[thumbprint]; cert != nil {
			return cert.PublicKey, nil
		}
		return nil, fmt.Errorf("unknown certificate %q", thumbprint)
	}, jwt.WithValidMethods([]string{"PS256"}), jwt.WithAudience("https://"+req.Host+req.URL.Path), jwt.WithExpirationRequired())
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error": "invalid_client", "error_description": %q}`, fmt.Sprintf("AADSTS700027: %v, for %s", err, text))
		return
	}
	r.tokens[thumbprint]++
	fmt.Fprintf(w, `{"token_type": "Bearer", "expires_in": 1, "access_token": "token-%d"}`, len(r.sent))
}

// selfSigned makes a certificate with its key, as PEM.
func selfSigned(t *testing.T, ends time.Time) (*x509.Certificate, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(ends.UnixNano()), Subject: pkix.Name{CommonName: "app"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

const signInScript = `
load("lib/microsoft.star", "base_url", "credentials")
api = http.client(base_url("graph"), auth = credentials("graph"))
def pull():
    api.get("/question")
`

// signInDir writes a configuration with a service that signs in at server, with what settings say.
func signInDir(t *testing.T, server *httptest.Server, settings string) string {
	t.Helper()
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	writeText(t, filepath.Join(dir, "scripts", "asks.star"), signInScript)
	writeText(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf(`globals: {name: test, id: 1}
starling:
  listen: 127.0.0.1:0
  log: {level: debug}
  network: {ca: ca.pem}
outputs:
  discard_1: {type: discard}
inputs:
  demo:
    id: 1
    enabled: true
    request_period_in_seconds: 1
    override_base_auth_url: "%[1]s"
    override_base_url: "%[1]s"
    override_base_resource_url: "%[1]s"
    credentials:
      tenant_id: tenant
      client_id: app
%[2]s
    services:
      asks: {}
`, server.URL, settings))
	return dir
}

// startIn runs the program in dir until the test ends.
func startIn(t *testing.T, dir string, env ...string) (log *lockedBuffer, status string, c *exec.Cmd) {
	t.Helper()
	log = &lockedBuffer{}
	c = exec.Command("starling", "run")
	c.Dir, c.Stdout, c.Stderr, c.Env = dir, log, log, append(os.Environ(), env...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGKILL)
		c.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return log, "http://" + waitLog(t, log, startedAt), c
}

// TestACertificateIsReplacedWhileItRuns puts files in the place of a certificate: wrong ones change
// nothing, a right one is used without a restart, and none of it is readable anywhere.
func TestACertificateIsReplacedWhileItRuns(t *testing.T) {
	t.Parallel()
	app := &registration{certs: map[string]*x509.Certificate{}, tokens: map[string]int{}}
	server := httptest.NewTLSServer(app)
	defer server.Close()
	first, firstPEM := selfSigned(t, time.Now().Add(10*24*time.Hour))
	second, secondPEM := selfSigned(t, time.Now().Add(100*24*time.Hour))
	_, expiredPEM := selfSigned(t, time.Now().Add(-24*time.Hour))
	a, b := app.know(first), app.know(second)

	dir := signInDir(t, server, "      client_certificate: app.pem")
	file := filepath.Join(dir, "certs", "app.pem")
	writeText(t, file, firstPEM)
	log, status, _ := startIn(t, dir)
	until(t, "the first certificate signs", func() bool { return app.given(a) > 0 })
	until(t, "its end is told", func() bool { return strings.Contains(log.String(), "a certificate expires soon") })
	if page, want := fetch(t, status+"/status"), first.NotAfter.UTC().Format(time.RFC3339); !strings.Contains(page, `"certificate_ends": "`+want) {
		t.Errorf("no end of the certificate, %s, in %s", want, page)
	}
	for _, wrong := range []struct{ text, want string }{
		{"-----BEGIN CERTIFICATE-----\n", "there is no certificate in the file"},
		{expiredPEM, "the certificate expired on"},
		{firstPEM[:strings.Index(firstPEM, "-----BEGIN RSA")] + secondPEM[strings.Index(secondPEM, "-----BEGIN RSA"):], "the key does not belong to the certificate"},
	} {
		writeText(t, file, wrong.text)
		until(t, wrong.want, func() bool { return strings.Contains(log.String(), wrong.want) })
		before := app.given(a)
		until(t, "the first certificate goes on", func() bool { return app.given(a) > before+1 })
	}
	if page := fetch(t, status+"/status"); !strings.Contains(page, "app.pem: the key does not belong") {
		t.Errorf("the refused file is not in %s", page)
	}
	if app.given(b) > 0 {
		t.Error("the second certificate signs already")
	}
	writeText(t, file, secondPEM)
	until(t, "the second certificate signs", func() bool { return app.given(b) > 0 })
	until(t, "the status is clean", func() bool { return !strings.Contains(fetch(t, status+"/status"), "does not belong") })

	seen := log.String() + fetch(t, status+"/status") + fetch(t, status+"/metrics")
	for _, text := range append(app.sent, strings.Split(firstPEM+secondPEM+expiredPEM, "\n")...) {
		if len(text) > 20 && !strings.HasPrefix(text, "-----") && strings.Contains(seen, text) {
			t.Errorf("%q is readable", text)
		}
	}
}

// TestACertificateThatNobodyKnowsIsTold has the server refuse an assertion, and repeat it.
func TestACertificateThatNobodyKnowsIsTold(t *testing.T) {
	t.Parallel()
	app := &registration{certs: map[string]*x509.Certificate{}, tokens: map[string]int{}}
	server := httptest.NewTLSServer(app)
	defer server.Close()
	_, text := selfSigned(t, time.Now().Add(100*24*time.Hour))
	dir := signInDir(t, server, "      client_certificate: app.pem")
	writeText(t, filepath.Join(dir, "app.pem"), text)
	log, status, _ := startIn(t, dir)
	var page string
	until(t, "the pull fails", func() bool { page = fetch(t, status+"/status"); return strings.Contains(page, `"failing"`) })
	for _, want := range []string{"401 Unauthorized: invalid_client: AADSTS700027", "upload it to the app registration", "****SANITIZED****"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	if seen := log.String() + page; strings.Contains(seen, app.sent[0]) || strings.Contains(seen, strings.Split(app.sent[0], ".")[2]) {
		t.Error("an assertion is readable")
	}
}
