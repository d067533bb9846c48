package builtins

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"software.sslmate.com/src/go-pkcs12"

	"starling/engine"
)

// A keyPair is a certificate of an application, in every form that tests want.
type keyPair struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// testKeys are made once: RSA keys take long to find, and longer with the race detector.
var testKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 2)
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func newKeyPair(t testing.TB, n int, from, until time.Time) keyPair {
	t.Helper()
	key := testKeys()[n]
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "an application"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{cert, key}
}

func aroundNow(t testing.TB, n int) keyPair {
	return newKeyPair(t, n, time.Now().Add(-time.Hour), time.Now().Add(365*24*time.Hour))
}

func (k keyPair) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.cert.Raw})
}

func (k keyPair) pkcs1() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.key)})
}

func (k keyPair) pkcs8(t testing.TB) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (k keyPair) pfx(t testing.TB, e *pkcs12.Encoder, password string, chain ...*x509.Certificate) []byte {
	data, err := e.Encode(k.key, k.cert, chain, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A verifier is a token endpoint of its own: it checks assertions with nothing of the code under test.
type verifier struct {
	t        *testing.T
	url      string // the audience that it is
	cert     *x509.Certificate
	alg      string
	kid      string // of a key without a certificate
	mu       sync.Mutex
	seen     map[string]bool
	problems []string
	busy     int // so many answers are 503
	asked    int
}

func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	if err := v.check(r); err != nil {
		v.problems = append(v.problems, err.Error())
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error": "invalid_client", "error_description": %q}`, err.Error()+" "+r.PostForm.Get("client_assertion"))
		return
	}
	if v.busy > 0 {
		v.busy--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	fmt.Fprint(w, `{"token_type": "Bearer", "expires_in": 3599, "access_token": "a-good-token"}`)
}

func (v *verifier) check(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	form := r.PostForm
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Has("client_secret") || form.Get("client_id") != "app" {
		return fmt.Errorf("form %v", form)
	}
	text := form.Get("client_assertion")
	claims := jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithValidMethods([]string{v.alg}), jwt.WithAudience(v.url), jwt.WithIssuer("app"), jwt.WithSubject("app"), jwt.WithExpirationRequired()).
		ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return v.cert.PublicKey, nil })
	if err != nil {
		return err
	}
	return v.checkClaims(token, claims, text)
}

func (v *verifier) checkClaims(token *jwt.Token, claims jwt.MapClaims, text string) error {
	exp, err1 := claims.GetExpirationTime()
	nbf, err2 := claims.GetNotBefore()
	if err1 != nil || err2 != nil || nbf == nil || exp.Sub(nbf.Time) > 10*time.Minute || time.Until(exp.Time) < time.Minute || time.Since(nbf.Time) < time.Minute {
		return fmt.Errorf("valid from %v to %v", nbf, exp)
	}
	if aud, isText := claims["aud"].(string); !isText || aud != v.url {
		return fmt.Errorf("audience %v", claims["aud"])
	}
	jti, _ := claims["jti"].(string)
	if len(jti) != 36 || v.seen[jti] {
		return fmt.Errorf("jti %q is no new UUID", jti)
	}
	v.seen[jti] = true
	sha2, sha := sha256.Sum256(v.cert.Raw), sha1.Sum(v.cert.Raw)
	want := map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(sha2[:])}
	if v.alg == "RS256" {
		want = map[string]any{"alg": "RS256", "typ": "JWT", "x5t": base64.RawURLEncoding.EncodeToString(sha[:])}
	}
	if v.kid != "" {
		want = map[string]any{"alg": v.alg, "typ": "JWT", "kid": v.kid}
	}
	if fmt.Sprint(token.Header) != fmt.Sprint(want) {
		return fmt.Errorf("header %v, want %v", token.Header, want)
	}
	return v.checkSignature(text)
}

