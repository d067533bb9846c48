package builtins

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

func TestGetReadsAnAnswer(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Page", "1")
		fmt.Fprintf(w, `{"ua": %q, "accept": %q, "h": %q}`, r.UserAgent(), r.Header.Get("Accept"), r.Header.Get("X-Own"))
	})
	v, err := n.pullOnce(t, `base + "/v1/"`, `
r = api.get("/items", params = {"b": 1, "a": [True, "x y"], "$filter": "d eq datetime'2026-01-01T00:00:00Z' and s eq 'a+b&c'", "none": None}, headers = {"X-Own": "mine"})
return [r.status, r.headers["x-page"], r.headers.get("nope", "-"), "ua" in r, r["h"], r.json()["accept"], r["ua"][:9], r.text[:5]]`)
	wantValue(t, v, err, `[200, "1", "-", True, "mine", "application/json", "starling/", "{\"ua\""]`)
	want := "GET /v1/items?b=1&a=true&a=x%20y&$filter=d%20eq%20datetime'2026-01-01T00:00:00Z'%20and%20s%20eq%20'a%2Bb%26c'"
	if got := n.requests()[0]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if spans := n.spans.String(); !strings.Contains(spans, "request ") || !strings.Contains(spans, "http.response.status_code=200") {
		t.Errorf("got spans %q", spans)
	}
}

func TestPostSendsItsBody(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"got": %q}`, r.Header.Get("Content-Type")+" "+string(body))
	})
	for call, want := range map[string]string{
		`json = {"b": [1, None], "a": "ü"}`:                            `application/json {"b":[1,null],"a":"ü"}`,
		`form = {"q": "a b&c", "n": 2}`:                                `application/x-www-form-urlencoded q=a+b%26c&n=2`,
		`body = "<x/>", headers = {"Content-Type": "application/xml"}`: `application/xml <x/>`,
		`params = {"a": "b"}`:                                          ` `,
		`form = {"k": config_secret}`:                                  `application/x-www-form-urlencoded k=s3cr3t-value%2Bwith%2Fodd%3Dchars`,
	} {
		s := n.load(t, "api = http.client(base)\nconfig_secret = config.secret('secret')\ndef pull():\n    return api.post('/', "+call+")['got']")
		v, err := s.pull(t.Context())
		wantValue(t, v, err, starlark.String(want).String())
	}
	if _, err := n.pullOnce(t, `base`, `return api.post("/", json = 1, body = "x")`); err == nil || !strings.Contains(err.Error(), "one of them") {
		t.Errorf("two bodies: got %v", err)
	}
}

func TestClientIsUsedInPullsOnly(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(http.ResponseWriter, *http.Request) {})
	for _, call := range []string{`get("/")`, `post("/")`, `pages("/", next = "n")`} {
		_, err := n.tryLoad(`http.client(base).` + call)
		if err == nil || !strings.Contains(err.Error(), "while a pull runs") {
			t.Errorf("%s: got %v", call, err)
		}
	}
	if len(n.requests()) != 0 {
		t.Errorf("got requests %v", n.requests())
	}
}

func TestMistakesInClientsAreFoundAtLoad(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`http.client("http://api.example.com")`:                    "https",
		`http.client("https://api.example.com?x=1")`:               "query",
		`http.client("https://h", auth = "token")`:                 "auth: got string, want http.basic",
		`http.client("https://h", retry = 3)`:                      "want http.retry",
		`http.client("https://h", rate = 3)`:                       "want http.rate",
		`http.client("https://h", timeout = "0s")`:                 "above zero",
		`http.client("https://h", timeout = "soon")`:               "timeout",
		`http.client("https://h", headers = {"A": "b\nc"})`:        "line break",
		`http.client("https://h", headers = {"A b": "c"})`:         "not a name",
		`http.client("https://h", hosts = ["https://other/path"])`: "without a path",
		`http.client("https://h", "auth")`:                         "name the others",
		`http.retry(-1)`:                                           "0 to 100",
		`http.retry(statuses = ["500"])`:                           "HTTP statuses",
		`http.rate(0)`:                                             "n: got 0",
		`http.basic("u", "plain")`:                                 "want a secret",
		`http.bearer("plain")`:                                     "want a secret",
		`http.api_key("plain")`:                                    "want a secret",
		`http.offset("skip", 0)`:                                   "size",
		`oauth.client_credentials("https://l/t", client_id = "c", client_secret = "plain", scope = "s")`: "want a secret",
	} {
		_, err := bareNetTest(t).tryLoad(expr)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", expr, err, want)
		}
	}
}

func TestCredentialsAreSentAndNeverShown(t *testing.T) {
	t.Parallel()
	for auth, want := range map[string]string{
		`http.basic("user", secret)`:                   "Basic dXNlcjpzM2NyM3QtdmFsdWUrd2l0aC9vZGQ9Y2hhcnM=",
		`http.bearer(secret)`:                          "Bearer " + testSecret,
		`http.api_key(secret)`:                         testSecret,
		`http.api_key(secret, header = "X-Functions")`: testSecret,
	} {
		n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
			got := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key") + r.Header.Get("X-Functions")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"error": {"code": "denied", "message": %q}}`, "you sent "+got+" to "+strings.Split(r.URL.String(), "&")[0])
		})
		s := n.load(t, `
secret = config.secret("secret")
api = http.client(base, auth = `+auth+`)
def pull():
    return api.get("/", params = {"page": secret, "sig": "abcdefgh", "x": 1})
`)
		_, err := s.pull(t.Context())
		wantError(t, err, engine.CodeAuth, "GET "+n.base+"/?page=****SANITIZED****&sig=****SANITIZED****&x=1: 403 Forbidden", "denied: you sent", "lack a permission")
		n.noSecrets(t, err, "dXNlcjpz", "s3cr3t-value%2B", "sig=abcdefgh")
		if got := n.seen[0].Header.Get("Authorization") + n.seen[0].Header.Get("X-Api-Key") + n.seen[0].Header.Get("X-Functions"); got != want {
			t.Errorf("%s sent %q, want %q", auth, got, want)
		}
	}
}

