package builtins

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"starling/engine"
)

// bounded ends the process, and so makes a finding, when one input takes longer than any should.
// Stop the timer when it is done.
func bounded() *time.Timer {
	return time.AfterFunc(2*time.Minute, func() { panic("one input takes two minutes") })
}

// addPayloads gives f what real services have answered.
func addPayloads(f *testing.F, add func(text []byte)) {
	f.Helper()
	files, err := filepath.Glob("../scripts/testdata/microsoft/*/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no payloads (%v)", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(text)
	}
}

// wantShown fails unless text is fit to be shown: one line of UTF-8 without control characters.
func wantShown(t testing.TB, text string) {
	t.Helper()
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Fatalf("not one line of text: %q", text)
	}
}

// fuzzedPages reads everything that a page gives. NEXT is the way to the next page.
const fuzzedPages = `
api = http.client(base + "/v1/", headers = {"X-Key": config.secret("secret")}, retry = http.retry(times = 0))

def read(rows):
    if type(rows) == "records":
        for row in rows:
            str(row)
            if type(row) == "record":
                [row.get(name) for name in row]

def pull():
    for page in api.pages("/items", max_pages = 4, NEXT):
        read(page.json())
        if type(page.json()) == "record":
            read(page.json().get("value"))
        page.headers.get("Link")
        page.text
`

// FuzzPages: whatever two pages and their headers hold, paging ends, stays at the origin that has the
// credentials, and what fails says at which request, without a secret.
func FuzzPages(f *testing.F) {
	n := newBubbleTest(f, nil)
	var ways []*testScript
	for _, next := range []string{
		`next = "odata.nextLink"`, `next = "@odata.nextLink"`, `next = "d.__next"`, `next = http.link()`, `next = http.cursor("meta.next", "cursor")`,
		`next = http.offset("$skip", 1000)`, `next = http.offset("$skip", 1000, rows = "value")`,
		`next = http.cursor("next", "from"), method = "POST", json = {"size": 10}`,
	} {
		ways = append(ways, n.load(f, strings.ReplaceAll(fuzzedPages, "NEXT", next)))
	}
	addPayloads(f, func(text []byte) {
		f.Add(uint8(0), 200, "", "", text, text)
		f.Add(uint8(1), 200, "", "", text, []byte(`{"value":[]}`))
	})
	f.Add(uint8(1), 200, "", "", []byte(`{"@odata.nextLink":"https://evil.example/x"}`), []byte(`{}`))
	f.Add(uint8(0), 200, "", "", []byte(`{"odata.nextLink":"../../x?$skiptoken=1"}`), []byte(`{"odata.nextLink":"x"}`))
	f.Add(uint8(2), 200, "", "", []byte(`{"d":{"__next":"//h/\\"}}`), []byte(`[]`))
	f.Add(uint8(3), 200, `<https://api.example.com/v1/items?page=2>; rel="next"`, "", []byte(`[{"a":1}]`), []byte(`[]`))
	f.Add(uint8(4), 200, "", "", []byte(`{"meta":{"next":"abc"}}`), []byte(`{"meta":{"next":{"a":[1]}}}`))
	f.Add(uint8(5), 200, "", "", []byte(`{"a":[1,2],"b":3}`), []byte(`{"a":[]}`))
	f.Add(uint8(6), 200, "", "", []byte(`{"value":[1,2]}`), []byte(`{"value":"text"}`))
	f.Add(uint8(7), 200, "", "", []byte(`{"next":9007199254740993}`), []byte(`{"next":0}`))
	f.Add(uint8(0), 429, "", "7", []byte(`<html><title>busy</title></html>`), []byte(nil))

	f.Fuzz(func(t *testing.T, way uint8, status int, link, after string, first, second []byte) {
		if status < 200 || status > 599 || status >= 300 && status < 400 {
			return
		}
		defer bounded().Stop()
		n.seen, n.spans, n.log = nil, &spanLog{}, &lockedBuffer{}
		n.env.Telemetry.Tracer = n.spans
		n.serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", link)
			w.Header().Set("Retry-After", after)
			w.WriteHeader(status)
			if len(n.seen) == 1 {
				w.Write(first)
			} else {
				w.Write(second)
			}
		})
		_, err := ways[int(way)%len(ways)].pull(context.Background())
		n.noSecrets(t, err)
		if len(n.seen) > 4 {
			t.Fatalf("%d requests", len(n.seen))
		}
		for _, r := range n.seen {
			if origin(r.URL) != "https://api.example.com:443" || r.Header.Get("X-Key") != testSecret {
				t.Fatalf("asked %s with %q", r.URL, r.Header)
			}
		}
		if err == nil {
			return
		}
		wantShown(t, err.Error())
		e, ok := errors.AsType[*engine.Error](err)
		if !ok || e.Code == "" || !strings.Contains(e.Op, "https://api.example.com/") {
			t.Fatalf("does not say at which request: %v", err)
		}
	})
}

