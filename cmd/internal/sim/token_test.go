package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	v1 = "/oauth2/token"
	v2 = "/oauth2/v2.0/token"
)

func TestTokenAnswersHaveTheShapeOfDocumentedOnes(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{})
	for endpoint, name := range map[string]string{v1: "entra-docs/token_v1_success_strings.json", v2: "entra-docs/token_v2_success_ints.json"} {
		status, body := c.post(endpoint, nil)
		_, got := outline(t, body)
		_, want := outline(t, fixture(t, name))
		if status != 200 {
			t.Errorf("%s: got %d %s", endpoint, status, body)
		}
		for path, kinds := range want {
			if fmt.Sprint(got[path]) != fmt.Sprint(kinds) {
				t.Errorf("%s: %s: got %v, want %v", endpoint, path, got[path], kinds)
			}
		}
	}
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{})
	for _, test := range []struct {
		name, endpoint string
		change         map[string]string
		status, code   int
		error          string
	}{
		{"wrong secret", v1, map[string]string{"client_secret": "wrong"}, 401, 7000215, "invalid_client"},
		{"no secret", v2, map[string]string{"client_secret": ""}, 401, 7000218, "invalid_client"},
		{"unknown client", v1, map[string]string{"client_id": "other"}, 400, 700016, "unauthorized_client"},
		{"unknown tenant", v2, map[string]string{"tenant": "other"}, 400, 90002, "invalid_request"},
		{"resource sent to v2", v2, map[string]string{"resource": "https://outlook.office365.com"}, 400, 901002, "invalid_request"},
		{"no scope", v2, map[string]string{"scope": ""}, 400, 900144, "invalid_request"},
		{"no resource", v1, map[string]string{"resource": ""}, 400, 900144, "invalid_request"},
		{"scope of a person", v2, map[string]string{"scope": "https://outlook.office365.com/Mail.Read"}, 400, 70011, "invalid_scope"},
		{"unknown resource", v1, map[string]string{"resource": "https://example.com"}, 400, 500011, "invalid_resource"},
		{"password grant", v1, map[string]string{"grant_type": "password"}, 400, 70003, "unsupported_grant_type"},
	} {
		status, body := c.post(test.endpoint, test.change)
		var got struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
			Codes       []int  `json:"error_codes"`
			TraceID     string `json:"trace_id"`
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		start := fmt.Sprintf("AADSTS%d: ", test.code)
		if status != test.status || got.Error != test.error || len(got.Codes) != 1 || got.Codes[0] != test.code || !strings.HasPrefix(got.Description, start) {
			t.Errorf("%s: got %d %s", test.name, status, body)
		}
		if !regexp.MustCompile(`\r\nTrace ID: ` + got.TraceID + `\r\nCorrelation ID: [0-9a-f-]{36}\r\nTimestamp: 2026-11-20 12:00:00Z$`).MatchString(got.Description) {
			t.Errorf("%s: got the description %q", test.name, got.Description)
		}
		for path, kinds := range second(outline(t, fixture(t, "entra-docs/token_error_400.json"))) {
			if have := second(outline(t, body))[path]; fmt.Sprint(have) != fmt.Sprint(kinds) {
				t.Errorf("%s: %s: got %v, want %v", test.name, path, have, kinds)
			}
		}
	}
	if got := c.sim.Counters(); got.TokenErrors != 10 || got.Tokens != 1 {
		t.Errorf("got %+v", got)
	}
}

func second[A, B any](_ A, b B) B { return b }

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	clock := now
	c := newClient(t, Options{Rows: hour(), TokenLifetime: time.Minute, Now: func() time.Time { return clock }})
	want := func(status int) {
		t.Helper()
		if response, _ := c.get(c.report("")); response.StatusCode != status {
			t.Errorf("got %d, want %d", response.StatusCode, status)
		}
	}
	want(200)
	clock = clock.Add(time.Minute - 1)
	want(200)
	clock = clock.Add(1)
	want(401) // expired
	old := c.token
	c.token = c.signIn()
	want(200)
	c.sim.RevokeTokens()
	want(401)
	c.token = c.signIn()
	want(200)
	if c.token == old {
		t.Error("two tokens are the same")
	}
	c.sim.Change(func(o *Options) { o.ClientSecret = "rotated" })
	want(200) // a secret that changes does not end tokens
	if status, _ := c.post(v1, map[string]string{"client_secret": "stale"}); status != 401 {
		t.Errorf("stale secret: got %d", status)
	}
}

func TestTokenForAnotherAudienceIsRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	for _, test := range []struct {
		scope  string
		status int
	}{
		{"https://graph.microsoft.com/.default", 401},
		{"https://outlook.office365.com/.default", 200},
		{"https://outlook.office365.com//.default", 200}, // as Microsoft's manual has it for resources that end in a slash
	} {
		_, body := c.post(v2, map[string]string{"scope": test.scope})
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		c.token = answer.Token
		if response, _ := c.get(c.report("")); response.StatusCode != test.status {
			t.Errorf("%s: got %d, want %d", test.scope, response.StatusCode, test.status)
		}
	}
}

func TestTokenEndpointWantsPost(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{})
	response, body := c.get(c.base + "/" + c.sim.Options().TenantID + v1)
	if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "AADSTS900561") {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
}

func TestSecretExpires(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Token: Token{SecretUntil: now.Add(time.Hour)}})
	c.sim.Change(func(o *Options) { o.Skew = time.Hour - time.Second })
	if status, body := c.post(v2, nil); status != 200 {
		t.Errorf("a second before: got %d %s", status, body)
	}
	c.sim.Change(func(o *Options) { o.Skew = time.Hour })
	if status, body := c.post(v2, nil); status != 401 || !strings.Contains(string(body), "AADSTS7000222: ") {
		t.Errorf("then: got %d %s", status, body)
	}
	if status, body := c.post(v2, map[string]string{"client_secret": "wrong"}); status != 401 || !strings.Contains(string(body), "AADSTS7000215: ") {
		t.Errorf("with a wrong one: got %d %s", status, body)
	}
}