func TestStatusesInOKAreAnswers(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "gone", http.StatusNotFound) })
	v, err := n.pullOnce(t, `base`, `return api.get("/x", ok = [404]).status`)
	wantValue(t, v, err, "404")
	_, err = n.pullOnce(t, `base`, `return api.get("/x")`)
	wantError(t, err, engine.CodeUpstream, "404 Not Found: gone")
	if got := len(n.requests()); got != 2 {
		t.Errorf("got %d requests, want 2: a 404 is not sent again", got)
	}
}

func TestMessagesOfErrorsAreFound(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"odata.error":{"code":"","message":{"lang":"en-US","value":"Incorrect format"}}}`:      "400 Bad Request: Incorrect format",
		`{"error":{"code":"BadRequest","message":"ResultSize is invalid","innerError":{}}}`:      "400 Bad Request: BadRequest: ResultSize is invalid",
		`{"ErrorCode":"","Message":"No permission to access the report for the organization ."}`: "No permission to access the report for the organization .",
		`{"error":"invalid_request","error_description":"two\r\nlines"}`:                         "invalid_request: two lines",
		`{"errors":[{"detail":"first"}]}`:                                                        "first",
		"<html><head><title>401 - Unauthorized:\n &lt;denied&gt;</title></head><body>x</body>":   "400 Bad Request: 401 - Unauthorized: <denied>",
		`<ServiceFault xmlns="x"><Message>unsupported version</Message></ServiceFault>`:          "400 Bad Request: unsupported version",
		"plain\x1b[31m text\r\nhere": "400 Bad Request: plain [31m text here",
		"":                           "400 Bad Request",
	} {
		n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, body)
		})
		_, err := n.pullOnce(t, `base`, `return api.get("/")`)
		wantError(t, err, engine.CodeUpstream, want)
	}
}

func TestAnswersThatAreNotJSONSaySo(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html><title>Proxy login</title>")
	})
	_, err := n.pullOnce(t, `base`, `return api.get("/a")["value"]`)
	wantError(t, err, engine.CodeUpstream, n.base+"/a: 200 OK: want JSON, got text/html", "Proxy login", "check starling.network.proxy")
}

func TestGzipIsReadWithinTheLimit(t *testing.T) {
	t.Parallel()
	zip := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, text)
		w.Close()
		return b.Bytes()
	}
	var body []byte
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(body)
	})
	body = zip(`{"a": 1}`)
	v, err := n.pullOnce(t, `base`, `return api.get("/")["a"]`)
	wantValue(t, v, err, "1")

	n.env.Limits.ResponseBytes = 1 << 20
	body = zip(`"` + strings.Repeat("x", 1<<19) + randomText(1<<19) + `"`)
	_, err = n.pullOnce(t, `base`, `return api.get("/")["a"]`)
	wantError(t, err, engine.CodeTooLarge, "longer than 1048576 bytes", "response_bytes")

	n.env.Limits.ResponseBytes = 1<<20 + 2
	v, err = n.pullOnce(t, `base`, `return len(api.get("/").json())`)
	wantValue(t, v, err, "1048576")

	body = zip(`{"a": 1}`)[:15]
	_, err = n.pullOnce(t, `base, retry = http.retry(0)`, `return api.get("/")["a"]`)
	wantError(t, err, engine.CodeUpstream, "broke off")
}

func TestRedirectsStayWhereCredentialsAreSafe(t *testing.T) {
	t.Parallel()
	var stolen []http.Header
	var mu sync.Mutex
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		stolen = append(stolen, r.Header.Clone())
		io.WriteString(w, `{"where": "other"}`)
	}))
	defer other.Close()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL+"/x?token=abcdefgh", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			fmt.Fprintf(w, `{"where": %q}`, r.URL.Path+" "+r.Header.Get("X-Api-Key"))
		}
	})
	script := `