// FuzzErrorBody: whatever comes with an error, what is shown of it is one short line.
func FuzzErrorBody(f *testing.F) {
	addPayloads(f, func(text []byte) { f.Add(400, "application/json", "id", text) })
	page, err := os.ReadFile("../scripts/testdata/microsoft/sekoia/legacy_401_body.html")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(401, "text/html", "", page)
	f.Add(500, "a\nb", "\x00", []byte(`{"error":{"code":"\u0000","message":{"value":"\ud800"}}}`))
	f.Add(403, "text/xml", "x", []byte("<message>&#0;&lt;</message>"))
	p := engine.NewPull(context.Background(), testEnv(f), "input/1/service")
	p.Env().Redactor.Add(testSecret)
	u, err := url.Parse("https://api.example.com/v1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, kind, id string, body []byte) {
		defer bounded().Stop()
		r := &request{method: "GET", url: u}
		a := &answer{status: status, url: u, body: append(body, testSecret...), header: http.Header{"Content-Type": {kind}, "Request-Id": {id}}}
		for _, err := range []error{statusFailure(p, r, a).err, unreadable(p, r, a, "JSON", errors.New("no")), new(tokenErrors).failure(p, r, a).err} {
			text := err.Error()
			wantShown(t, text)
			if len(text) > 2000 {
				t.Fatalf("%d bytes: %q", len(text), text)
			}
			if strings.Contains(text, testSecret) {
				t.Fatalf("a secret: %q", text)
			}
		}
	})
}

// FuzzBody: a body is never longer than the limit, compressed or not, and an honest one is complete.
func FuzzBody(f *testing.F) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write(bytes.Repeat([]byte("ab"), 10_000))
	w.Close()
	f.Add(true, zipped.Bytes(), int64(-1))
	f.Add(true, zipped.Bytes()[:20], int64(1<<40))
	f.Add(false, []byte("plain"), int64(5))
	f.Add(true, []byte(nil), int64(0))
	const limit = 4096
	f.Fuzz(func(t *testing.T, compressed bool, body []byte, size int64) {
		defer bounded().Stop()
		resp := &http.Response{Header: http.Header{}, ContentLength: size, Body: io.NopCloser(bytes.NewReader(body))}
		if compressed {
			resp.Header.Set("Content-Encoding", "gzip")
		}
		got, err := new(bodies).read(resp, limit, nil)
		if err == nil && len(got) > limit {
			t.Fatalf("%d bytes", len(got))
		}
		if !compressed && len(body) <= limit && (err != nil || !bytes.Equal(got, body)) {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

// FuzzDuration: what is read as a duration is printed so that it reads as the same one.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"90s", "1h30m", "10d", "1d12h", "1.5d", "300000d", "1ns", "d", "-1h", "1e9h", ".5h", "9223372036s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err != nil {
			if !strings.Contains(err.Error(), "want a duration such as") {
				t.Fatalf("the error does not say what it wants: %v", err)
			}
			return
		}
		if d < 0 {
			t.Fatalf("%q is read as %v", text, d)
		}
		printed := Duration(d).String()
		if again, err := parseDuration(printed); err != nil || again != d {
			t.Fatalf("%q is printed as %q, which reads as %v (%v)", text, printed, again, err)
		}
	})
}

// FuzzQuery: what is written into a query or a form is read back the same, by us and by net/url, and
// any text can be asked for its query.
func FuzzQuery(f *testing.F) {
	f.Add("$filter", "StartDate eq datetime'2026-11-20T00:00:00Z'", "https://h/x?a=b&c=%zz#f", "?&=#%+ ")
	f.Add("", "\x00\xff;", "a=b?c=d", "")
	f.Fuzz(func(t *testing.T, name, value, text, safe string) {
		if name == "z" {
			return
		}
		ps := params{{name: name, value: value}, {name: "z", value: "1"}}
		for _, query := range []string{ps.query(), ps.form()} {
			wantShown(t, query)
			values, err := url.ParseQuery(query)
			if want := "1"; err != nil || values.Get("z") != want || values.Get(name) != value {
				t.Fatalf("%q is %v (%v) for net/url", query, values, err)
			}
			pairs, err := queryPairs("https://h/?" + query)
			if err != nil || len(pairs) != 2 || pairs[0] != ps[0] || pairs[1] != ps[1] {
				t.Fatalf("%q is read as %v (%v)", query, pairs, err)
			}
		}
		queryPairs(text)
		quoted := escape(text, safe)
		if plain, err := url.PathUnescape(quoted); !strings.Contains(safe, "%") && (err != nil || plain != text) {
			t.Fatalf("%q quoted is %q, which reads as %q (%v)", text, quoted, plain, err)
		}
	})
}

