package builtins

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/engine"
)

// A rotator is a token endpoint that replaces the refresh token at each use.
type rotator struct {
	mu      sync.Mutex
	good    []string // those that it takes
	n       int
	used    []string
	same    bool // it replaces none
	refused string
}

func (r *rotator) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path != "/token" {
		return
	}
	req.ParseForm()
	r.mu.Lock()
	defer r.mu.Unlock()
	token := req.PostForm.Get("refresh_token")
	r.used = append(r.used, token)
	if !slices.Contains(r.good, token) || req.PostForm.Get("grant_type") != "refresh_token" || req.PostForm.Get("client_id") != "app" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error": %q, "error_description": %q}`, r.refused, "not good: "+token)
		return
	}
	r.n++
	if r.same {
		fmt.Fprintf(w, `{"access_token": "access-%d", "expires_in": 3600, "refresh_token": ""}`, r.n)
		return
	}
	fresh := fmt.Sprintf("refresh-token-number-%d", r.n)
	r.good = []string{fresh, token}
	fmt.Fprintf(w, `{"access_token": "access-%d", "expires_in": 3600, "refresh_token": %q}`, r.n, fresh)
}

func (r *rotator) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := r.used
	r.used = nil
	return used
}

const refreshScript = `
api = http.client(base, auth = oauth.refresh_token(base + "/token", client_id = "app", refresh_token = config.secret("refresh"), key = config.secret("key")%s), retry = http.retry(1, backoff = "1s"))
def pull():
    return api.get("/data").status
`

const refreshKey = "0123456789abcdef0123456789abcdef"

// restart forgets what is in memory only.
func (n *netTest) restart(t *testing.T) *testScript {
	n.env.Shared = &engine.Shared{}
	return n.load(t, fmt.Sprintf(refreshScript, ""))
}

func newRefreshTest(t *testing.T) (*netTest, *rotator) {
	r := &rotator{good: []string{"the-first-refresh-token"}, refused: "invalid_grant"}
	n := newBubbleTest(t, r.ServeHTTP)
	n.settings = map[string]any{"refresh": "the-first-refresh-token", "key": refreshKey}
	return n, r
}

func wantUsed(t *testing.T, r *rotator, want ...string) {
	t.Helper()
	if got := r.take(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestARotatedRefreshTokenIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, r := newRefreshTest(t)
		script := n.restart(t)
		for range 3 {
			v, err := script.pull(t.Context())
			wantValue(t, v, err, "200")
			time.Sleep(time.Hour)
		}
		wantUsed(t, r, "the-first-refresh-token", "refresh-token-number-1", "refresh-token-number-2")

		// A start goes on with the newest, and with the one before it when the newest is not taken.
		v, err := n.restart(t).pull(t.Context())
		wantValue(t, v, err, "200")
		wantUsed(t, r, "refresh-token-number-3")
		r.good = []string{"refresh-token-number-3"}
		v, err = n.restart(t).pull(t.Context())
		wantValue(t, v, err, "200")
		wantUsed(t, r, "refresh-token-number-4", "refresh-token-number-3")

		// What the operator set is the last resort, and a new one of the operator's begins anew.
		r.good = []string{"the-first-refresh-token"}
		v, err = n.restart(t).pull(t.Context())
		wantValue(t, v, err, "200")
		wantUsed(t, r, "refresh-token-number-5", "refresh-token-number-3", "the-first-refresh-token")
		r.good = []string{"the-second-refresh-token"}
		n.settings["refresh"] = "the-second-refresh-token"
		v, err = n.restart(t).pull(t.Context())
		wantValue(t, v, err, "200")
		wantUsed(t, r, "the-second-refresh-token")
		n.noSecrets(t, nil, "refresh-token-number-", "the-first-refresh-token", "access-1")
		cursors, err := n.env.Store.Cursors()
		if err != nil || len(cursors["kept"]) != 2 {
			t.Fatalf("got %v, %v", cursors, err)
		}
		for _, value := range cursors["kept"] {
			var sealed []byte
			if err := json.Unmarshal(value, &sealed); err != nil || strings.Contains(string(sealed), "refresh-token") {
				t.Errorf("readable on disk: %q, %v", sealed, err)
			}
		}
	})
}

func TestARefreshTokenThatStaysIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, r := newRefreshTest(t)
		r.same = true
		script := n.restart(t)
		for range 2 {
			v, err := script.pull(t.Context())
			wantValue(t, v, err, "200")
			time.Sleep(time.Hour)
		}
		wantUsed(t, r, "the-first-refresh-token", "the-first-refresh-token")
		if cursors, err := n.env.Store.Cursors(); err != nil || len(cursors) != 0 {
			t.Errorf("got %v, %v", cursors, err)
		}
	})
}

func TestRefreshTokensThatAreRefusedSayWhatToDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, r := newRefreshTest(t)
		v, err := n.restart(t).pull(t.Context())
		wantValue(t, v, err, "200")
		r.take()
		r.good = nil
		_, err = n.restart(t).pull(t.Context())
		wantError(t, err, engine.CodeAuth, "invalid_grant: not good: ****SANITIZED**** (sign in again, and set the refresh token that this gives)")
		wantUsed(t, r, "refresh-token-number-1", "the-first-refresh-token")

		// Only a token that is refused is a reason to try an older one.
		r.refused = "invalid_client"
		_, err = n.restart(t).pull(t.Context())
		wantError(t, err, engine.CodeAuth, "invalid_client")
		wantUsed(t, r, "refresh-token-number-1")

		n.settings["key"] = strings.Repeat("x", 40)
		_, err = n.restart(t).pull(t.Context())
		wantError(t, err, engine.CodeAuth, "the key does not fit", "put back the key")
		wantUsed(t, r)
		n.noSecrets(t, err, "refresh-token-number-1", "the-first-refresh-token")
		n.settings["key"] = "too short"
		if _, err := n.tryLoad(fmt.Sprintf(refreshScript, "")); err == nil || !strings.Contains(err.Error(), "shorter than 32 bytes") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAClientWithARefreshTokenProvesItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, r := newRefreshTest(t)
		var form url.Values
		n.serve(func(w http.ResponseWriter, req *http.Request) {
			r.ServeHTTP(w, req)
			if req.URL.Path == "/token" {
				form = req.PostForm
			}
		})
		v, err := n.load(t, fmt.Sprintf(refreshScript, `, client_secret = config.secret("secret"), scope = "s"`)).pull(t.Context())
		wantValue(t, v, err, "200")
		want := url.Values{"client_id": {"app"}, "client_secret": {testSecret}, "grant_type": {"refresh_token"}, "refresh_token": {"the-first-refresh-token"}, "scope": {"s"}}
		if form.Encode() != want.Encode() {
			t.Errorf("got %v, want %v", form, want)
		}
	})
}

// While the disk takes nothing, the newest refresh token is used from memory, and kept as soon as that works.
func TestARefreshTokenThatCannotBeKeptIsKeptLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, r := newRefreshTest(t)
		good := n.env.Store
		bad, err := engine.OpenStore("", n.env.Limits.OutboxBytes)
		if err != nil {
			t.Fatal(err)
		}
		n.env.Store = bad
		script := n.restart(t)
		v, err := script.pull(t.Context())
		wantValue(t, v, err, "200")
		bad.Close()
		for range 2 {
			time.Sleep(time.Hour)
			v, err = script.pull(t.Context())
			wantValue(t, v, err, "200")
		}
		wantUsed(t, r, "the-first-refresh-token", "refresh-token-number-1", "refresh-token-number-2")
		if !strings.Contains(n.log.String(), "is not kept on disk yet") {
			t.Errorf("nothing of it in the log:\n%s", n.log)
		}
		n.env.Store = good
		r.good = nil // the answer that replaces it never comes
		time.Sleep(time.Hour)
		script.pull(t.Context())
		r.take()
		r.good = []string{"refresh-token-number-3"}
		v, err = n.restart(t).pull(t.Context())
		wantValue(t, v, err, "200")
		wantUsed(t, r, "refresh-token-number-3")
		n.noSecrets(t, nil, "refresh-token-number-")
	})
}