secret = config.secret("secret")
api = http.client(base, auth = http.api_key(secret), headers = {"X-More": secret}%s)
def pull():
    return api.get("%s")["where"]
`
	v, err := n.load(t, fmt.Sprintf(script, "", "/here")).pull(t.Context())
	wantValue(t, v, err, `"/there `+testSecret+`"`)

	_, err = n.load(t, fmt.Sprintf(script, "", "/away")).pull(t.Context())
	wantError(t, err, engine.CodeUpstream, "/away: redirect refused: "+other.URL+" leaves "+n.base, "hosts of http.client")
	n.noSecrets(t, err, "abcdefgh")
	if len(stolen) != 0 {
		t.Fatalf("the other server got %v", stolen)
	}

	_, err = n.load(t, fmt.Sprintf(script, "", "/loop")).pull(t.Context())
	wantError(t, err, engine.CodeUpstream, "redirected 10 times")

	v, err = n.load(t, fmt.Sprintf(script, `, hosts = ["`+other.URL+`"]`, "/away")).pull(t.Context())
	wantValue(t, v, err, `"other"`)
	for name, values := range stolen[0] {
		if strings.Contains(strings.Join(values, " "), "s3cr3t") || name == "Referer" {
			t.Errorf("the other server got %s: %v", name, values)
		}
	}
}

func TestSlowAnswersEndAtTheTimeout(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, `{"a":`)
		w.(http.Flusher).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	defer close(stop)
	s := n.load(t, `
api = http.client(base, timeout = 0.05, retry = http.retry(1, backoff = 0.001))
def pull():
    return api.get("/?sig=abcdefgh")
`)
	_, err := s.pull(t.Context())
	wantError(t, err, engine.CodeUpstream, "no complete answer within 50ms")
	n.noSecrets(t, err, "abcdefgh")
	if s.stats.Requests != 2 { // the server of a busy machine may see neither in time
		t.Errorf("got %d requests, want 2", s.stats.Requests)
	}
}

func TestUnreachableServersAreToldWithoutSecrets(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(http.ResponseWriter, *http.Request) {})
	n.env.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("dial " + testSecret) })
	_, err := n.pullOnce(t, `base, retry = http.retry(2, backoff = 0.001)`, `return api.get("/a?access_token=abcdefgh")`)
	s := n.load(t, "x = config.secret('secret')\napi = http.client(base, retry = http.retry(0))\ndef pull():\n    return api.get('/')")
	wantError(t, err, engine.CodeUpstream, "GET "+n.base+"/a?access_token=****SANITIZED****: dial")
	_, err = s.pull(t.Context())
	wantError(t, err, engine.CodeUpstream, "dial ****SANITIZED****")
}

func TestCertificatesThatAreNotTrustedAreNotTriedAgain(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, nil)
	server := httptest.NewUnstartedServer(http.HandlerFunc(n.answer))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	n.base = server.URL
	s := n.load(t, "api = http.client(base)\ndef pull():\n    return api.get('/')")
	_, err := s.pull(t.Context())
	wantError(t, err, engine.CodeUpstream, "certificate", "is not trusted")
	if s.stats.Requests != 1 {
		t.Errorf("got %d requests, want 1", s.stats.Requests)
	}
}

func TestBrokenAnswersAreSentAgain(t *testing.T) {
	t.Parallel()
	tries := 0
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		tries++
		switch tries {
		case 1:
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"a":`)
		case 2:
			http.Error(w, "busy", http.StatusBadGateway)
		default:
			io.WriteString(w, `{"a": 1}`)
		}
	})
	s := n.load(t, "api = http.client(base, retry = http.retry(3, backoff = 0.001))\ndef pull():\n    return api.get('/')['a']")
	v, err := s.pull(t.Context())
	wantValue(t, v, err, "1")
	if s.stats.Requests != 3 || s.stats.Retries != 2 {
		t.Errorf("got %d requests, %d retries, want 3, 2", s.stats.Requests, s.stats.Retries)
	}
}

func TestAnAbandonedPullStopsAsking(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		cancel(errors.New("the engine stops"))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	began := time.Now()
	_, err := n.load(t, "api = http.client(base, retry = http.retry(9, backoff = '50s'))\ndef pull():\n    return api.get('/')").pull(ctx)
	wantError(t, err, engine.CodeCanceled, "the engine stops")
	if time.Since(began) > 20*time.Second || len(n.requests()) != 1 {
		t.Errorf("took %v and %d requests", time.Since(began), len(n.requests()))
	}
}
