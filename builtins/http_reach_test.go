package builtins

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"starling/engine"
)

// loopback is where the servers of tests are.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// randomText is what compresses by no more than half.
func randomText(n int) string {
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(rand.N(256))
	}
	return hex.EncodeToString(b)
}

// TestBombsAreNotUnzipped: 64 MiB that come as 64 KiB end far below the limit on answers.
func TestBombsAreNotUnzipped(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		for range 64 {
			zip.Write(zeros)
		}
		zip.Close()
	})
	n.env.Limits.ResponseBytes = 1 << 30
	_, err := n.pullOnce(t, `base`, `return api.get("/").text`)
	wantError(t, err, engine.CodeTooLarge, "compressed bytes became more than", "no honest answer does that")
}

func TestScriptsReachOnlyWhatTheConfigurationAllows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		network      engine.Network
		want         string // empty: it loads
	}{
		{"a public host", `http.client("https://api.example.com")`, engine.Network{}, ""},
		{"a private address", `http.client("https://10.0.0.1/v1")`, engine.Network{}, "10.0.0.1 is a private address"},
		{"this machine", `http.client("http://localhost:1")`, engine.Network{}, "starling.network.private"},
		{"this machine, allowed", `http.client("http://localhost:1")`, engine.Network{Private: []string{"localhost"}}, ""},
		{"metadata", `http.client("https://169.254.169.254")`, engine.Network{}, "a link-local or metadata address"},
		{"in hosts", `http.client("https://api.example.com", hosts = ["https://[fd00:ec2::254]"])`, engine.Network{}, "fd00:ec2::254"},
		{"a token address", `oauth.client_credentials("https://10.0.0.1/token", client_id = "a", client_secret = config.secret("secret"), scope = "x")`, engine.Network{}, "token_url: 10.0.0.1"},
		{"not listed", `http.client("https://api.example.com")`, engine.Network{Hosts: []string{"other.example.com"}}, "starling.network.allow_hosts does not name api.example.com"},
		{"listed", `http.client("https://api.example.com")`, engine.Network{Hosts: []string{"*.example.com"}}, ""},
		{"a token address that is not listed", `oauth.client_credentials("https://login.example/token", client_id = "a", client_secret = config.secret("secret"), scope = "x")`,
			engine.Network{Hosts: []string{"api.example.com"}}, "does not name login.example"},
	} {
		n := bareNetTest(t)
		n.env.Network = &c.network
		_, err := n.tryLoad("x = " + c.script)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestAnswersDoNotChooseHosts: a client that is made while a pull runs could go where an answer says.
func TestAnswersDoNotChooseHosts(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"go": "https://evil.example"}`) })
	n.env.Network = &engine.Network{Prefixes: loopback}
	_, err := n.pullOnce(t, `base`, `return http.client(api.get("/")["go"]).get("/")`)
	if err == nil || !strings.Contains(err.Error(), "evil.example is named while the pull runs") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestRedirectsAndLinksToPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"https://169.254.169.254/latest/meta-data", "https://10.0.0.1/", "http://localhost:1/", "https://[::ffff:169.254.169.254]/", "https://0.0.0.0/"} {
		n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/link" {
				fmt.Fprintf(w, `{"next": %q}`, to)
				return
			}
			http.Redirect(w, r, to, http.StatusFound)
		})
		n.env.Network = &engine.Network{Prefixes: loopback}
		_, err := n.pullOnce(t, `base`, `return api.get("/")`)
		if err == nil || !strings.Contains(err.Error(), "redirect refused") {
			t.Errorf("%s: got %v, want a refusal", to, err)
		}
		_, err = n.pullOnce(t, `base`, `for page in api.pages("/link", next = "next"):`+"\n        pass")
		if err == nil || !strings.Contains(err.Error(), "leaves") {
			t.Errorf("%s: got %v, want a refusal of the link", to, err)
		}
	}
}

// TestListedHostsAreFollowedWithoutCredentials: what the configuration lists may be reached by a
// redirect, over https, and gets no key.
func TestListedHostsAreFollowedWithoutCredentials(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Host == "files.example.com":
			fmt.Fprintf(w, `{"key": %q}`, r.Header.Get("X-Api-Key"))
		case r.URL.Path == "/plain":
			http.Redirect(w, r, "http://files.example.com/a", http.StatusFound)
		case r.URL.Path == "/other":
			http.Redirect(w, r, "https://other.example.com/a", http.StatusFound)
		default:
			http.Redirect(w, r, "https://files.example.com/a", http.StatusFound)
		}
	})
	n.env.Network = &engine.Network{Hosts: []string{"api.example.com", "files.example.com"}}
	const client = `base, auth = http.api_key(config.secret("secret"))`
	v, err := n.pullOnce(t, client, `return api.get("/")["key"]`)
	wantValue(t, v, err, `""`)
	_, err = n.pullOnce(t, client, `return api.get("/plain")`)
	wantError(t, err, engine.CodeUpstream, "redirect refused", "leaves")
	_, err = n.pullOnce(t, client, `return api.get("/other")`)
	wantError(t, err, engine.CodeConfig, "redirect refused: starling.network.allow_hosts does not name other.example.com")
}

// TestRedirectsDoNotLeaveTLS: both are in the scope of the client, and still https does not lead to http.
func TestRedirectsDoNotLeaveTLS(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://localhost:1/a", http.StatusFound)
	})
	_, err := n.pullOnce(t, `base, hosts = ["http://localhost:1"]`, `return api.get("/")`)
	wantError(t, err, engine.CodeUpstream, "redirect refused: it leads from https to http")
}

// TestSecretsInBodiesAndQueriesStayAtTheOrigin: 307 and 308 send the body again, and a script can name
// another host of the scope.
func TestSecretsInBodiesAndQueriesStayAtTheOrigin(t *testing.T) {
	t.Parallel()
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	const script = `
secret = config.secret("secret")
api = http.client(base, hosts = [%q])
def pull():
    return api.%s
`
	for _, call := range []string{
		`post("/", form = {"secret": secret})`,
		`post("` + other.URL + `", form = {"secret": secret})`,
		`get("` + other.URL + `", params = {"secret": secret})`,
	} {
		_, err := n.load(t, fmt.Sprintf(script, other.URL, call)).pull(t.Context())
		if err == nil || !strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want a refusal", call, err)
		}
		n.noSecrets(t, err)
	}
	_, err := n.load(t, `
api = http.client("https://api.example.com", auth = oauth.client_credentials(base + "/token", client_id = "a", client_secret = config.secret("secret"), scope = "x"))
def pull():
    return api.get("/")
`).pull(t.Context())
	if err == nil || !strings.Contains(err.Error(), "redirect refused") {
		t.Errorf("a token: got %v, want a refusal", err)
	}
	if reached {
		t.Error("the other server was asked")
	}
}
