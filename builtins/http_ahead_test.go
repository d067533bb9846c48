package builtins

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/engine"
)

// takes is how long an answer takes.
const takes = 10 * time.Second

// A diary answers with pages and with work, and keeps in which step what happened.
type diary struct {
	began time.Time
	pages int
	hangs string                                             // page that is never answered
	fails map[string]func(w http.ResponseWriter, n int) bool // by page; n counts its requests. It reports whether it answered

	mu     sync.Mutex
	lines  []string
	asked  map[string]int
	broken int // requests that were broken off
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%d ", int(time.Since(d.began)/takes))+fmt.Sprintf(format, args...))
}

func (d *diary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := strings.TrimPrefix(r.URL.Path, "/")
	page := r.URL.Query().Get("p")
	if what == "" {
		what = "page " + page
	}
	d.note("%s", what)
	d.mu.Lock()
	if d.asked == nil {
		d.asked = map[string]int{}
	}
	d.asked[what]++
	n := d.asked[what]
	d.mu.Unlock()
	long := takes
	if page != "" && page == d.hangs {
		long = 50 * time.Second
	}
	select {
	case <-time.After(long):
	case <-r.Context().Done():
		d.mu.Lock()
		d.broken++
		d.mu.Unlock()
		return
	}
	if fail := d.fails[page]; fail != nil && fail(w, n) {
		return
	}
	if r.URL.Path != "/" {
		io.WriteString(w, "{}")
		return
	}
	number := 1
	fmt.Sscan(page, &number)
	next := "null"
	if number < d.pages {
		next = fmt.Sprintf(`"%d"`, number+1)
		w.Header().Set("Link", fmt.Sprintf(`</?p=%d>; rel="next"`, number+1))
	}
	fmt.Fprintf(w, `{"rows": [%d], "next": %s, "link": %s}`, number, next, strings.Replace(next, `"`, `"/?p=`, 1))
}

// pulled runs the pull of a script in which api is a client, in a bubble whose time passes at once.
func (d *diary) pulled(t *testing.T, source string) (n *netTest, s *testScript, err error) {
	t.Helper()
	n = newBubbleTest(t, d.ServeHTTP)
	synctest.Test(t, func(t *testing.T) {
		d.began = time.Now()
		s = n.load(t, source)
		_, err = s.pull(t.Context())
		d.note("end")
	})
	return n, s, err
}

// loop is a script that works a step on each page.
const loop = `
api = http.client(base, retry = http.retry(2, backoff = "10s"))
def module_next(page):
    return page["link"]
def module_next_by_table(page, known = {"x": 1}):
    return page["link"]
def module_next_with_default(page, name = "link"):
    return page[name]
def keeps(page):
    checkpoint.set("x", page["link"])
    return page["link"]
def logs(page):
    log.info("next")
    return page["link"]
def asks(page):
    api.get("/asked")
    return page["link"]
def now(page):
    time.now()
    return page["link"]
def pull():
    state = {"link": "link"}
    def nested(page):
        return page[state["link"]]
    for page in api.pages("/", params = {"p": "1"}, next = %s):
        api.get("/work")
`

