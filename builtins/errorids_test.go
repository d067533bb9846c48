package builtins

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"starling/engine"
)

const namedErrors = `{401: "PullError 301", "5xx": "PullError 304", "other": "PullError 305", "throttled": "PullError 306", "unreachable": "PullError 300", "answer": "PullError 305"}`

func TestFailuresHaveTheirNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int // 0: no answer
		body   string
		want   string
	}{
		{"by its status", 401, "{}", "PullError [CODE:0301] reason: The access token provided has been expired. New token will be created in the next poll: GET BASE/: 401 Unauthorized"},
		{"of the server", 503, "{}", "PullError [CODE:0304] reason: Server error: GET BASE/: 503"},
		{"another one", 418, "{}", "PullError [CODE:0305] reason: Unexpected status code: GET BASE/: 418"},
		{"told to wait", 429, "{}", "PullError [CODE:0306] reason: After the retries still getting the too many requests error.: GET BASE/: 429"},
		{"no answer", 0, "", "PullError [CODE:0300] reason: Request error: GET BASE/: "},
		{"an answer of nonsense", 200, "<html>", "PullError [CODE:0305] reason: Unexpected status code: GET BASE/: 200 OK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNetTest(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			})
			_, err := n.load(t, `api = http.client(base, retry = http.retry(0), errors = `+namedErrors+`)
def pull():
    for page in api.pages("/", next = "next"):
        pass
`).pull(t.Context())
			if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(c.want, "BASE", n.base)) {
				t.Errorf("got %v, want an error with %s", err, c.want)
			}
		})
	}
}

func TestNamesOfErrorsAreChecked(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, http.NotFound)
	for source, want := range map[string]string{
		`http.client(base, errors = {401: "PullError 299"})`:                            `http.client: errors: 401: there is no "PullError 299"`,
		`http.client(base, errors = {401: "SetupError 103"})`:                           `there is no "SetupError 103"`,
		`http.client(base, errors = {401: "301"})`:                                      `got "301", want a class and a number, such as "PullError 305"`,
		`http.client(base, errors = {200: "PullError 305"})`:                            `errors: got 200, want a status from 400 to 599 or "5xx" or "other"`,
		`http.client(base, errors = {"4xx": "PullError 305"})`:                          `errors: got "4xx", want a status from 400 to 599 or "5xx" or "other"`,
		`config.string("x", default = "", errors = {"absent": "InitVariablesError 2"})`: `config.string: errors: got "absent", want "missing" or "type" or "range"`,
		`config.refuse("x", "why", error = "InitVariablesError 99")`:                    `config.refuse: error: there is no "InitVariablesError 99"`,
		`devo.fail("PullError", "why")`:                                                 `devo.fail: error: got "PullError"`,
	} {
		if _, err := n.tryLoad(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", source, err, want)
		}
	}
}

func TestAScriptFailsByName(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, http.NotFound)
	for call, want := range map[string]struct {
		code engine.Code
		text string
	}{
		`devo.fail("PullError 307", "the export is not ready")`:        {engine.CodeUpstream, "PullError [CODE:0307] reason: the export is not ready"},
		`devo.fail("SetupError 100", "no account", hint = "make one")`: {engine.CodeAuth, "SetupError [CODE:0100] reason: Authentication failed: [no account] (make one)"},
		`devo.fail("InitVariablesError 18", "2026-13-01")`:             {engine.CodeConfig, "InitVariablesError [CODE:0018] reason: Optional setting: <reset_persistence_auth> not of expected type: str: 2026-13-01 (write a date such as 2026-05-01)"},
		`devo.fail("CustomError 500", "anything")`:                     {engine.CodeUpstream, "CustomError [CODE:0500] reason: anything"},
		`devo.fail("ApiError 499", "anything")`:                        {engine.CodeUpstream, "ApiError [CODE:0499] reason: anything"},
	} {
		_, err := n.load(t, "def pull():\n    "+call+"\n").pull(t.Context())
		wantError(t, err, want.code, want.text)
	}
}

func TestTroubleOfOnesOwnHasNoNameOfTheAPI(t *testing.T) {
	t.Parallel()
	unreachable, err := engine.FindErrorID("PullError 300")
	if err != nil {
		t.Fatal(err)
	}
	ids := errorIDs{words: map[string]*engine.ErrorID{onUnreachable: &unreachable}}
	for code, named := range map[engine.Code]bool{engine.CodeUpstream: true, engine.CodeStore: false, engine.CodeCanceled: false} {
		f := &failure{err: &engine.Error{Code: code}}
		if ids.name(f); (f.err.ID != nil) != named {
			t.Errorf("%s: got the name %v", code, f.err.ID)
		}
	}
}

func TestBrokenXMLSaysWhatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/atom+xml")
		io.WriteString(w, "<feed><entry></feed>")
	})
	_, err := n.load(t, `api = http.client(base, retry = http.retry(0))
def pull():
    api.get("/").xml()
`).pull(t.Context())
	wantError(t, err, engine.CodeUpstream, "want XML, got application/atom+xml", "entry")
}
