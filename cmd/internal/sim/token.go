package sim

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// graphResource is the audience of the replacement service; a token for it must not open the report.
const graphResource = "https://graph.microsoft.com"

// grant is what an access token stands for.
type grant struct {
	resource string
	expires  time.Time
}

// Token describes how tokens are given, beyond the secret.
type Token struct {
	Omit    []string // fields that are left out of the answer
	NoLife  bool     // expires_in and expires_on are 0, though the token lives
	Refuse  int      // refuse every request with this AADSTS number, one of those that Refusals lists
	Latency time.Duration
	Quota   Quota

	SecretUntil time.Time // from then on the client secret has expired; the zero time is never

	Certificates []*x509.Certificate // of the application: client assertions must be signed with the key of one
	Federated    Federated
	Identity     Identity
	RefreshToken string // the first one that grant_type=refresh_token takes; each use gives the next one and ends its own
}

// tokenFields are those of an answer.
var tokenFields = []string{"token_type", "expires_in", "ext_expires_in", "access_token", "expires_on", "not_before", "resource", "refresh_token"}

// token answers POST /{tenant}/oauth2/token (v1) and /{tenant}/oauth2/v2.0/token.
func (m *Microsoft) token(w http.ResponseWriter, r *http.Request, o *Options, tenant string, v2 bool) {
	note := noteOf(r)
	note.API = classToken
	pause(r.Context(), o.Token.Latency)
	if wait, refused := m.spend(classToken, o.Token.Quota, o); refused {
		a := refusalOf(90055).reply(o.now())
		a.status, a.retryAfter = http.StatusTooManyRequests, o.Token.Quota.Form.header(wait, o.now())
		a.send(w, r, "")
		return
	}
	fault := m.fault(&m.tokenFaults, o.TokenFaults)
	note.Fault = fault
	if answer := m.broken(fault, light, o); answer != nil {
		answer.send(w, r, fault)
		return
	}
	m.grant(r, o, tenant, v2).send(w, r, fault)
}

func (m *Microsoft) grant(r *http.Request, o *Options, tenant string, v2 bool) *reply {
	now := o.now()
	resource, refusal := m.checkTokenRequest(r, o, tenant, v2)
	if refusal == nil && o.Token.Refuse != 0 {
		refusal = refusalOf(o.Token.Refuse)
	}
	if refusal == nil && r.PostForm.Get("grant_type") == "refresh_token" {
		refusal = m.refresh(r.PostForm.Get("refresh_token"), o)
	}
	if refusal != nil {
		m.count(func(c *Counters) { c.TokenErrors++ })
		noteOf(r).Reason = fmt.Sprintf("AADSTS%d: %s", refusal.code, refusal.text)
		return refusal.reply(now)
	}
	text, lifetime := m.newToken(o, resource, now)
	body := map[string]any{"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": text}
	if !v2 { // version 1 writes numbers as strings
		body["expires_in"], body["ext_expires_in"] = strconv.Itoa(lifetime), strconv.Itoa(lifetime)
		body["expires_on"] = strconv.FormatInt(now.Unix()+int64(lifetime), 10)
		body["not_before"] = strconv.FormatInt(now.Unix(), 10)
		body["resource"] = resource
	}
	if r.PostForm.Get("grant_type") == "refresh_token" {
		m.mu.Lock()
		body["refresh_token"] = m.issue.refreshToken
		m.mu.Unlock()
	}
	if o.Token.NoLife {
		body["expires_in"] = "0"
		delete(body, "expires_on")
	}
	for _, field := range o.Token.Omit {
		delete(body, field)
	}
	return jsonReply(http.StatusOK, body)
}

func jsonReply(status int, body any) *reply {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // a map of texts and numbers
	}
	return &reply{status: status, contentType: "application/json; charset=utf-8", parts: [][]byte{text}}
}

