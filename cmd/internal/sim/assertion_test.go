package sim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// keyPair makes a key and a certificate for it.
func keyPair(t *testing.T) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

// assertion signs a header and claims.
func assertion(t *testing.T, key *rsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	signed := strings.Join(parts, ".")
	digest := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	if header["alg"] == "PS256" {
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestClientAssertions(t *testing.T) {
	t.Parallel()
	key, cert := keyPair(t)
	otherKey, otherCert := keyPair(t)
	thumb := func(c *x509.Certificate) string {
		sum := sha256.Sum256(c.Raw)
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	short := sha1.Sum(cert.Raw)
	c := newClient(t, Options{Token: Token{Certificates: []*x509.Certificate{cert}}})
	o := c.sim.Options()
	audience := "https://login.microsoftonline.com/" + o.TenantID + v2
	id := 0
	for _, test := range []struct {
		name   string
		key    *rsa.PrivateKey
		header map[string]any // beyond alg, typ and x5t#S256
		claims map[string]any // replaced
		code   int            // 0 for a token
	}{
		{"PS256", key, nil, nil, 0},
		{"its own address", key, nil, map[string]any{"aud": c.base + "/" + o.TenantID + v2}, 0},
		{"RS256 and x5t", key, map[string]any{"alg": "RS256", "x5t": base64.RawURLEncoding.EncodeToString(short[:]), "x5t#S256": ""}, nil, 0},
		{"used again", key, nil, map[string]any{"jti": "id 1"}, 700027},
		{"no identifier", key, nil, map[string]any{"jti": ""}, 700027},
		{"another key", otherKey, nil, nil, 700027},
		{"another certificate", otherKey, map[string]any{"x5t#S256": thumb(otherCert)}, nil, 700027},
		{"no thumbprint", key, map[string]any{"x5t#S256": ""}, nil, 700027},
		{"no algorithm", key, map[string]any{"alg": "none"}, nil, 700027},
		{"HS256", key, map[string]any{"alg": "HS256"}, nil, 700027},
		{"another audience", key, nil, map[string]any{"aud": "https://login.microsoftonline.com/other" + v2}, 700023},
		{"audience of v1", key, nil, map[string]any{"aud": "https://login.microsoftonline.com/" + o.TenantID + v1}, 700023},
		{"another issuer", key, nil, map[string]any{"iss": "other"}, 700021},
		{"another subject", key, nil, map[string]any{"sub": "other"}, 700021},
		{"over", key, nil, map[string]any{"nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(-6 * time.Minute).Unix()}, 700024},
		{"not yet", key, nil, map[string]any{"nbf": now.Add(6 * time.Minute).Unix()}, 700024},
		{"for a year", key, nil, map[string]any{"exp": now.AddDate(1, 0, 0).Unix()}, 700024},
	} {
		id++
		header := map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": thumb(cert)}
		maps.Copy(header, test.header)
		claims := map[string]any{"aud": audience, "iss": o.ClientID, "sub": o.ClientID, "jti": fmt.Sprint("id ", id),
			"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
		maps.Copy(claims, test.claims)
		_, body := c.post(v2, map[string]string{"client_secret": "", "client_assertion_type": assertionType,
			"client_assertion": assertion(t, test.key, header, claims)})
		var got struct {
			Codes []int  `json:"error_codes"`
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if (got.Token != "") != (test.code == 0) || test.code != 0 && !slices.Equal(got.Codes, []int{test.code}) {
			t.Errorf("%s: got %s, want %d", test.name, body, test.code)
		}
	}
	for _, text := range []string{"", "a.b", "a.b.c", "e30.e30.!"} {
		if status, body := c.post(v2, map[string]string{"client_secret": "", "client_assertion": text}); status != 401 {
			t.Errorf("%q: got %d %s", text, status, body)
		}
	}
}

func TestFederatedAssertions(t *testing.T) {
	t.Parallel()
	key, _ := keyPair(t)
	other, _ := keyPair(t)
	c := newClient(t, Options{Token: Token{Federated: Federated{Issuer: "https://idp.example.com", Subject: "system:serviceaccount:a:b", Key: &key.PublicKey}}})
	for _, test := range []struct {
		key    *rsa.PrivateKey
		change map[string]any
		status int
	}{
		{key, nil, 200}, {key, nil, 200}, // the file may be used again until it expires
		{other, nil, 401},
		{key, map[string]any{"sub": "system:serviceaccount:a:c"}, 401},
		{key, map[string]any{"aud": "other"}, 401},
		{key, map[string]any{"exp": now.Add(-time.Hour).Unix()}, 401},
	} {
		claims := map[string]any{"iss": "https://idp.example.com", "sub": "system:serviceaccount:a:b", "aud": "api://AzureADTokenExchange", "exp": now.Add(time.Hour).Unix()}
		maps.Copy(claims, test.change)
		status, body := c.post(v2, map[string]string{"client_secret": "", "client_assertion_type": assertionType,
			"client_assertion": assertion(t, test.key, map[string]any{"alg": "RS256"}, claims)})
		if status != test.status {
			t.Errorf("%v: got %d %s, want %d", test.change, status, body, test.status)
		}
	}
}

func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Token: Token{RefreshToken: "first"}})
	use := func(token string) (next string) {
		_, body := c.post(v2, map[string]string{"grant_type": "refresh_token", "refresh_token": token, "client_secret": "", "scope": graphResource + "/.default offline_access"})
		var got struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
		if err := json.Unmarshal(body, &got); err != nil || (got.Access == "") != (got.Refresh == "") {
			t.Fatalf("got %s, %v", body, err)
		}
		return got.Refresh
	}
	second := use("first")
	third := use(second)
	if second == "" || third == "" || second == third {
		t.Errorf("got %q and %q", second, third)
	}
	for _, old := range []string{"first", second, ""} {
		if use(old) != "" {
			t.Errorf("%q is taken again", old)
		}
	}
}

func TestTokenAnswersThatAreOdd(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{})
	read := func() map[string]any {
		_, body := c.post(v1, nil)
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	c.sim.Change(func(o *Options) { o.Token.NoLife = true })
	if got := read(); got["expires_in"] != "0" || got["expires_on"] != nil || got["access_token"] == nil {
		t.Errorf("got %v", got)
	}
	c.sim.Change(func(o *Options) { o.Token = Token{Omit: []string{"expires_in", "access_token"}} })
	if got := read(); got["expires_in"] != nil || got["access_token"] != nil || got["token_type"] != "Bearer" {
		t.Errorf("got %v", got)
	}
	c.sim.Change(func(o *Options) { o.Token = Token{Quota: Quota{Requests: 1}} })
	c.post(v1, nil)
	if status, body := c.post(v1, nil); status != 429 || !strings.Contains(string(body), "AADSTS90055") {
		t.Errorf("got %d %s", status, body)
	}
	for _, code := range Refusals() {
		c.sim.Change(func(o *Options) { o.Token = Token{Refuse: code} })
		status, body := c.post(v2, nil)
		if status < 400 || !strings.Contains(string(body), fmt.Sprintf(`"error_codes":[%d]`, code)) || !strings.Contains(string(body), fmt.Sprintf("AADSTS%d: ", code)) {
			t.Errorf("%d: got %d %s", code, status, body)
		}
	}
}

func TestManagedIdentities(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Token: Token{Identity: Identity{ClientID: "mine", Header: "open sesame", Fail: []int{404, 410, 429}}}})
	ask := func(path, header, value, query string) (int, map[string]any) {
		request := httptest.NewRequest(http.MethodGet, "http://169.254.169.254"+path+"?"+query, nil)
		request.Header.Set(header, value)
		recorder := httptest.NewRecorder()
		c.sim.ServeHTTP(recorder, request)
		var body map[string]any
		if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
			t.Fatalf("%v in %s", err, recorder.Body)
		}
		return recorder.Code, body
	}
	good := "api-version=2018-02-01&resource=https://graph.microsoft.com/"
	for _, want := range []int{404, 410, 429, 200} {
		if status, body := ask(identityPath, "Metadata", "true", good); status != want {
			t.Errorf("got %d %v, want %d", status, body, want)
		}
	}
	_, body := ask(identityPath, "Metadata", "true", good+"&client_id=mine")
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	_, got := outline(t, text)
	if _, want := outline(t, fixture(t, "synthetic/imds_success_strings.json")); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, test := range []struct {
		path, header, value, query string
		want                       int
	}{
		{identityPath, "Metadata", "", good, 400},
		{identityPath, "Metadata", "true", "resource=x", 400},
		{identityPath, "Metadata", "true", good + "&client_id=other", 400},
		{appServicePath, "X-IDENTITY-HEADER", "open sesame", good, 200},
		{appServicePath, "X-IDENTITY-HEADER", "wrong", good, 401},
	} {
		if status, body := ask(test.path, test.header, test.value, test.query); status != test.want {
			t.Errorf("%s: got %d %v, want %d", test.query, status, body, test.want)
		}
	}
	c.token, _ = body["access_token"].(string)
	if response, a := c.graph(c.traces("")); response.StatusCode != 200 {
		t.Errorf("the token does not open Graph: %d %+v", response.StatusCode, a.Error)
	}
}

func TestTokensAreRevokedMidway(t *testing.T) {
	t.Parallel()
	c := newGraphClient(t, Options{Rows: hour(), RevokeEvery: 3})
	for _, want := range []int{200, 200, 401, 401} {
		if response, _ := c.graph(c.traces("")); response.StatusCode != want {
			t.Errorf("got %d, want %d", response.StatusCode, want)
		}
	}
	c.token = c.signIn() // for the report
	if response, a := c.graph(c.traces("")); response.StatusCode != 401 || !strings.Contains(a.Error.Message, "audience") {
		t.Errorf("a token of another service: got %d %+v", response.StatusCode, a.Error)
	}
}