// checkSignature wants what RFC 7518 says of PS256, which the library verifies less strictly: a salt as
// long as the hash.
func (v *verifier) checkSignature(text string) error {
	end := strings.LastIndex(text, ".")
	sum := sha256.Sum256([]byte(text[:end]))
	sig, err := base64.RawURLEncoding.DecodeString(text[end+1:])
	if err != nil {
		return err
	}
	public := v.cert.PublicKey.(*rsa.PublicKey)
	if v.alg == "RS256" {
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], sig)
	}
	return rsa.VerifyPSS(public, crypto.SHA256, sum[:], sig, &rsa.PSSOptions{SaltLength: 32})
}

// newVerifier serves a token endpoint and an API over TLS.
func newVerifier(t *testing.T, cert *x509.Certificate, alg string) (*netTest, *verifier) {
	v := &verifier{t: t, cert: cert, alg: alg, seen: map[string]bool{}}
	n := bareNetTest(t)
	n.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/tenant/oauth2/v2.0/token" {
			v.ServeHTTP(w, r)
		} else if r.Header.Get("Authorization") != "Bearer a-good-token" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	server := httptest.NewTLSServer(http.HandlerFunc(n.answer))
	t.Cleanup(server.Close)
	n.base, n.env.Transport = server.URL, server.Client().Transport
	v.url = n.base + "/tenant/oauth2/v2.0/token"
	return n, v
}

const certificateScript = `
proof = oauth.certificate(config.file("cert"), key = config.file("key", default = None), password = config.secret("password", default = None), alg = config.string("alg", default = "PS256"))
api = http.client(base, auth = oauth.client_credentials(base + "/tenant/oauth2/v2.0/token", client_id = "app", certificate = proof, scope = "s"),
    retry = http.retry(2, backoff = "1ms"))
def pull():
    return api.get("/data").status
`

func TestAssertionsConvinceAnIndependentServer(t *testing.T) {
	t.Parallel()
	pair, other := aroundNow(t, 0), aroundNow(t, 1)
	dir := t.TempDir()
	both := writeFile(t, filepath.Join(dir, "both.pem"), slices.Concat(other.certPEM(), pair.pkcs8(t), pair.certPEM()))
	alone := writeFile(t, filepath.Join(dir, "cert.pem"), pair.certPEM())
	key := writeFile(t, filepath.Join(dir, "key.pem"), pair.pkcs1())
	modern := writeFile(t, filepath.Join(dir, "modern.pfx"), pair.pfx(t, pkcs12.Modern, "pass word", other.cert))
	legacy := writeFile(t, filepath.Join(dir, "legacy.pfx"), pair.pfx(t, pkcs12.LegacyDES, "pass word"))
	bare := writeFile(t, filepath.Join(dir, "bare.pfx"), pair.pfx(t, pkcs12.Passwordless, ""))
	for name, settings := range map[string]map[string]any{
		"PEM with its key": {"cert": both},
		"PEM and a key":    {"cert": alone, "key": key},
		"PKCS#12":          {"cert": modern, "password": "pass word"},
		"old PKCS#12":      {"cert": legacy, "password": "pass word"},
		"bare PKCS#12":     {"cert": bare},
		"RS256":            {"cert": both, "alg": "RS256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alg := "PS256"
			if settings["alg"] != nil {
				alg = "RS256"
			}
			n, v := newVerifier(t, pair.cert, alg)
			n.settings = settings
			v.busy = 1 // the second attempt needs an assertion of its own
			script := n.load(t, certificateScript)
			got, err := script.pull(t.Context())
			if err != nil || len(v.problems) > 0 {
				t.Fatalf("%v; the server says %q", err, v.problems)
			}
			wantValue(t, got, err, "200")
			if v.asked != 2 || len(v.seen) != 2 {
				t.Errorf("asked %d times with %d assertions, want 2 and 2", v.asked, len(v.seen))
			}
			n.noSecrets(t, nil, "eyJ", "pass word")
		})
	}
}

