package builtins

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"starling/engine"
)

const signing = `
key = config.secret("secret")
def sign(request):
    date = request.time.format("%a, %d %b %Y %H:%M:%S -0000")
    text = "\n".join([date, request.method, request.host, request.path] + ["%s=%s" % pair for pair in sorted(request.params)] + [str(request.body)])
    return {"Date": date, "X-Signature": hash.hmac_sha256(key, text)}
api = http.client(base + "/v1", auth = http.signed(sign))
`

// signedBy reports whether a request is signed as the script above does it, within five minutes of now.
func signedBy(r *http.Request, pairs, body string, now time.Time) bool {
	date, err := time.Parse("Mon, 02 Jan 2006 15:04:05 -0700", r.Header.Get("Date"))
	if err != nil || now.Sub(date).Abs() > 5*time.Minute {
		return false
	}
	h := hmac.New(sha256.New, []byte(testSecret))
	fmt.Fprintf(h, "%s\n%s\n%s\n%s\n%s%s", r.Header.Get("Date"), r.Method, r.Host, r.URL.EscapedPath(), pairs, body)
	return hmac.Equal([]byte(r.Header.Get("X-Signature")), []byte(hex.EncodeToString(h.Sum(nil))))
}

func TestEveryPageIsSignedByItself(t *testing.T) {
	t.Parallel()
	var pages []string
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		want := "a=x y\n"
		if next := r.URL.Query().Get("next"); next != "" {
			want += "next=" + next + "\n"
		}
		if !signedBy(r, want, "", time.Now()) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		pages = append(pages, r.URL.Query().Get("next"))
		if len(pages) < 3 {
			fmt.Fprintf(w, `{"next": "%d/%d"}`, len(pages), len(pages))
			return
		}
		fmt.Fprint(w, `{}`)
	})
	_, err := n.load(t, signing+`
def pull():
    for page in api.pages("/a%20b/items", params = {"a": "x y"}, next = http.cursor("next", "next")):
        pass
`).pull(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(pages, " "); got != " 1/1 2/2" {
		t.Errorf("got pages %q", got)
	}
	n.noSecrets(t, err)
}

func TestWhatIsSentAgainIsSignedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		n := newBubbleTest(t, func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, r.Header.Get("X-Signature"))
			switch {
			case !signedBy(r, "", "q", time.Now()):
				w.WriteHeader(http.StatusUnauthorized)
			case len(seen) < 3:
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprintf(w, "you sent %s", r.Header.Get("X-Signature"))
			default:
				fmt.Fprint(w, `{}`)
			}
		})
		_, err := n.load(t, signing+"def pull():\n    api.post('/q', body = 'q')\n").pull(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n.noSecrets(t, nil, seen...)
		if r := n.env.Redactor; r.Redact(seen[0]) != seen[0] {
			t.Error("the redactor keeps signatures of requests that are long over")
		}
	})
}

func TestSignaturesThatAreWrong(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a signature") })
	for function, want := range map[string]string{
		`lambda request: 1`:                        "got int, want a dict",
		`lambda request: {"X": "a" + chr(10)}`:     "line break",
		`lambda request: fail("no key for", "it")`: "no key for it",
	} {
		_, err := n.pullOnce(t, `base, auth = http.signed(`+function+`)`, `api.get("/")`)
		wantError(t, err, engine.CodeScript, want)
	}
	if _, err := n.tryLoad(`http.client(base, auth = http.signed("key"))`); err == nil || !strings.Contains(err.Error(), "want callable") {
		t.Errorf("got %v", err)
	}
}

func TestAnotherHostGetsNoSignature(t *testing.T) {
	t.Parallel()
	var leaked atomic.Bool
	other := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(r.Header.Get("X-Signature") != "")
		fmt.Fprint(w, `{}`)
	})
	n := newNetTest(t, nil)
	source := strings.Replace(signing, `http.signed(sign))`, `http.signed(sign), hosts = ["`+other.base+`"])`, 1)
	if _, err := n.load(t, source+`def pull():
    api.get("`+other.base+`/x")
`).pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	if leaked.Load() || len(other.requests()) != 1 {
		t.Errorf("asked %v, signature leaked: %v", other.requests(), leaked.Load())
	}
}

func TestAKeyWithAScheme(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"got": %q}`, r.Header.Get("Authorization"))
	})
	v, err := n.pullOnce(t, `base, auth = http.api_key(config.secret("secret"), header = "Authorization", prefix = "SSWS ")`, `return api.get("/")["got"]`)
	wantValue(t, v, err, `"SSWS `+testSecret+`"`)
	n.noSecrets(t, err)
}