// TestTheNextPageComesWhileTheScriptHasOne: unless the script can have a say in which it is.
func TestTheNextPageComesWhileTheScriptHasOne(t *testing.T) {
	t.Parallel()
	ahead := []string{"0 page 1", "1 page 2", "1 work", "2 page 3", "2 work", "3 work", "4 end"}
	after := []string{"0 page 1", "1 work", "2 page 2", "3 work", "4 page 3", "5 work", "6 end"}
	for next, want := range map[string][]string{
		`"link"`:                    ahead,
		`http.link()`:               ahead,
		`http.cursor("next", "p")`:  ahead,
		`module_next`:               ahead,
		`module_next_with_default`:  ahead,
		`lambda page: page["link"]`: ahead,
		`lambda page: {"p": page["next"]} if page["next"] else None`: ahead,
		`"link", prefetch = False`:                                   after,
		`module_next, prefetch = False`:                              after,
		`nested`:                                                     after,
		`lambda page: page[state["link"]]`:                           after,
		`lambda page, key = state: page["link"]`:                     after,
		`module_next_by_table`:                                       after,
		`keeps`:                                                      after,
		`logs`:                                                       after,
		`now`:                                                        after,
	} {
		d := &diary{pages: 3}
		n, s, err := d.pulled(t, fmt.Sprintf(loop, next))
		if err != nil {
			t.Fatalf("%s: %v", next, backtrace(err))
		}
		slices.Sort(d.lines) // what happens in the same step has no order
		if !slices.Equal(d.lines, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", next, d.lines, want)
		}
		if s.stats.Requests != 6 || s.stats.Pages != 3 || s.stats.Retries != 0 {
			t.Errorf("%s: got %+v", next, s.stats)
		}
		if got := strings.Count(n.spans.String(), "request "); got != 6 {
			t.Errorf("%s: got %d spans of requests", next, got)
		}
		if next == "logs" && strings.Count(n.log.String(), "msg=next") != 3 {
			t.Errorf("next was called otherwise than once for each page:\n%s", n.log)
		}
	}
	d := &diary{pages: 2}
	if _, _, err := d.pulled(t, fmt.Sprintf(loop, "asks")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"0 page 1", "1 work", "2 asked", "3 page 2", "4 work", "5 asked", "6 end"}; !slices.Equal(d.lines, want) {
		t.Errorf("a function that asks:\ngot  %q\nwant %q", d.lines, want)
	}
}

// TestTheErrorOfAPageComesWithThePage: not while the script has the page before it; and it is tried again as ever.
func TestTheErrorOfAPageComesWithThePage(t *testing.T) {
	t.Parallel()
	status := func(code, times int) func(http.ResponseWriter, int) bool {
		return func(w http.ResponseWriter, n int) bool {
			if n <= times {
				w.WriteHeader(code)
			}
			return n <= times
		}
	}
	d := &diary{pages: 3, fails: map[string]func(http.ResponseWriter, int) bool{"2": status(http.StatusNotFound, 9)}}
	_, s, err := d.pulled(t, fmt.Sprintf(loop, `"link"`))
	wantError(t, err, engine.CodeUpstream, "/?p=2: 404 Not Found")
	if want := []string{"0 page 1", "1 page 2", "1 work", "2 end"}; !slices.Equal(slices.Sorted(slices.Values(d.lines)), want) {
		t.Errorf("got  %q\nwant %q", d.lines, want)
	}
	if s.stats.Requests != 3 || s.stats.Pages != 1 {
		t.Errorf("got %+v", s.stats)
	}

	d = &diary{pages: 3, fails: map[string]func(http.ResponseWriter, int) bool{"2": status(http.StatusServiceUnavailable, 2)}}
	n, s, err := d.pulled(t, fmt.Sprintf(loop, `"link"`))
	if err != nil || s.stats.Requests != 8 || s.stats.Retries != 2 || s.stats.Pages != 3 {
		t.Errorf("got %+v, %v", s.stats, err)
	}
	if got := strings.Count(n.log.String(), "request is sent again"); got != 2 {
		t.Errorf("the log says %d times that a request is sent again, want 2", got)
	}

	d = &diary{pages: 3, fails: map[string]func(http.ResponseWriter, int) bool{"2": status(http.StatusNotFound, 9)}}
	n, _, err = d.pulled(t, `
api = http.client(base)
def pull():
    for page in api.pages("/", params = {"p": "1"}, next = "link", catch = True):
        log.info("caught" if page.error else "page")
        api.get("/work")
`)
	if want := []string{"0 page 1", "1 page 2", "1 work", "2 work", "3 end"}; err != nil || !slices.Equal(slices.Sorted(slices.Values(d.lines)), want) || !strings.Contains(n.log.String(), "msg=caught") {
		t.Errorf("got %q, %v", d.lines, err)
	}

	d = &diary{pages: 9}
	_, s, err = d.pulled(t, fmt.Sprintf(loop, `"link", max_pages = 2`))
	wantError(t, err, engine.CodeTooLarge, "more than 2 pages")
	if s.stats.Pages != 2 || s.stats.Requests != 4 {
		t.Errorf("got %+v", s.stats)
	}
}

