package builtins

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/engine"
)

// A signIn is a token endpoint at /token, and an API elsewhere that accepts the latest token only.
type signIn struct {
	mu       sync.Mutex
	forms    []url.Values
	latest   string
	lifetime string // JSON after the token, such as `"expires_in": 3599`
	fail     func(n int) (status int, body string)
	refuse   bool // the API refuses every token
	answer   string
	delay    time.Duration // of tokens
	apiDelay time.Duration
}

func (s *signIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/token" {
		s.api(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	time.Sleep(s.delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forms = append(s.forms, form)
	if s.fail != nil {
		if status, body := s.fail(len(s.forms)); status != 0 {
			w.WriteHeader(status)
			io.WriteString(w, body)
			return
		}
	}
	s.latest = fmt.Sprintf("token-number-%d", len(s.forms))
	fmt.Fprintf(w, `{"token_type": "bearer", %s, "access_token": %q}`, s.lifetime, s.latest)
}

func (s *signIn) api(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refused := s.refuse || r.Header.Get("Authorization") != "Bearer "+s.latest
	s.mu.Unlock()
	time.Sleep(s.apiDelay)
	if refused {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, strings.ReplaceAll(s.answer, "$sent", r.Header.Get("Authorization")))
		return
	}
	io.WriteString(w, `{}`)
}

func (s *signIn) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.forms)
}

func (s *signIn) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = "nobody has this"
}

const oauthScript = `
errors = {"hints": {"invalid_grant": "grant again", "E7": "first of E7", "8": "number 8", "E9": "never"}, "passing": ["E90"]}
api = http.client(base, auth = oauth.client_credentials(base + "/token", client_id = "app", client_secret = config.secret("secret"),
    %s, **errors), retry = http.retry(2, backoff = "1s"))
def pull():
    return api.get("/data").status
`

func TestTokensAreAskedForAsTheVersionsWantIt(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		`resource = "https://r.example"`:          "client_id=app&client_secret=" + url.QueryEscape(testSecret) + "&grant_type=client_credentials&resource=https%3A%2F%2Fr.example",
		`scope = "https://r.example/.default"`:    "client_id=app&client_secret=" + url.QueryEscape(testSecret) + "&grant_type=client_credentials&scope=https%3A%2F%2Fr.example%2F.default",
		`scope = "s", params = {"audience": "a"}`: "audience=a&client_id=app&client_secret=" + url.QueryEscape(testSecret) + "&grant_type=client_credentials&scope=s",
	} {
		s := &signIn{lifetime: `"expires_in": "3599"`}
		n := newNetTest(t, s.ServeHTTP)
		v, err := n.load(t, fmt.Sprintf(oauthScript, args)).pull(t.Context())
		wantValue(t, v, err, "200")
		if got := s.forms[0].Encode(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if spans := n.spans.String(); !strings.Contains(spans, "token ") || !strings.Contains(spans, "request ") {
			t.Errorf("got spans %s", spans)
		}
		n.noSecrets(t, nil, "token-number-1")
	}
	for _, args := range []string{`params = None`, `scope = "s", resource = "r"`} {
		if _, err := bareNetTest(t).tryLoad(strings.Replace(fmt.Sprintf(oauthScript, args), "base +", `"https://l.example" +`, 1)); err == nil || !strings.Contains(err.Error(), "either resource or scope") {
			t.Errorf("%q: got %v", args, err)
		}
	}
	if _, err := bareNetTest(t).tryLoad(strings.ReplaceAll(fmt.Sprintf(oauthScript, `scope = "s"`), "base", `"http://l.example"`)); err == nil || !strings.Contains(err.Error(), "want https") {
		t.Errorf("a token over http: got %v", err)
	}
}

