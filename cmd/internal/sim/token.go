package sim

import (
	"crypto/rand"
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

// refused is an error of the token endpoint.
type refused struct {
	status int
	code   int // AADSTS number
	name   string
	text   string
}

// token answers POST /{tenant}/oauth2/token (v1) and /{tenant}/oauth2/v2.0/token.
func (m *Microsoft) token(w http.ResponseWriter, r *http.Request, o *Options, tenant string, v2 bool) {
	switch fault := m.fault(&m.tokenFaults, o.TokenFaults); fault {
	case "":
		m.grant(r, o, tenant, v2).send(w, "")
	case ServerError, Unavailable, WebPage:
		m.broken(fault, light, o).send(w, "")
	default:
		m.grant(r, o, tenant, v2).send(w, fault)
	}
}

func (m *Microsoft) grant(r *http.Request, o *Options, tenant string, v2 bool) *reply {
	now := o.Now()
	resource, refusal := checkTokenRequest(r, o, tenant, v2)
	if refusal != nil {
		m.count(func(c *Counters) { c.TokenErrors++ })
		return refusal.reply(now)
	}
	text := o.newToken(resource, now)
	m.mu.Lock()
	m.tokens[text] = grant{resource, now.Add(o.TokenLifetime)}
	m.counters.Tokens++
	m.mu.Unlock()

	lifetime := int(o.TokenLifetime.Seconds())
	body := map[string]any{"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": text}
	if !v2 { // version 1 writes numbers as strings
		body["expires_in"], body["ext_expires_in"] = strconv.Itoa(lifetime), strconv.Itoa(lifetime)
		body["expires_on"] = strconv.FormatInt(now.Unix()+int64(lifetime), 10)
		body["not_before"] = strconv.FormatInt(now.Unix(), 10)
		body["resource"] = resource
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
func checkTokenRequest(r *http.Request, o *Options, tenant string, v2 bool) (string, *refused) {
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
	case form("grant_type") != "client_credentials":
		return "", &refused{400, 70003, "unsupported_grant_type", "The app requested an unsupported grant type '" + form("grant_type") + "'."}
	case form("client_id") == "":
		return "", missing("client_id")
	case v2 && form("resource") != "":
		return "", &refused{400, 901002, "invalid_request", "The 'resource' request parameter is not supported."}
	case v2 && form("scope") == "":
		return "", missing("scope")
	case !v2 && form("resource") == "":
		return "", missing("resource")
	case v2 && !strings.HasSuffix(form("scope"), "/.default"):
		return "", &refused{400, 70011, "invalid_scope", "The provided value for the input parameter 'scope' is not valid. The scope " + form("scope") + " is not valid."}
	case form("client_id") != o.ClientID:
		return "", &refused{400, 700016, "unauthorized_client", "Application with identifier '" + form("client_id") + "' was not found in the directory '" + tenant + "'."}
	case form("client_secret") == "":
		return "", &refused{401, 7000218, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}
	case form("client_secret") != o.ClientSecret:
		return "", &refused{401, 7000215, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '" + o.ClientID + "'."}
	}
	resource := form("resource")
	if v2 {
		resource = strings.TrimSuffix(form("scope"), "/.default")
	}
	if !sameResource(resource, o.Resource) && !sameResource(resource, graphResource) {
		return "", &refused{400, 500011, "invalid_resource", "The resource principal named " + resource + " was not found in the tenant named " + tenant + "."}
	}
	return resource, nil
}

func sameResource(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

func (e *refused) reply(now time.Time) *reply {
	stamp := now.UTC().Format("2006-01-02 15:04:05Z")
	trace, correlation := randomGUID(), randomGUID()
	return jsonReply(e.status, map[string]any{
		"error": e.name,
		"error_description": fmt.Sprintf("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s",
			e.code, e.text, trace, correlation, stamp),
		"error_codes": []int{e.code}, "timestamp": stamp, "trace_id": trace, "correlation_id": correlation,
		"error_uri": "https://login.microsoftonline.com/error?code=" + strconv.Itoa(e.code),
	})
}

func randomGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newToken makes a token that looks like one and that nobody can guess.
func (o *Options) newToken(resource string, now time.Time) string {
	roles := []string{"ReportingWebService.Read.All"}
	if o.NoRole {
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
	return encode([]byte(`{"typ":"JWT","alg":"RS256"}`)) + "." + encode(claims) + "." + encode(signature)
}

// authorized reports whether the request carries a living token for the report.
func (m *Microsoft) authorized(r *http.Request, o *Options) bool {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	m.mu.Lock()
	defer m.mu.Unlock()
	g, known := m.tokens[text]
	return known && strings.EqualFold(scheme, "Bearer") && o.Now().Before(g.expires) && sameResource(g.resource, o.Resource)
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
