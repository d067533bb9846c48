package sim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Federated is an identity provider that the application trusts instead of a certificate. Its assertions are RS256.
type Federated struct {
	Issuer   string
	Subject  string
	Audience string // default api://AzureADTokenExchange
	Key      *rsa.PublicKey
}

// issuer is what the token endpoint remembers.
type issuer struct {
	used         map[string]bool // jti of assertions
	refreshToken string          // the one that is valid; "" before the first use
	identity     int             // requests for the token of a managed identity
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// clockLeeway is how far clocks may differ.
const clockLeeway = 5 * time.Minute

// assertionParts are the two JSON texts of a client assertion.
type assertionParts struct {
	Header struct {
		Algorithm string `json:"alg"`
		SHA256    string `json:"x5t#S256"`
		SHA1      string `json:"x5t"`
	}
	Claims struct {
		Audience  string `json:"aud"`
		Issuer    string `json:"iss"`
		Subject   string `json:"sub"`
		ID        string `json:"jti"`
		Expires   int64  `json:"exp"`
		NotBefore int64  `json:"nbf"`
	}
	signed    string
	signature []byte
}

func readAssertion(text string) (p assertionParts, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return p, false
	}
	for i, into := range []any{&p.Header, &p.Claims} {
		plain, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(plain, into) != nil {
			return p, false
		}
	}
	var err error
	p.signature, err = base64.RawURLEncoding.DecodeString(parts[2])
	p.signed = parts[0] + "." + parts[1]
	return p, err == nil
}

// checkAssertion refuses a client assertion that is not right.
func (m *Microsoft) checkAssertion(r *http.Request, o *Options, text string) *refused {
	refuse := func(code int, text string) *refused { return &refused{401, code, "invalid_client", text} }
	p, ok := readAssertion(text)
	if !ok || r.PostForm.Get("client_assertion_type") != assertionType {
		return refuse(50027, "JWT token is invalid or malformed.")
	}
	if f := &o.Token.Federated; f.Key != nil && p.Claims.Issuer != o.ClientID {
		audience := f.Audience
		if audience == "" {
			audience = "api://AzureADTokenExchange"
		}
		if p.Claims.Issuer != f.Issuer || p.Claims.Subject != f.Subject || p.Claims.Audience != audience {
			return refuse(70021, "No matching federated identity record found for presented assertion. Assertion Issuer: '"+p.Claims.Issuer+"'. Assertion Subject: '"+p.Claims.Subject+"'. Assertion Audience: '"+p.Claims.Audience+"'.")
		}
		if p.Header.Algorithm != "RS256" || !p.verify(f.Key) {
			return refuse(700027, "Client assertion failed signature validation.")
		}
		return p.inTime(o.now())
	}
	switch {
	case p.Claims.Issuer != o.ClientID || p.Claims.Subject != o.ClientID:
		return refuse(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
	case !p.forEndpoint(r):
		return refuse(700023, "Client assertion audience claim does not match Realm issuer.")
	case !p.signedBy(o):
		return refuse(700027, "The certificate with identifier used to sign the client assertion is not registered on application.")
	}
	if refusal := p.inTime(o.now()); refusal != nil {
		return refusal
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.Claims.ID == "" || m.issue.used[p.Claims.ID] {
		return refuse(700027, "Client assertion was used before, or has no identifier.")
	}
	if m.issue.used == nil {
		m.issue.used = map[string]bool{}
	}
	m.issue.used[p.Claims.ID] = true
	return nil
}

// inTime refuses an assertion whose time is over, has not come, or is longer than a day.
func (p *assertionParts) inTime(now time.Time) *refused {
	notBefore, expires := time.Unix(p.Claims.NotBefore, 0), time.Unix(p.Claims.Expires, 0)
	if p.Claims.NotBefore == 0 {
		notBefore = now
	}
	if now.Add(clockLeeway).Before(notBefore) || now.Add(-clockLeeway).After(expires) || expires.Sub(notBefore) > 24*time.Hour {
		return &refused{401, 700024, "invalid_client", "Client assertion is not within its valid time range. Current time: " + now.UTC().Format(time.RFC3339) +
			", assertion valid from " + notBefore.UTC().Format(time.RFC3339) + ", expiry time of assertion " + expires.UTC().Format(time.RFC3339) + "."}
	}
	return nil
}

// forEndpoint reports whether the audience is the address asked, or the same path at Microsoft's.
func (p *assertionParts) forEndpoint(r *http.Request) bool {
	return slices.ContainsFunc([]string{base(r), "https://login.microsoftonline.com", "https://login.microsoftonline.us"}, func(host string) bool {
		return strings.EqualFold(p.Claims.Audience, host+r.URL.Path)
	})
}

// signedBy reports whether one of the application's certificates is named, and its key signed.
func (p *assertionParts) signedBy(o *Options) bool {
	for _, c := range o.Token.Certificates {
		long, short := sha256.Sum256(c.Raw), sha1.Sum(c.Raw)
		named := p.Header.SHA256 == base64.RawURLEncoding.EncodeToString(long[:]) && p.Header.SHA256 != "" ||
			p.Header.SHA1 == base64.RawURLEncoding.EncodeToString(short[:]) && p.Header.SHA1 != ""
		key, isRSA := c.PublicKey.(*rsa.PublicKey)
		if named && isRSA && p.verify(key) {
			return true
		}
	}
	return false
}

func (p *assertionParts) verify(key *rsa.PublicKey) bool {
	digest := sha256.Sum256([]byte(p.signed))
	switch p.Header.Algorithm {
	case "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], p.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], p.signature) == nil
	}
	return false
}

// refresh takes a refresh token and makes the next one.
func (m *Microsoft) refresh(text string, o *Options) *refused {
	m.mu.Lock()
	defer m.mu.Unlock()
	valid := m.issue.refreshToken
	if valid == "" {
		valid = o.Token.RefreshToken
	}
	if text == "" || text != valid {
		return refusalOf(700082)
	}
	m.issue.refreshToken = "0.A" + randomGUID() + randomGUID()
	return nil
}