// A server that repeats an assertion does not make it readable.
func TestAssertionsAreNotShown(t *testing.T) {
	t.Parallel()
	pair, other := aroundNow(t, 0), aroundNow(t, 1)
	n, v := newVerifier(t, other.cert, "PS256")
	n.settings = map[string]any{"cert": writeFile(t, filepath.Join(t.TempDir(), "both.pem"), slices.Concat(pair.certPEM(), pair.pkcs1()))}
	_, err := n.load(t, certificateScript).pull(t.Context())
	wantError(t, err, engine.CodeAuth, "401 Unauthorized: invalid_client: token signature is invalid", "****SANITIZED****")
	if v.asked != 1 {
		t.Errorf("asked %d times, want 1", v.asked)
	}
	n.noSecrets(t, err, "eyJ")
}

// An assertion is accepted when the clocks of both sides differ by almost five minutes, without any
// allowance of the server's.
func TestAssertionsAllowForSkew(t *testing.T) {
	t.Parallel()
	pair := aroundNow(t, 0)
	c := &certificate{file: "f", leaf: pair.cert, key: pair.key, alg: "PS256"}
	now := time.Now()
	text, err := c.sign("app", "https://login.example/token", now)
	if err != nil {
		t.Fatal(err)
	}
	for skew, want := range map[time.Duration]bool{-295 * time.Second: true, 0: true, 295 * time.Second: true, 310 * time.Second: false, -310 * time.Second: false} {
		_, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return pair.cert.PublicKey, nil }, jwt.WithTimeFunc(func() time.Time { return now.Add(skew) }))
		if (err == nil) != want {
			t.Errorf("%v: got %v, want accepted %v", skew, err, want)
		}
	}
}

// The example of Microsoft's documentation has the same members as what is sent.
func TestAssertionsHaveTheFieldsOfTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../scripts/testdata/microsoft/entra-docs/decoded_client_assertion.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Header, Claims map[string]any }
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	pair := aroundNow(t, 0)
	c := &certificate{leaf: pair.cert, key: pair.key, alg: "PS256"}
	signed, err := c.sign("app", "https://login.example/token", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := jwt.NewParser().ParseUnverified(signed, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(keysOf(token.Header), keysOf(token.Claims.(jwt.MapClaims))), fmt.Sprint(keysOf(want.Header), keysOf(want.Claims)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func keysOf(m map[string]any) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func TestWrongCertificatesSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	pair, other := aroundNow(t, 0), aroundNow(t, 1)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, _ := x509.MarshalPKCS8PrivateKey(curve)
	curvePEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: curveDER})
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	pfx := pair.pfx(t, pkcs12.Modern, "pass word")
	for _, c := range []struct {
		data, key []byte
		password  string
		want      string
	}{
		{[]byte("hello"), nil, "", "neither PEM nor PKCS#12"},
		{pair.certPEM(), nil, "", "no private key"},
		{pair.pkcs1(), nil, "", "no certificate"},
		{pair.certPEM(), other.pkcs1(), "", "does not belong to the certificate"},
		{pair.certPEM(), encrypted, "", "openssl pkcs12 -export"},
		{pair.certPEM(), curvePEM, "", "want RSA"},
		{pair.certPEM(), []byte("x"), "", "no private key"},
		{pair.certPEM(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("short")}), "", "private key cannot be read"},
		{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("short")}), nil, "", "certificate cannot be read"},
		{pfx, nil, "", "is encrypted: set its password"},
		{pfx, nil, "wrong word", "password is not that of the file"},
		{pfx[:len(pfx)/2], nil, "pass word", "neither PEM nor PKCS#12"},
		{pfx, pair.pkcs1(), "pass word", "no other file is needed"},
	} {
		if got, err := parseCertificate(c.data, c.key, c.password); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, %v, want %q", got, err, c.want)
		}
	}
	n := bareNetTest(t)
	n.base = "https://api.example.com"
	n.settings = map[string]any{"cert": writeFile(t, filepath.Join(t.TempDir(), "bad.pem"), pair.certPEM())}
	_, err = n.tryLoad(certificateScript)
	wantError(t, err, engine.CodeConfig, "bad.pem: there is no private key")
	n.settings = map[string]any{"cert": string(pair.pkcs1())}
	_, err = n.tryLoad(certificateScript)
	wantError(t, err, engine.CodeConfig, "settings: cert: want the name of a file, not its content")
	n.settings = map[string]any{"cert": "nowhere.pem"}
	_, err = n.tryLoad(certificateScript)
	wantError(t, err, engine.CodeConfig, "settings: cert: there is no file certs/nowhere.pem and no file nowhere.pem")
}

