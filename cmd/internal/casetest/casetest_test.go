package casetest

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"starling/cmd/internal/certify"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	test, function, files := Write(Recording{
		Name: "First pull-2", Settings: map[string]any{"url": "https://a.example", "on": true, "n": int64(3), "list": []any{nil, 1.5}},
		Now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Cursors: map[string]json.RawMessage{"last": []byte(`{"a": "<b>"}`)},
		Exchanges: []certify.Exchange{
			{Method: "GET", URL: "https://a.example/x"},
			{Method: "GET", URL: "https://a.example/x", Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: []byte("later")},
			{Method: "GET", URL: "https://a.example/x?page=2", Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("{}")},
		}})
	want := `def test_first_pull_2(t):
    """Made of the recording First pull-2."""
    t.settings(**{"list": [None, 1.5], "n": 3, "on": True, "url": "https://a.example"})
    t.clock("2026-05-01T12:00:00Z")
    t.cursor("last", json.decode("{\"a\": \"<b>\"}"))
    t.http("GET", "https://a.example/x?page=2", file = "testdata/first_pull_2/001.json", headers = {"Content-Type": "application/json"})
    # GET https://a.example/x had no answer
    t.http("GET", "https://a.example/x", file = "testdata/first_pull_2/003.txt", status = 429, headers = {"Retry-After": "7"})
    t.golden("first_pull_2/pull.json", t.pull())
`
	if test != "test_first_pull_2" || function != want {
		t.Errorf("got %s\n%s\nwant\n%s", test, function, want)
	}
	if len(files) != 2 || files["first_pull_2/001.json"] != "{}" || files["first_pull_2/003.txt"] != "later" {
		t.Errorf("got %v", files)
	}
}