// TestLeavingTheLoopBreaksTheRequestOff: whatever ends it, nothing goes on, and nothing more than one page was asked for.
func TestLeavingTheLoopBreaksTheRequestOff(t *testing.T) {
	t.Parallel()
	for leave, wrong := range map[string]bool{"break": false, "return": false, `fail("enough")`: true, `[][1]`: true} {
		d := &diary{pages: 3, hangs: "2"}
		n, s, err := d.pulled(t, `
api = http.client(base)
def pull():
    for page in api.pages("/", params = {"p": "1"}, next = "link"):
        api.get("/work")
        `+leave+"\n")
		if (err != nil) != wrong {
			t.Errorf("%s: got %v", leave, err)
		}
		if want := []string{"0 page 1", "1 page 2", "1 work", "2 end"}; !slices.Equal(slices.Sorted(slices.Values(d.lines)), want) || d.broken != 1 {
			t.Errorf("%s: got %q, %d broken off", leave, d.lines, d.broken)
		}
		if s.stats.Requests != 3 || s.stats.Pages != 1 {
			t.Errorf("%s: got %+v", leave, s.stats)
		}
		if !strings.Contains(n.spans.String(), "the script has left the loop") || strings.Contains(n.log.String(), "again") {
			t.Errorf("%s: the request that was not needed is told as\n%s%s", leave, n.spans, n.log)
		}
	}
}

// TestTheEndOfAPullBreaksThePageAheadOff: the deadline of the pull counts for it too.
func TestTheEndOfAPullBreaksThePageAheadOff(t *testing.T) {
	t.Parallel()
	d := &diary{pages: 3}
	n := newBubbleTest(t, d.ServeHTTP)
	synctest.Test(t, func(t *testing.T) {
		d.began = time.Now()
		s := n.load(t, fmt.Sprintf(loop, `"link"`))
		ctx, cancel := context.WithTimeout(t.Context(), 3*takes/2)
		defer cancel()
		_, err := s.pull(ctx)
		wantError(t, err, engine.CodeUpstream, "deadline exceeded")
		if d.broken != 2 || s.stats.Requests != 3 {
			t.Errorf("%d broken off, %+v", d.broken, s.stats)
		}
	})
}

// TestRatesHoldForPagesAhead: each of them takes its turn, with its share.
func TestRatesHoldForPagesAhead(t *testing.T) {
	t.Parallel()
	d := &diary{pages: 5}
	_, s, err := d.pulled(t, `
api = http.client(base, rate = http.rate(4, per = "100s"))
def pull():
    for page in api.pages("/", params = {"p": "1"}, next = "link", share = 0.5):
        api.get("/work")
`)
	if err != nil || s.stats.Requests != 10 {
		t.Fatalf("%+v, %v", s.stats, err)
	}
	var all, pages []int
	for _, line := range d.lines {
		at := 0
		fmt.Sscan(line, &at)
		if !strings.Contains(line, "end") {
			all = append(all, at)
		}
		if strings.Contains(line, "page") {
			pages = append(pages, at)
		}
	}
	for i := range all {
		if i >= 4 && all[i]-all[i-4] < 10 {
			t.Errorf("5 requests within 10 steps: %q", d.lines)
		}
	}
	for i := range pages {
		if i >= 2 && pages[i]-pages[i-2] < 10 {
			t.Errorf("3 pages within 10 steps, with a share of 2: %q", d.lines)
		}
	}
}

