package dev

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"starling/cmd/internal/layout"
	"starling/cmd/internal/problem"
	"starling/engine"
)

// sampleResult has something of everything, and all of it long.
func sampleResult() *Result {
	long := strings.Repeat("long 日本語 ", 40)
	return &Result{
		OK: true, At: time.Unix(0, 0), Script: "a.star", Version: "0123456789ab", From: "a.case", Stats: engine.PullStats{Rows: 3, Requests: 2},
		Requests: []Request{
			{Method: "GET", URL: "https://api.example.com/v1/alerts?from=2026-05-01T11:00:00Z&to=2026-05-01T12:00:00Z&cursor=one", Status: 200, Bytes: 12345, From: "recording"},
			{Method: "GET", URL: "https://api.example.com/v1/alerts?from=2026-05-01T11:00:00Z&to=2026-05-01T12:00:00Z&cursor=two", Error: "the recording has no answer to this request", From: "nowhere"},
		},
		Quotas:   []Quota{{"mine", 3, 100, "1m0s"}},
		After:    map[string]json.RawMessage{"window": json.RawMessage(`"` + long + `"`)},
		First:    []Pair{{`{"a":"` + long + `","b":"\u001b[31m"}`, "my.app.x", "-", `{"a":"` + long + "\x1b[31m\u202e" + `"}`}},
		Warnings: []string{long},
		Changes:  Changes{Added: 700, Removed: 700, Compared: 500, Fields: []FieldChange{{"a", long, long, 500}}, Diff: "-" + long},
	}
}

func TestTextFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, width := range []int{30, 40, 80, 200} {
		s := &Session{good: sampleResult()}
		failed := sampleResult()
		failed.OK, failed.Problem = false, &problem.Problem{Text: "a.star:1:1: " + strings.Repeat("wrong ", 60) + "\n            x = wrong()\n                ^"}
		for _, r := range []*Result{sampleResult(), failed} {
			text := s.Text(r, Look{Width: width, Height: 40})
			if !r.OK && !strings.Contains(text, "\n          x = wrong()\n              ^\n") {
				t.Errorf("%d columns: the caret is elsewhere:\n%s", width, text)
			}
			for line := range strings.Lines(text) {
				if n := layout.Cells(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("%d columns: %d in %q", width, n, line)
				}
			}
			if strings.ContainsAny(text, "\x1b\u202e") {
				t.Errorf("%d columns: a terminal would obey\n%q", width, text)
			}
		}
	}
}

func TestTextSaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	s := &Session{}
	text := s.Text(sampleResult(), Look{Width: 80})
	for _, want := range []string{
		"requests 2, sent again 0, to https://api.example.com\n",
		"cursor=one  200, 12345 bytes, 0 ms, recording\n", // its end tells a page from the next
		"cursor=two  the recording has no answer to this request\n",
		"quota       mine: 3 of 100 in 1m\n",
		"events since the last save: 700 differ; the first 500 are compared\n  a, in 500\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if lines := strings.Count(text, "\n"); s.Text(sampleResult(), Look{Width: 80, Height: lines}) != text {
		t.Errorf("it has %d lines, and does not stand whole on so many", lines)
	}
	short := s.Text(sampleResult(), Look{Width: 80, Height: 6})
	if n := strings.Count(short, "\n"); n != 6 || !strings.Contains(short, "more lines; --plain or a larger terminal shows them") {
		t.Errorf("want 6 lines, and how many more there are; got %d\n%s", n, short)
	}
}

func TestNoPartOfASecretIsShown(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("k3y", 30)
	redact := func(text string) string { return strings.ReplaceAll(text, secret, "***") }
	r := sampleResult()
	r.Requests[0].URL += "&key=" + secret + "&more=" + strings.Repeat("x", 50)
	r.First[0].Row, r.Warnings = `{"a":"`+secret+`"}`, []string{"what the API says: " + secret}
	if text := (&Session{}).Text(r, Look{Width: 60, Redact: redact}); strings.Contains(text, "k3y") || strings.Count(text, "***") < 2 {
		t.Errorf("got\n%s", text)
	}
}
