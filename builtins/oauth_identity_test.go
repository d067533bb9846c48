package builtins

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/engine"
)

const identityScript = `
api = http.client(base, auth = oauth.managed_identity("https://graph.example"%s), retry = http.retry(1, backoff = "1s"))
def pull():
    return api.get("/data").status
`

// newIdentityTest has a platform that gives tokens to this machine, apart from the network of scripts.
func newIdentityTest(t *testing.T, platform http.HandlerFunc) *netTest {
	n := newBubbleTest(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ0eXAi") || r.Header.Get("Metadata") != "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	n.env.Network = &engine.Network{Hosts: []string{"api.example.com"}}
	n.env.Identity.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		platform(w, r)
		resp := w.Result()
		resp.Request = r
		return resp, r.Context().Err()
	})
	return n
}

func imdsAnswer(t *testing.T) string {
	text, err := os.ReadFile("../scripts/testdata/microsoft/synthetic/imds_success_strings.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAVirtualMachineSignsIn(t *testing.T) {
	t.Parallel()
	answer := imdsAnswer(t)
	for args, want := range map[string]string{
		``:                        "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.example",
		`, client_id = "user id"`: "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.example&client_id=user%20id",
	} {
		asked := 0
		n := newIdentityTest(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			if r.Method != "GET" || r.URL.String() != want || r.Header.Get("Metadata") != "true" || r.Header.Get("X-Identity-Header") != "" {
				t.Errorf("got %s %s %v, want %s", r.Method, r.URL, r.Header, want)
			}
			io.WriteString(w, answer)
		})
		synctest.Test(t, func(t *testing.T) {
			script := n.load(t, fmt.Sprintf(identityScript, args))
			for range 2 {
				v, err := script.pull(t.Context())
				wantValue(t, v, err, "200")
			}
			if asked != 1 {
				t.Errorf("asked %d times for a token that lasts an hour", asked)
			}
		})
		n.noSecrets(t, nil, "eyJ0eXAi...")
	}
}

func TestAnAppServiceSignsIn(t *testing.T) {
	t.Parallel()
	const secret = "a-header-that-must-not-show"
	n := newIdentityTest(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "http://127.0.0.1:41741/msi/token/?api-version=2019-08-01&resource=https://graph.example" || r.Header.Get("X-Identity-Header") != secret || r.Header.Get("Metadata") != "" {
			t.Errorf("got %s %v", r.URL, r.Header)
		}
		fmt.Fprintf(w, `{"access_token": "eyJ0eXAi", "expires_on": "%d", "resource": "https://graph.example", "token_type": "Bearer"}`, time.Now().Add(time.Hour).Unix())
	})
	n.env.Identity.Endpoint, n.env.Identity.Header = "http://127.0.0.1:41741/msi/token/", engine.NewSecret(secret)
	synctest.Test(t, func(t *testing.T) {
		v, err := n.load(t, fmt.Sprintf(identityScript, "")).pull(t.Context())
		wantValue(t, v, err, "200")
		n.noSecrets(t, nil, secret)
		n.env.Identity.Header, n.env.Shared = engine.Secret{}, &engine.Shared{}
		_, err = n.load(t, fmt.Sprintf(identityScript, "")).pull(t.Context())
		wantError(t, err, engine.CodeConfig, "Azure Arc", "use another way to sign in")
		n.env.Identity.Header, n.env.Identity.Endpoint = engine.NewSecret(secret), "elsewhere"
		_, err = n.load(t, fmt.Sprintf(identityScript, "")).pull(t.Context())
		wantError(t, err, engine.CodeConfig, "IDENTITY_ENDPOINT of the environment is not the URL")
	})
}

func TestAMetadataServiceIsWaitedForAsAzureAsks(t *testing.T) {
	t.Parallel()
	answer := imdsAnswer(t)
	for _, c := range []struct {
		status int
		takes  time.Duration // until it works
		code   engine.Code   // "" if it works in the end
		want   string
		asked  int // 0: more than once
	}{
		{404, 20 * time.Second, "", "", 0},
		{410, 69 * time.Second, "", "", 0},
		{429, 20 * time.Second, "", "", 0},
		{500, 20 * time.Second, "", "", 0},
		{503, 20 * time.Second, "", "", 0},
		{404, time.Hour, engine.CodeUpstream, "404 Not Found: slow", 0},
		{400, 20 * time.Second, engine.CodeAuth, "assign an identity to this machine", 1},
		{403, 20 * time.Second, engine.CodeAuth, "assign an identity to this machine", 1},
		{0, 20 * time.Second, "", "", 0},
		{0, time.Hour, engine.CodeUpstream, "a managed identity is for machines of Azure", 0},
	} {
		var began, last time.Time
		asked := 0
		n := newIdentityTest(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			if !last.IsZero() && time.Since(last) < time.Second {
				t.Errorf("%d: asked again after %v", c.status, time.Since(last))
			}
			last = time.Now()
			switch {
			case time.Since(began) >= c.takes:
				io.WriteString(w, answer)
			case c.status == 0:
				<-r.Context().Done()
			default:
				w.WriteHeader(c.status)
				io.WriteString(w, `{"error": "slow"}`)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			began = time.Now()
			_, err := n.load(t, fmt.Sprintf(identityScript, "")).pull(t.Context())
			if c.code == "" && err != nil {
				t.Errorf("%d for %v: %v after %v", c.status, c.takes, err, time.Since(began))
			} else if c.code != "" {
				wantError(t, err, c.code, c.want)
			}
			if (c.asked > 0 && asked != c.asked) || (c.asked == 0 && asked < 2) {
				t.Errorf("%d: asked %d times", c.status, asked)
			}
			if took := time.Since(began); took > 5*time.Minute {
				t.Errorf("%d: took %v", c.status, took)
			}
		})
	}
}

// Scripts themselves reach no metadata service, whatever address they name.
func TestScriptsReachNoMetadataService(t *testing.T) {
	t.Parallel()
	n := newIdentityTest(t, func(w http.ResponseWriter, r *http.Request) { t.Error("asked") })
	n.env.Network = &engine.Network{}
	for _, script := range []string{
		`http.client("https://169.254.169.254")`,
		`oauth.client_credentials("https://169.254.169.254/token", client_id = "c", client_secret = config.secret("secret"), scope = "s")`,
	} {
		_, err := n.tryLoad("x = " + script)
		if err == nil || !strings.Contains(err.Error(), "a link-local or metadata address") {
			t.Errorf("%s: got %v", script, err)
		}
	}
}
