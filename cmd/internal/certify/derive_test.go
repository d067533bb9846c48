package certify

import (
	"fmt"
	"net/http"
	"testing"
)

func exchange(url, body string) Exchange {
	return Exchange{Method: "GET", URL: url, Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
}

const (
	rowsA = `[{"id": "a-1", "created": "2026-05-01T10:01:00Z", "updated": "2026-05-02T10:00:00Z", "n": 1}, {"id": "a-2", "created": "2026-05-01T10:02:00Z", "updated": "2026-05-02T10:00:00Z", "n": 2}]`
	rowsB = `[{"id": "a-3", "created": "2026-05-01T10:03:00Z", "updated": "2026-05-02T10:00:00Z", "n": 3}]`
	asked = "https://api.example.com/items?from=2026-05-01T10:00:00Z&to=2026-05-01T11:00:00Z"
)

func TestWhatExchangesTell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second Exchange
		at, time      string
		next          Next
	}{
		"link": {exchange(asked, `{"d": {"items": `+rowsA+`}, "next": "`+asked+`&skip=x1"}`), exchange(asked+"&skip=x1", `{"d": {"items": `+rowsB+`}}`),
			"d.items", "created", Next{Kind: "link", Key: "next", Param: "skip"}},
		"cursor": {exchange(asked, `{"items": `+rowsA+`, "meta": {"next": "x1"}}`), exchange(asked+"&cursor=x1", `{"items": `+rowsB+`, "meta": {}}`),
			"items", "created", Next{Kind: "cursor", Key: "meta.next", Param: "cursor"}},
		"offset": {exchange(asked+"&skip=0", rowsA), exchange(asked+"&skip=2", rowsB), "", "created", Next{Kind: "offset", Key: "skip", Param: "skip"}},
		"page":   {exchange("https://api.example.com/items?page=1", rowsA), exchange("https://api.example.com/items?page=2", rowsB), "", "", Next{Kind: "page", Key: "page", Param: "page"}},
		"no second": {exchange(asked, `{"value": `+rowsA+`, "@odata.nextLink": "`+asked+`&$skiptoken=x1"}`), exchange("https://api.example.com/token", `{"access_token": "x"}`),
			"value", "created", Next{Kind: "link", Key: "@odata.nextLink", Param: "$skiptoken"}},
	} {
		api, err := Derive([]Exchange{c.first, c.second}, at("2026-05-01T12:00:00Z"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l := api.Lists[0]
		got := fmt.Sprint(l.At, " ", l.ID, " ", l.Time, " ", l.Next, " ", l.URL)
		if want := fmt.Sprint(c.at, " id ", c.time, " ", c.next, " https://api.example.com/items"); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
		if err := api.Prepare(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Derive([]Exchange{exchange(asked, `{"items": [1]}`)}, at("2026-05-01T12:00:00Z")); err == nil {
		t.Error("derived an API from nothing")
	}
}