// checkTokenRequest returns the resource the token is for.
func (m *Microsoft) checkTokenRequest(r *http.Request, o *Options, tenant string, v2 bool) (string, *refused) {
	missing := func(name string) *refused {
		return &refused{400, 900144, "invalid_request", "The request body must contain the following parameter: '" + name + "'."}
	}
	if r.Method != http.MethodPost {
		return "", &refused{400, 900561, "invalid_request", "The endpoint only accepts POST requests. Received a " + r.Method + " request."}
	}
	if err := r.ParseForm(); err != nil {
		return "", &refused{400, 9000410, "invalid_request", "Malformed request body."}
	}
	form := r.PostForm.Get
	switch {
	case !strings.EqualFold(tenant, o.TenantID):
		return "", &refused{400, 90002, "invalid_request", "Tenant '" + tenant + "' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."}
	case form("grant_type") == "":
		return "", missing("grant_type")
	case form("grant_type") != "client_credentials" && form("grant_type") != "refresh_token":
		return "", &refused{400, 70003, "unsupported_grant_type", "The app requested an unsupported grant type '" + form("grant_type") + "'."}
	case form("client_id") == "":
		return "", missing("client_id")
	case v2 && form("resource") != "":
		return "", refusalOf(901002)
	case v2 && form("scope") == "":
		return "", missing("scope")
	case !v2 && form("resource") == "":
		return "", missing("resource")
	case v2 && strings.Count(form("scope"), "/.default") > 1:
		return "", refusalOf(700022)
	case v2 && form("grant_type") == "client_credentials" && !strings.HasSuffix(form("scope"), "/.default"):
		return "", &refused{400, 70011, "invalid_scope", "The provided value for the input parameter 'scope' is not valid. The scope " + form("scope") + " is not valid."}
	case form("client_id") != o.ClientID:
		return "", &refused{400, 700016, "unauthorized_client", "Application with identifier '" + form("client_id") + "' was not found in the directory '" + tenant + "'."}
	}
	if refusal := m.checkClient(r, o); refusal != nil {
		return "", refusal
	}
	resource := form("resource")
	if v2 {
		resource, _, _ = strings.Cut(form("scope"), "/.default")
	}
	if !sameResource(resource, o.Resource) && !sameResource(resource, graphResource) {
		return "", &refused{400, 500011, "invalid_resource", "The resource principal named " + resource + " was not found in the tenant named " + tenant + "."}
	}
	return resource, nil
}

// checkClient refuses a client that does not show who it is.
func (m *Microsoft) checkClient(r *http.Request, o *Options) *refused {
	secret, assertion := r.PostForm.Get("client_secret"), r.PostForm.Get("client_assertion")
	switch {
	case assertion != "":
		return m.checkAssertion(r, o, assertion)
	case secret == "" && r.PostForm.Get("grant_type") == "refresh_token": // a public client has none
		return nil
	case secret == "":
		return &refused{401, 7000218, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}
	case secret != o.ClientSecret:
		return &refused{401, 7000215, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '" + o.ClientID + "'."}
	}
	if until := o.Token.SecretUntil; !until.IsZero() && !o.now().Before(until) {
		return refusalOf(7000222)
	}
	return nil
}

func sameResource(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

func randomGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newToken makes a token that looks like one and that nobody can guess, and says for how many seconds it lives.
func (m *Microsoft) newToken(o *Options, resource string, now time.Time) (text string, lifetime int) {
	roles := []string{"ReportingWebService.Read.All"}
	if sameResource(resource, graphResource) {
		roles = []string{"ExchangeMessageTrace.Read.All"}
	}
	if o.NoPermission || o.NoRole || o.Graph.NoPermission {
		roles = []string{}
	}
	claims, err := json.Marshal(map[string]any{"aud": resource, "tid": o.TenantID, "appid": o.ClientID, "roles": roles,
		"nbf": now.Unix(), "exp": now.Add(o.TokenLifetime).Unix()})
	if err != nil {
		panic(err) // a map of texts and numbers
	}
	signature := make([]byte, 64)
	_, _ = rand.Read(signature) // never fails
	encode := base64.RawURLEncoding.EncodeToString
	text = encode([]byte(`{"typ":"JWT","alg":"RS256"}`)) + "." + encode(claims) + "." + encode(signature)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[text] = grant{resource, now.Add(o.TokenLifetime)}
	m.counters.Tokens++
	return text, int(o.TokenLifetime.Seconds())
}

// What can be wrong with a bearer token.
const (
	tokenMissing  = "missing"
	tokenUnknown  = "unknown"
	tokenAudience = "audience"
	tokenExpired  = "expired"
)

// bearer looks at the token of a request for data; it returns what is wrong with it, or "".
func (m *Microsoft) bearer(r *http.Request, resource string, o *Options) string {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.checked++; o.RevokeEvery > 0 && m.checked%o.RevokeEvery == 0 {
		clear(m.tokens)
	}
	g, known := m.tokens[text]
	switch {
	case scheme == "":
		return tokenMissing
	case !known || !strings.EqualFold(scheme, "Bearer"):
		return tokenUnknown
	case !sameResource(g.resource, resource):
		return tokenAudience
	case !o.now().Before(g.expires):
		return tokenExpired
	}
	return ""
}

// RevokeTokens makes every token issued so far worthless.
func (m *Microsoft) RevokeTokens() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.tokens)
}

// Tokens lists every token that was issued and is not revoked, so that a test can look for them where they must not be.
func (m *Microsoft) Tokens() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.tokens))
}