func TestTokensAreSharedAndRenewedAhead(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		s := &signIn{lifetime: `"expires_in": 3600`, delay: time.Second}
		n.serve(s.ServeHTTP)
		var wg sync.WaitGroup
		for range 8 {
			script := n.load(t, fmt.Sprintf(oauthScript, `scope = "s"`))
			wg.Go(func() {
				if _, err := script.pull(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if s.asked() != 1 {
			t.Errorf("got %d token requests for 8 collectors, want 1", s.asked())
		}
		script := n.load(t, fmt.Sprintf(oauthScript, `scope = "s"`))
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{53 * time.Minute, 1}, {time.Minute + time.Second, 2}} { // 10 % of an hour ahead of its end
			time.Sleep(step.wait)
			if _, err := script.pull(t.Context()); err != nil {
				t.Error(err)
			}
			if s.asked() != step.want {
				t.Errorf("after %v: got %d token requests, want %d", step.wait, s.asked(), step.want)
			}
		}
	})
}

func TestAFailedRenewalUsesTheOldTokenToItsEnd(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		s := &signIn{lifetime: `"expires_in": 3600`}
		s.fail = func(n int) (int, string) {
			if n > 1 {
				return 503, "down"
			}
			return 0, ""
		}
		n.serve(s.ServeHTTP)
		script := n.load(t, fmt.Sprintf(oauthScript, `scope = "s"`))
		script.pull(t.Context())
		time.Sleep(55 * time.Minute)
		for range 10 {
			if _, err := script.pull(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s.asked() != 2 {
			t.Errorf("got %d token requests, want 2: one, and one try to renew in a minute", s.asked())
		}
		time.Sleep(5 * time.Minute)
		_, err := script.pull(t.Context())
		wantError(t, err, engine.CodeUpstream, "/token: 503 Service Unavailable: down")
	})
}

func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	s := &signIn{lifetime: `"expires_in": 3600`}
	n := newNetTest(t, s.ServeHTTP)
	script := n.load(t, fmt.Sprintf(oauthScript, `scope = "s"`))
	for range 2 {
		v, err := script.pull(t.Context())
		wantValue(t, v, err, "200")
		s.revoke()
	}
	if s.asked() != 2 {
		t.Errorf("got %d token requests, want 2", s.asked())
	}
	s.refuse, s.answer = true, "you sent $sent"
	before := len(n.requests())
	_, err := script.pull(t.Context())
	wantError(t, err, engine.CodeAuth, "/data: 401 Unauthorized: you sent Bearer ****SANITIZED****", "check the credentials")
	if got := len(n.requests()) - before; got != 3 {
		t.Errorf("got %d requests, want 3: refused, a new token, refused", got)
	}
	n.noSecrets(t, err, "token-number-1", "token-number-2", "token-number-3")
}

func TestATokenIsNotDroppedForAnOlderOne(t *testing.T) {
	t.Parallel()
	n := newBubbleTest(t, nil)
	synctest.Test(t, func(t *testing.T) {
		s := &signIn{lifetime: `"expires_in": 3600`, apiDelay: 2 * time.Second}
		n.serve(s.ServeHTTP)
		script := n.load(t, fmt.Sprintf(oauthScript, `scope = "s"`))
		script.pull(t.Context())
		s.revoke()
		var wg sync.WaitGroup
		for range 2 { // the second is refused when the first has a new token already
			script := n.load(t, fmt.Sprintf(oauthScript, `scope = "s"`))
			wg.Go(func() {
				if _, err := script.pull(t.Context()); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Second)
		}
		wg.Wait()
		if s.asked() != 2 {
			t.Errorf("got %d token requests, want 2", s.asked())
		}
	})
}

func TestAMissingServicePrincipalIsNotCuredByTokens(t *testing.T) {
	t.Parallel()
	s := &signIn{lifetime: `"expires_in": 3600`, refuse: true, answer: `{"error":{"code":"Unauthorized","message":"Service principal-less authentication failed: the service principal for App ID 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373 was not found."}}`}
	n := newNetTest(t, s.ServeHTTP)
	script := strings.Replace(fmt.Sprintf(oauthScript, `scope = "s"`), "auth = ",
		`hints = {401: "a new token", "8BD644D1-64a1-4d4b-ae52-2e0cbf64e373": "New-MgServicePrincipal"}, auth = `, 1)
	_, err := n.load(t, script).pull(t.Context())
	wantError(t, err, engine.CodeAuth, "was not found. (New-MgServicePrincipal)")
	if s.asked() != 1 || len(n.requests()) != 2 {
		t.Errorf("got requests %v, want one for a token and one refused", n.requests())
	}
}

func TestTokenErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		code   engine.Code
		want   []string
		asked  int
	}{
		{401, `{"error":"invalid_client","error_description":"E7: The secret is old. E9\r\nTrace ID: 11-22","error_codes":[8],"trace_id":"11-22"}`,
			engine.CodeAuth, []string{"POST ", "/token: 401 Unauthorized: invalid_client: E7: The secret is old. E9 Trace ID: 11-22 (first of E7)"}, 1},
		{400, `{"error":"invalid_grant","error_description":"E7"}`, engine.CodeAuth, []string{"(grant again)"}, 1},
		{400, `{"error":"unauthorized_client","error_codes":[1, 8]}`, engine.CodeAuth, []string{"unauthorized_client (number 8)"}, 1},
		{400, `{"error":"invalid_request","error_description":"something new, E777 or XE7","trace_id":"44-55"}`, engine.CodeAuth, []string{"invalid_request: something new, E777 or XE7 Trace ID: 44-55", "check the sign-in address"}, 1},
		{400, `{"error":"invalid_request","error_codes":{"a":1}}`, engine.CodeAuth, []string{"invalid_request"}, 1},
		{404, `<html><title>Not here</title></html>`, engine.CodeAuth, []string{"404 Not Found: Not here"}, 1},
		{400, `{"error":"temporarily_unavailable"}`, engine.CodeUpstream, []string{"temporarily_unavailable"}, 4},
		{400, `{"error":"server_error","error_description":"E90: transient"}`, engine.CodeUpstream, []string{"E90"}, 4},
		{500, `oops`, engine.CodeUpstream, []string{"500 Internal Server Error: oops"}, 4},
		{408, ``, engine.CodeUpstream, []string{"408 Request Timeout"}, 4},
		{429, ``, engine.CodeThrottled, []string{"429"}, 4},
		{200, `<html>proxy</html>`, engine.CodeUpstream, []string{"not a JSON object with a token"}, 4},
		{200, `{"token_type":"Bearer","expires_in":3599}`, engine.CodeUpstream, []string{"no access_token"}, 4},
		{200, `{"access_token":"` + testSecret + `","token_type":"pop"}`, engine.CodeUpstream, []string{`"pop", want Bearer`}, 4},
	} {
		n := newBubbleTest(t, nil)
		synctest.Test(t, func(t *testing.T) {
			s := &signIn{fail: func(int) (int, string) { return c.status, c.body }}
			n.serve(s.ServeHTTP)
			_, err := n.load(t, fmt.Sprintf(oauthScript, `scope = "s"`)).pull(t.Context())
			wantError(t, err, c.code, c.want...)
			if s.asked() != c.asked {
				t.Errorf("%d %s: got %d token requests, want %d", c.status, c.body, s.asked(), c.asked)
			}
			n.noSecrets(t, err, url.QueryEscape(testSecret))
		})
	}
}

