package builtins

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"starling/engine"
)

// collect is a pull that returns the rows of all pages.
const collect = `
rows = []
for page in %s:
    rows.extend(list(page["value"]))
return rows`

func pagesOf(call string) string { return fmt.Sprintf(collect, "api.pages("+call+")") }

func TestPagesFollowLinks(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, nil)
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/svc/v1/dots":
			switch r.URL.Query().Get("$skiptoken") {
			case "":
				io.WriteString(w, `{"value": [1], "odata.nextLink": "../../svc/v1/dots?$filter=a eq 'b c'&$skiptoken=1"}`)
			case "1":
				io.WriteString(w, `{"value": [], "odata.nextLink": "`+n.base+`/svc/v1/dots?$skiptoken=2"}`)
			default:
				io.WriteString(w, `{"value": [2], "odata.nextLink": null}`)
			}
		case r.URL.Path == "/svc/v1/deep":
			if r.URL.Query().Get("p") == "" {
				io.WriteString(w, `{"value": [1], "d": {"__next": "deep?p=2"}}`)
				return
			}
			io.WriteString(w, `{"value": [2], "d": {}}`)
		case r.URL.Path == "/svc/v1/header":
			if r.URL.Query().Get("p") == "" {
				w.Header().Set("Link", `</svc/v1/header?p=1>; rel="prev", <?p=2>; rel="next"`)
			}
			fmt.Fprintf(w, `{"value": [%q]}`, r.URL.Query().Get("p"))
		}
	}
	n.serve(handler)
	for call, want := range map[string]string{
		`"/dots", next = "odata.nextLink"`:                   `[1, 2]`,
		`"/deep", next = "d.__next"`:                         `[1, 2]`,
		`"/header", next = http.link()`:                      `["", "2"]`,
		`"/dots", next = lambda r: None`:                     `[1]`,
		`"/deep", next = lambda r: r["d"].get("__next", "")`: `[1, 2]`,
	} {
		v, err := n.pullOnce(t, `base + "/svc/v1"`, pagesOf(call))
		wantValue(t, v, err, want)
	}
	want := "GET /svc/v1/dots?$filter=a%20eq%20'b%20c'&$skiptoken=1"
	if got := strings.Join(n.requests(), "\n"); !strings.Contains(got, want) {
		t.Errorf("the server's query was changed: want %s in\n%s", want, got)
	}
}

func TestPagesCountAndBeginAgain(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("p") == "2" {
			io.WriteString(w, `{"value": [2]}`)
			return
		}
		io.WriteString(w, `{"value": [1], "next": "?p=2"}`)
	})
	s := n.load(t, `
api = http.client(base)
def pull():
    pages = api.pages("/", next = "next")
    return [page["value"][0] for page in pages] + [page["value"][0] for page in pages]
`)
	v, err := s.pull(t.Context())
	wantValue(t, v, err, "[1, 2, 1, 2]")
	if s.stats.Pages != 4 || s.stats.Requests != 4 {
		t.Errorf("got %d pages, %d requests, want 4, 4", s.stats.Pages, s.stats.Requests)
	}
}

func TestPagesByCursor(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		from := r.URL.Query().Get("cursor")
		if r.Method == http.MethodPost {
			var body struct {
				Q      string
				Cursor any
			}
			json.NewDecoder(r.Body).Decode(&body)
			if body.Q != "all" {
				http.Error(w, "the question is gone", http.StatusBadRequest)
			}
			if from = ""; body.Cursor != nil {
				from = fmt.Sprint(body.Cursor)
			}
		}
		next := map[string]string{"": `"a&b"`, "a&b": `7`, "7": `null`}[from]
		fmt.Fprintf(w, `{"value": [%q], "meta": {"next": %s}}`, from, next)
	})
	for _, call := range []string{
		`"/", params = {"limit": 1, "cursor": None}, next = http.cursor("meta.next", "cursor")`,
		`"/", method = "POST", json = {"q": "all"}, next = http.cursor("meta.next", "cursor")`,
		`"/", next = lambda r: {"cursor": r["meta"]["next"]} if r["meta"]["next"] else None`,
	} {
		v, err := n.pullOnce(t, `base`, pagesOf(call))
		wantValue(t, v, err, `["", "a&b", "7"]`)
	}
	if got := n.requests()[1]; got != "GET /?limit=1&cursor=a%26b" {
		t.Errorf("got %s", got)
	}
}

