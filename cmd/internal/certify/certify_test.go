package certify

import (
	"strings"
	"testing"
	"time"
)

func at(text string) time.Time {
	t, _ := time.Parse(time.RFC3339, text)
	return t
}

func TestRangesOfRequests(t *testing.T) {
	t.Parallel()
	const from, to = "2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z"
	both := span{from: at(from), to: at(to), openTo: true}
	whole := span{from: at(from), to: at(to)}
	rows := &List{Rows: []*Row{{ID: "r-1"}}}
	for name, c := range map[string]struct {
		given map[string]string
		want  span
	}{
		"names":        {map[string]string{"since": from, "until": to, "limit": "100"}, both},
		"other names":  {map[string]string{"createdFrom": from, "createdTo": to}, both},
		"brackets":     {map[string]string{"created[gte]": from, "created[lt]": to}, both},
		"seconds":      {map[string]string{"start_time": "1777629600", "end_time": "1777633200"}, both},
		"milliseconds": {map[string]string{"after": "1777629600000", "before": "1777633200000"}, both},
		"filter":       {map[string]string{"$filter": "created ge " + from + " and created le " + to}, whole},
		"open filter":  {map[string]string{"filter": "created gt " + from + " and created lt " + to}, span{from: at(from), to: at(to), openFrom: true, openTo: true}},
		"report":       {map[string]string{"$filter": "StartDate eq datetime'" + from + "' and EndDate eq datetime'" + to + "'"}, whole},
		"search":       {map[string]string{"phrase": "action:x created:" + from + ".." + to}, whole},
		"id":           {map[string]string{"after_id": "r-1"}, span{after: "r-1", openTo: true}},
		"nothing":      {map[string]string{"q": "alerts", "limit": "10"}, span{openTo: true}},
	} {
		if got := rangeOf(rows, c.given); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	edge := at(to)
	if both.has(edge) || !whole.has(edge) || !both.has(at(from)) || both.has(at(from).Add(-1)) {
		t.Error("the ends of a range do not belong to it as they should")
	}
}

func TestNewRowsAreLikeTheOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ id, want any }{{int64(7), int64(8)}, {"a-09", "a-10"}, {"x", "x1005"}, {"00000000-0000-0000-0000-000000000019", "00000000-0000-0000-0000-000000000020"}} {
		if got := nextID(c.id, 5); got != c.want {
			t.Errorf("behind %v: got %v, want %v", c.id, got, c.want)
		}
	}
	then := at("2026-05-01T11:00:00Z")
	for _, c := range []struct{ like, want any }{{"2026-01-01T00:00:00Z", "2026-05-01T11:00:00Z"}, {"2026-01-01T02:00:00+02:00", "2026-05-01T13:00:00+02:00"},
		{"2026-01-01T00:00:00.1234567", "2026-05-01T11:00:00"}, {int64(1767225600), int64(1777633200)}, {int64(1767225600000), int64(1777633200000)}, {"1767225600", "1777633200"}} {
		if got := likeTime(c.like, then); got != c.want {
			t.Errorf("like %v: got %v, want %v", c.like, got, c.want)
		}
	}
}

func TestDeclaredMistakes(t *testing.T) {
	t.Parallel()
	rows := []any{map[string]any{"id": "a"}}
	for want, declared := range map[string]map[string]any{
		"certify: url: is missing":                 {"rows": rows},
		"certify: rows: is missing":                {"url": "https://x.example"},
		"certify: clock: is missing":               {"url": "https://x.example", "rows": rows},
		"certify: clock: want a time":              {"url": "https://x.example", "rows": rows, "clock": "now"},
		"certify: next: want {":                    {"url": "https://x.example", "rows": rows, "next": map[string]any{"links": "x"}},
		"certify: next.parts: want how many":       {"url": "https://x.example", "rows": rows, "next": map[string]any{"link": "x", "parts": int64(2)}},
		"certify: next.always: goes with":          {"url": "https://x.example", "rows": rows, "next": map[string]any{"page": "x", "always": true}},
		"certify: next.parm: is no key of it":      {"url": "https://x.example", "rows": rows, "next": map[string]any{"cursor": "x", "parm": "y"}},
		"certify: next.always: got \"yes\"":        {"url": "https://x.example", "rows": rows, "next": map[string]any{"link": "x", "always": "yes"}},
		"certify: sise: is no key of it":           {"url": "https://x.example", "rows": rows, "sise": int64(2)},
		"certify: size: got \"2\", want a number":  {"url": "https://x.example", "rows": rows, "size": "2"},
		"certify: late: got \"soon\", want a time": {"url": "https://x.example", "rows": rows, "late": "soon"},
		"certify: lists[1].url: is missing":        {"clock": "2026-05-01T12:00:00Z", "lists": []any{map[string]any{"url": "https://x.example", "rows": rows}, map[string]any{"rows": rows}}},
		"certify: answers[0].jsn: is no key":       {"url": "https://x.example", "rows": rows, "answers": []any{map[string]any{"jsn": "x"}}},
	} {
		_, err := Declared(declared, time.Time{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