// TestATokenIsNotBrokenOff: one that is asked for for a page ahead comes, although the script leaves the loop. A refresh token
// that was sent can be worth nothing from then on.
func TestATokenIsNotBrokenOff(t *testing.T) {
	t.Parallel()
	d := &diary{pages: 3}
	n := newBubbleTest(t, nil)
	var tokens, broken, valid int
	n.serve(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			tokens++
			select {
			case <-time.After(5 * takes):
			case <-r.Context().Done():
				broken++
			}
			valid++
			fmt.Fprintf(w, `{"token_type": "bearer", "expires_in": 3600, "access_token": "token-number-%d"}`, tokens)
		case r.URL.Query().Get("p") == "2" && valid == 1:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			d.ServeHTTP(w, r)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		d.began = time.Now()
		s := n.load(t, `
secret = config.secret("secret")
api = http.client(base, auth = oauth.client_credentials(base + "/token", client_id = "c", client_secret = secret, scope = "s"))
other = http.client(base)
def pull():
    for page in api.pages("/", params = {"p": "1"}, next = "link"):
        other.get("/work")
        break
`)
		if _, err := s.pull(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.note("end")
		if want := []string{"11 end", "5 page 1", "6 work"}; tokens != 2 || broken != 0 || !slices.Equal(slices.Sorted(slices.Values(d.lines)), want) {
			t.Errorf("%d tokens, %d broken off, %q", tokens, broken, d.lines)
		}
		if s.stats.Requests != 5 { // two tokens, two pages, work; the page is not asked for again
			t.Errorf("got %+v", s.stats)
		}
	})
}

// TestWhatTheLoopDoesToItsQuestionHasNoPartInIt: the JSON is that of the call of pages.
func TestWhatTheLoopDoesToItsQuestionHasNoPartInIt(t *testing.T) {
	t.Parallel()
	for _, prefetch := range []string{"True", "False"} {
		var bodies []string
		n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(body)) // requests follow each other
			io.WriteString(w, map[int]string{1: `{"c": "a"}`, 2: `{"c": "b"}`, 3: `{}`}[len(bodies)])
		})
		_, err := n.pullOnce(t, `base`, `
question = {"n": 12345678901234567890, "x": [1.50, {"y": None}], "c": None}
for page in api.pages("/", method = "POST", json = question, next = http.cursor("c", "c"), prefetch = `+prefetch+`):
    question["x"].append(2)
    question["n"] = 0`)
		want := []string{`{"n":12345678901234567890,"x":[1.5,{"y":null}],"c":null}`, `{"n":12345678901234567890,"x":[1.5,{"y":null}],"c":"a"}`, `{"n":12345678901234567890,"x":[1.5,{"y":null}],"c":"b"}`}
		if err != nil || !slices.Equal(bodies, want) {
			t.Errorf("prefetch = %s: got\n%s\n%v", prefetch, strings.Join(bodies, "\n"), err)
		}
	}
}

// TestNothingIsAskedForBesideALongPage: there is not to be room for two.
func TestNothingIsAskedForBesideALongPage(t *testing.T) {
	t.Parallel()
	d := &diary{pages: 2, fails: map[string]func(http.ResponseWriter, int) bool{"1": func(w http.ResponseWriter, _ int) bool {
		fmt.Fprintf(w, `{"x": "%s", "link": "/?p=2"}`, strings.Repeat("x", maxAhead))
		return true
	}}}
	_, _, err := d.pulled(t, fmt.Sprintf(loop, `"link"`))
	if want := []string{"0 page 1", "1 work", "2 page 2", "3 work", "4 end"}; err != nil || !slices.Equal(d.lines, want) {
		t.Errorf("got %q, %v", d.lines, err)
	}
}

// TestAPanicBesideTheScriptEndsThePullOnly: it becomes one of the script's goroutine, where the engine makes an error of it.
func TestAPanicBesideTheScriptEndsThePullOnly(t *testing.T) {
	t.Parallel()
	d := &diary{pages: 2}
	n := newBubbleTest(t, nil)
	n.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("p") == "2" {
			panic("a builtin is wrong")
		}
		d.ServeHTTP(w, r)
	})
	synctest.Test(t, func(t *testing.T) {
		d.began = time.Now()
		s := n.load(t, fmt.Sprintf(loop, `"link"`))
		defer func() {
			if got := recover(); got != "a builtin is wrong" {
				t.Errorf("got %v", got)
			}
		}()
		_, err := s.pull(t.Context())
		t.Errorf("no panic, %v", err)
	})
}