func TestPagesByOffset(t *testing.T) {
	t.Parallel()
	answers := map[string]string{"": "[1, 2]", "2": "[3]", "3": "[4, 5]", "5": "[]"}
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bare" {
			io.WriteString(w, answers[r.URL.Query().Get("skip")])
			return
		}
		fmt.Fprintf(w, `{"value": %s, "more": %s}`, answers[r.URL.Query().Get("skip")], r.URL.Query().Get("more"))
	})
	v, err := n.pullOnce(t, `base`, pagesOf(`"/", params = {"more": 1}, next = http.offset("skip", 2)`))
	wantValue(t, v, err, "[1, 2, 3, 4, 5]") // a page of one row is short, and not the end
	v, err = n.pullOnce(t, `base`, pagesOf(`"/", params = {"more": "[]"}, next = http.offset("skip", 2, rows = "value")`))
	wantValue(t, v, err, "[1, 2, 3, 4, 5]")
	v, err = n.pullOnce(t, `base`, `return [list(p.json()) for p in api.pages("/bare", next = http.offset("skip", 2))]`)
	wantValue(t, v, err, "[[1, 2], [3], [4, 5], []]")

	_, err = n.pullOnce(t, `base`, pagesOf(`"/", params = {"more": "[]"}, next = http.offset("skip", 2)`))
	wantError(t, err, engine.CodeUpstream, "several lists")
	_, err = n.pullOnce(t, `base`, pagesOf(`"/", params = {"more": 1}, next = http.offset("skip", 1)`))
	wantError(t, err, engine.CodeUpstream, "2 rows in a page of 1")
}

func TestPagesAreNeverCutSilently(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/self":
			io.WriteString(w, `{"value": [], "next": "/self"}`)
		case "/ring":
			fmt.Fprintf(w, `{"value": [], "next": "/ring?p=%d"}`, map[string]int{"": 1, "1": 2, "2": 1}[r.URL.Query().Get("p")])
		case "/endless":
			fmt.Fprintf(w, `{"value": [], "next": "/endless?p=%sx"}`, r.URL.Query().Get("p"))
		case "/away":
			io.WriteString(w, `{"value": [], "next": "https://evil.example/?token=abcdefgh"}`)
		case "/number":
			io.WriteString(w, `{"value": [], "next": 5}`)
		case "/list":
			io.WriteString(w, `[]`)
		case "/late":
			if r.URL.Query().Get("p") != "" {
				http.Error(w, "no such page", http.StatusGone)
				return
			}
			io.WriteString(w, `{"value": [], "next": "?p=2&sig=abcdefgh"}`)
		}
	})
	for _, c := range []struct {
		call string
		code engine.Code
		want string
	}{
		{`"/self", next = "next"`, engine.CodeUpstream, "in a circle"},
		{`"/ring", next = "next"`, engine.CodeUpstream, "/ring?p=1: the API's pages go round in a circle"},
		{`"/endless", next = "next", max_pages = 3`, engine.CodeTooLarge, "more than 3 pages"},
		{`"/away", next = "next"`, engine.CodeUpstream, "next page: https://evil.example leaves " + n.base},
		{`"/number", next = "next"`, engine.CodeUpstream, `"next" holds int, want a link`},
		{`"/list", next = "next"`, engine.CodeUpstream, `has no key "next"`},
		{`"/late", next = "next"`, engine.CodeUpstream, "?p=2&sig=****SANITIZED****: 410 Gone: no such page"},
		{`"/self", next = lambda r: {}`, engine.CodeUpstream, "in a circle"},
		{`"/self", next = lambda r: 5`, engine.CodeUpstream, "returned int"},
		{`"/self", next = lambda r: "https://evil.example/"`, engine.CodeUpstream, "leaves"},
	} {
		_, err := n.pullOnce(t, `base`, `
for page in api.pages(`+c.call+`):
    pass`)
		wantError(t, err, c.code, c.want)
		n.noSecrets(t, err, "abcdefgh")
	}
	if got := strings.Count(strings.Join(n.requests(), "\n"), "/endless"); got != 3 {
		t.Errorf("got %d requests with max_pages = 3", got)
	}
	_, err := n.pullOnce(t, `base`, pagesOf(`"/self", next = lambda r: r["nope"]`))
	if err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("an error in next: got %v", err)
	}
}

func TestPagesThatAreNotJSONAreAskedForAgain(t *testing.T) {
	t.Parallel()
	tries := 0
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) {
		tries++
		w.Header().Set("Content-Type", "text/html")
		switch {
		case tries == 1 || r.URL.Path == "/always":
			io.WriteString(w, "<html><title>Maintenance</title></html>")
		case tries == 2:
			io.WriteString(w, `{"value": [1`)
		default:
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"value": [1]}`)
		}
	})
	client := `base, retry = http.retry(2, backoff = 0.001)`
	v, err := n.pullOnce(t, client, pagesOf(`"/", next = "next"`))
	wantValue(t, v, err, "[1]")
	tries = 0
	_, err = n.pullOnce(t, client, pagesOf(`"/always", next = "next"`))
	wantError(t, err, engine.CodeUpstream, "/always: 200 OK: want JSON, got text/html, 39 bytes: Maintenance")
	if tries != 3 {
		t.Errorf("got %d requests, want 3", tries)
	}
}

func TestNoContentIsTheEnd(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	v, err := n.pullOnce(t, `base`, pagesOf(`"/", next = "next"`))
	wantValue(t, v, err, "[]")
}
