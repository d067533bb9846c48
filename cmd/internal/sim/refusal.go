package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// refused is an error of the token endpoint.
type refused struct {
	status int
	code   int // AADSTS number
	name   string
	text   string
}

// Refusals lists the AADSTS numbers that Token.Refuse can choose.
func Refusals() (codes []int) {
	for _, r := range refusals {
		codes = append(codes, r.code)
	}
	return codes
}

// refusalOf returns one of the listed errors.
func refusalOf(code int) *refused {
	for _, r := range refusals {
		if r.code == code {
			return &r
		}
	}
	panic(fmt.Sprintf("no refusal is listed for AADSTS%d", code))
}

var refusals = [...]refused{
	// Those that pass.
	{503, 90006, "temporarily_unavailable", "An external server returned a retryable error."},
	{503, 90012, "temporarily_unavailable", "The request has timed out."},
	{503, 90024, "temporarily_unavailable", "RequestBudgetExceededError: A transient error has occurred. Please try again."},
	{503, 90033, "temporarily_unavailable", "A transient error has occurred. Please try again."},
	{429, 90055, "temporarily_unavailable", "TenantThrottlingError: There are too many incoming requests."},
	{503, 90090, "temporarily_unavailable", "GraphRetryableError: The service is temporarily unavailable."},
	{503, 90091, "temporarily_unavailable", "GraphServiceUnavailable."},
	{500, 50000, "server_error", "There was an error issuing a token."},
	// Those that need a person.
	{401, 7000215, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID."},
	{401, 7000222, "invalid_client", "The provided client secret keys for app are expired. Visit the Azure portal to create new keys for your app."},
	{400, 700016, "unauthorized_client", "Application with identifier was not found in the directory. This can happen if the application has not been installed by the administrator of the tenant."},
	{400, 90002, "invalid_request", "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."},
	{400, 500011, "invalid_resource", "The resource principal was not found in the tenant."},
	{401, 700027, "invalid_client", "The certificate with identifier used to sign the client assertion is not registered on application."},
	{401, 700024, "invalid_client", "Client assertion is not within its valid time range."},
	{401, 7000112, "unauthorized_client", "Application is disabled."},
	{401, 7000218, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."},
	{400, 70011, "invalid_scope", "The provided value for the input parameter 'scope' is not valid."},
	{400, 700022, "invalid_scope", "The provided value for the input parameter scope is not valid because it contains more than one resource."},
	{400, 901002, "invalid_request", "The 'resource' request parameter is not supported."},
	{400, 65001, "invalid_grant", "The user or administrator has not consented to use the application. Send an interactive authorization request for this user and resource."},
	{400, 650052, "invalid_client", "The app is trying to access a service that your organization lacks a service principal for."},
	{400, 650057, "invalid_resource", "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions."},
	{400, 53003, "invalid_grant", "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."},
	{400, 90038, "invalid_request", "NationalCloudTenantRedirection: the specified tenant belongs to a national cloud. The current cloud instance does not federate with it."},
	{400, 900382, "invalid_request", "Confidential Client is not supported in Cross Cloud request."},
	{400, 900432, "invalid_request", "Confidential Client is not supported in Cross Cloud request."},
	{400, 700082, "invalid_grant", "The refresh token has expired due to inactivity."},
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

// The paths of managed identities, of a virtual machine and of an App Service.
const (
	identityPath   = "/metadata/identity/oauth2/token"
	appServicePath = "/msi/token"
)

// Identity is a managed identity.
type Identity struct {
	ClientID string // the only one that may be asked for; "" takes any
	Header   string // value of X-IDENTITY-HEADER that the App Service wants
	Fail     []int  // statuses of the first answers, in turn
}

// identity answers a request for the token of a managed identity. Numbers are strings.
func (m *Microsoft) identity(w http.ResponseWriter, r *http.Request, o *Options, appService bool) {
	noteOf(r).API = classIdentity
	m.mu.Lock()
	asked := m.issue.identity
	m.issue.identity++
	m.mu.Unlock()
	refuse := func(status int, name, text string) {
		m.count(func(c *Counters) { c.TokenErrors++ })
		jsonReply(status, map[string]any{"error": name, "error_description": text}).send(w, r, "")
	}
	resource := r.URL.Query().Get("resource")
	client := r.URL.Query().Get("client_id")
	switch {
	case asked < len(o.Token.Identity.Fail):
		refuse(o.Token.Identity.Fail[asked], "server_error", http.StatusText(o.Token.Identity.Fail[asked]))
		return
	case !appService && r.Header.Get("Metadata") != "true":
		refuse(http.StatusBadRequest, "invalid_request", "Required metadata header not specified")
		return
	case appService && (o.Token.Identity.Header == "" || r.Header.Get("X-IDENTITY-HEADER") != o.Token.Identity.Header):
		refuse(http.StatusUnauthorized, "unauthorized", "The identity header is wrong")
		return
	case r.URL.Query().Get("api-version") == "" || resource == "":
		refuse(http.StatusBadRequest, "invalid_request", "api-version and resource are required")
		return
	case client != "" && o.Token.Identity.ClientID != "" && client != o.Token.Identity.ClientID:
		refuse(http.StatusBadRequest, "invalid_request", "Identity not found")
		return
	}
	now := o.now()
	text, lifetime := m.newToken(o, resource, now)
	body := map[string]any{"access_token": text, "expires_on": strconv.FormatInt(now.Unix()+int64(lifetime), 10), "resource": resource, "token_type": "Bearer"}
	if !appService {
		body["refresh_token"], body["expires_in"], body["not_before"] = "", strconv.Itoa(lifetime), strconv.FormatInt(now.Unix(), 10)
	}
	jsonReply(http.StatusOK, body).send(w, r, "")
}