// FuzzURL: parts of a URL and where a reference leads are what net/url says, and no error shows a URL,
// which may hold secrets.
func FuzzURL(f *testing.F) {
	f.Add("https://user:pw@h.example:8443/a%2Fb?x=1#f", "../c?d")
	f.Add("http://[::1]:80/", "//evil")
	f.Add(":", "%zz")
	f.Fuzz(func(t *testing.T, base, ref string) {
		env := starlark.StringDict{"url": newURL(), "base": starlark.String(base), "ref": starlark.String(ref)}
		thread := new(starlark.Thread)
		for _, expr := range []string{"url.parse(base)", "url.join(base, ref)", "url.query(base, first = True)", "url.unquote(ref)", "url.encode({ref: [base, 1, None]})"} {
			if _, err := starlark.EvalOptions(testOptions, thread, "x", expr, env); err != nil && len(base) > 8 && strings.Contains(err.Error(), base) {
				t.Fatalf("the URL is in the error: %v", err)
			}
		}
		if u, err := baseURL(base); err == nil && (u.User != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && engine.IsLocalHost(u.Hostname()))) {
			t.Fatalf("%q is taken as the base %s", base, u)
		}
	})
}

// FuzzRegexp: any pattern is refused or works, and replacing gives what regexp gives, within the limit.
func FuzzRegexp(f *testing.F) {
	f.Add(`(?P<user>\w+)@(\w+)`, "bob@example", "$2 ${user} $$")
	f.Add(`(a|b)*?$`, "abab", "$1")
	f.Add(`\b`, "a b", "-")
	f.Add(`((((x{10}){10}){10}){10})`, "x", "")
	f.Add(`[`, "", "")
	f.Add("", "héé\xff", "$0$0")
	f.Fuzz(func(t *testing.T, pattern, text, replacement string) {
		defer bounded().Stop()
		p, err := patternArg(starlark.String(pattern))
		if err != nil {
			return
		}
		thread := new(starlark.Thread)
		env := starlark.StringDict{"p": p, "text": starlark.String(text)}
		for _, name := range []string{"find", "find_all", "groups", "match", "named", "search", "split"} {
			if _, err := starlark.EvalOptions(testOptions, thread, "x", "p."+name+"(text)", env); err != nil {
				t.Fatal(err)
			}
		}
		const limit = 4096
		got, err := replaced(p.re, text, replacement, limit)
		if len(text)*(len(replacement)+1) > 1<<20 {
			return
		}
		if want := regexp.MustCompile(pattern).ReplaceAllString(text, replacement); err == nil && string(got) != want {
			t.Fatalf("got %q, want %q", got, want)
		} else if err != nil && len(want) <= limit {
			t.Fatalf("%d bytes are refused: %v", len(want), err)
		}
	})
}

// FuzzCursor: whatever a cursor holds, a script gets it as it is or an error that says how to repair it.
func FuzzCursor(f *testing.F) {
	f.Add([]byte(`"2026-11-20T00:00:00Z"`))
	f.Add([]byte(`"0000-01-01T00:00:00Z"`))
	f.Add([]byte(`"9999-12-31T23:59:59-23:59"`))
	f.Add([]byte(`{"a":[1,null]}`))
	f.Add([]byte("\xff"))
	n := newBubbleTest(f, nil)
	get := n.load(f, "def pull():\n    return checkpoint.get('x')\n")
	windowed := n.load(f, "def pull():\n    for w in checkpoint.windows('1h', delay = '1h', first = '2d', keeps = '10d'):\n        return w\n")
	f.Fuzz(func(t *testing.T, value []byte) {
		defer bounded().Stop()
		for _, name := range []string{"x", engine.WindowCursor} {
			if err := n.env.Store.SetCursor("input/1/service", name, value); err != nil {
				t.Fatal(err)
			}
		}
		n.log = &lockedBuffer{}
		v, err := get.pull(context.Background())
		if err == nil && len(value) > 0 {
			wantSameMeaning(t, bytes.TrimPrefix(value, []byte("\xef\xbb\xbf")), write(t, v), true)
		}
		w, werr := windowed.pull(context.Background())
		for _, err := range []error{err, werr} {
			if err != nil && !strings.Contains(err.Error(), "starling state set") {
				t.Fatalf("does not say how to repair it: %v", err)
			}
		}
		if w, ok := w.(*window); ok && !w.start.Before(w.end) {
			t.Fatalf("got %v", w)
		}
	})
}