// A certificate that ends soon is warned of once a day, and one that has ended fails the pull and says
// what to do.
func TestACertificateThatEndsIsToldAhead(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	dir := t.TempDir()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		pair := newKeyPair(t, 0, time.Now().Add(-time.Hour), time.Now().Add(16*24*time.Hour))
		n.settings = map[string]any{"cert": writeFile(t, filepath.Join(dir, "both.pem"), slices.Concat(pair.certPEM(), pair.pkcs1()))}
		n.serve(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"expires_in": 3600, "access_token": "good"}`)
		})
		script := n.load(t, certificateScript)
		warned := func() int { return strings.Count(n.log.String(), "a certificate expires soon") }
		for range 16 * 4 {
			before := warned()
			if _, err := script.pull(t.Context()); err != nil {
				t.Fatal(err)
			}
			if ahead := time.Until(pair.cert.NotAfter); ahead > 14*24*time.Hour && warned() > 0 {
				t.Fatalf("warned %v ahead", ahead)
			} else if warned() > before+1 {
				t.Fatal("warned twice")
			}
			time.Sleep(6 * time.Hour)
		}
		if got := warned(); got < 13 || got > 14 {
			t.Errorf("warned %d times in 14 days", got)
		}
		time.Sleep(time.Second)
		_, err := script.pull(t.Context())
		wantError(t, err, engine.CodeAuth, "both.pem: the certificate expired on", "put a new certificate and its key in the place of the file")
	})
}

func FuzzCertificate(f *testing.F) {
	pair := aroundNow(f, 0)
	f.Add(slices.Concat(pair.certPEM(), pair.pkcs1()), []byte(nil))
	f.Add(pair.certPEM(), pair.pkcs8(f))
	f.Add(pair.pfx(f, pkcs12.Modern, "password"), []byte(nil))
	f.Add(pair.pfx(f, pkcs12.LegacyRC2, "password"), []byte(nil))
	f.Add([]byte("-----BEGIN "), []byte("-----BEGIN PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, data, key []byte) {
		if manyIterations(data) {
			t.Skip("the file says how often its password is hashed")
		}
		c, err := parseCertificate(data, key, "password")
		if err != nil {
			for _, line := range strings.Fields(string(pemKeys(append(data, key...)))) {
				if len(line) >= 32 && strings.Contains(err.Error(), line) {
					t.Errorf("the error shows the key: %v", err)
				}
			}
			return
		}
		if c.leaf == nil || c.key == nil || !c.key.PublicKey.Equal(c.leaf.PublicKey) {
			t.Error("a certificate that cannot sign")
		}
	})
}

// manyIterations finds any number above a million in DER.
func manyIterations(data []byte) bool {
	for i := 0; i+1 < len(data); i++ {
		if n := int(data[i+1]); data[i] == 2 && n >= 3 && n <= 8 && i+2+n <= len(data) {
			value := new(big.Int).SetBytes(data[i+2 : i+2+n])
			if value.Cmp(big.NewInt(1<<20)) > 0 {
				return true
			}
		}
	}
	return false
}