func TestTokenAnswersAreRead(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_388_450_000, 0)
	for fields, want := range map[string]time.Duration{
		`"expires_in": 3599`: 3599 * time.Second,
		`"expires_in": "3599", "expires_on": "1388452167"`:     2167 * time.Second,
		`"expires_in": "300", "expires_on": "1388452167"`:      300 * time.Second,
		`"expires_in": 3599, "expires_on": 1388440000`:         3599 * time.Second,
		`"expires_on": 1388450060`:                             time.Minute,
		`"expires_in": 0`:                                      5 * time.Minute,
		`"expires_in": "0"`:                                    5 * time.Minute,
		`"expires_in": null`:                                   5 * time.Minute,
		`"expires_in": -5, "token_type": "BEARER"`:             5 * time.Minute,
		`"expires_in": "soon", "expires_on": "09/14/2026 ..."`: 5 * time.Minute,
		`"expires_in": 1e300`:                                  30 * 24 * time.Hour,
		`"expires_in": {"a": 1}`:                               5 * time.Minute,
	} {
		got, err := parseToken([]byte(`{"access_token": "t", `+fields+`}`), now)
		if err != nil || got.text != "t" || got.lifetime != want {
			t.Errorf("%s: got %v, %v, want %v", fields, got, err, want)
		}
	}
	for _, body := range []string{``, `[]`, `null`, `{}`, `{"access_token": ""}`, `{"access_token": 5}`, `{"access_token": "a\nb"}`, `{"access_token": "t"} x`} {
		if got, err := parseToken([]byte(body), now); err == nil {
			t.Errorf("%s: got %v, want an error", body, got)
		}
	}
}

func TestRenewalIsNeverMoreThanHalfALifeAhead(t *testing.T) {
	t.Parallel()
	for lifetime, want := range map[time.Duration]time.Duration{
		time.Hour: 6 * time.Minute, 24 * time.Hour: 144 * time.Minute, 20 * time.Minute: 5 * time.Minute, 5 * time.Minute: 150 * time.Second, time.Second: time.Second / 2,
	} {
		if got := renewAhead(lifetime); got != want {
			t.Errorf("%v: got %v, want %v", lifetime, got, want)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add([]byte(`{"token_type":"Bearer","expires_in":"3599","expires_on":"1388452167","access_token":"eyJ"}`))
	f.Add([]byte(`{"expires_in":1e400,"access_token":"x"}`))
	f.Add([]byte(`{"expires_in":"NaN","access_token":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseToken(body, time.Unix(1_388_450_000, 0))
		if err != nil {
			return
		}
		text, lifetime := got.text, got.lifetime
		if text == "" || lifetime <= 0 || lifetime > maxLifetime {
			t.Errorf("got %q for %v", text, lifetime)
		}
		if ahead := renewAhead(lifetime); ahead < 0 || ahead > lifetime/2 {
			t.Errorf("renewed %v ahead of %v", ahead, lifetime)
		}
		if checkHeader("Authorization", text) != nil {
			t.Errorf("%q cannot be sent", text)
		}
	})
}
