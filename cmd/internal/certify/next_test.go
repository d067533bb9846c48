package certify

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A player asks an API as it is when nothing is broken.
type player struct {
	t *testing.T
	s *server
	l *List
}

func play(t *testing.T, more map[string]any, now *time.Time) *player {
	t.Helper()
	declared := map[string]any{"clock": "2026-05-01T12:00:00Z", "url": "https://x.example/rows", "at": "rows", "time": "created", "size": int64(2), "late": "1m", "rows": []any{
		map[string]any{"id": "a-1", "created": "2026-05-01T11:00:00Z"},
		map[string]any{"id": "a-2", "created": "2026-05-01T11:01:00Z"},
		map[string]any{"id": "a-3", "created": "2026-05-01T11:02:00Z"},
	}}
	for key, v := range more {
		declared[key] = v
	}
	api, err := Declared(declared, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	l := api.Lists[0]
	for _, r := range l.Rows {
		r.ID = text(r.Fields["id"])
		r.Time, _ = moment(r.Fields["created"])
		r.Visible = r.Time.Add(l.Late)
	}
	return &player{t, &server{api: api, cell: &Cell{}, now: func() time.Time { return *now }}, l}
}

// get returns the ids of a page, and what its answer says of the next one.
func (p *player) get(link string) (ids string, next any) {
	p.t.Helper()
	r := httptest.NewRequest(http.MethodGet, link, nil)
	a, err := p.s.page(r, nil, p.l, &served{})
	if err != nil || a.Status != http.StatusOK {
		p.t.Fatalf("%s: %d %s %v", link, a.Status, a.Body, err)
	}
	var whole struct {
		Rows []struct{ ID string }
		Next any
	}
	if err := json.Unmarshal([]byte(a.Body), &whole); err != nil {
		p.t.Fatal(err)
	}
	for _, row := range whole.Rows {
		ids += row.ID + " "
	}
	return strings.TrimSpace(ids), whole.Next
}

func TestALinkThatIsThereForEver(t *testing.T) {
	t.Parallel()
	now := at("2026-05-01T12:00:00Z")
	p := play(t, map[string]any{"next": map[string]any{"link": "next", "always": true}}, &now)
	link := any("https://x.example/rows?since=2026-05-01T11:02:00Z")
	for i, want := range []string{"a-2 a-3", "", "", "a-4 late-1", "a-5"} { // a-2 appeared at 11:02
		if i == 3 {
			appear := func(id, created, visible string) {
				p.l.Rows = append(p.l.Rows, &Row{ID: id, Fields: map[string]any{"id": id}, Time: at(created), Visible: at(visible)})
			}
			appear("a-5", "2026-05-01T12:03:00Z", "2026-05-01T12:04:00Z")
			appear("late-1", "2026-05-01T09:00:00Z", "2026-05-01T12:03:00Z")
			appear("a-4", "2026-05-01T12:01:00Z", "2026-05-01T12:02:00Z")
			now = at("2026-05-01T12:05:00Z")
		}
		var got string
		if got, link = p.get(link.(string)); got != want {
			t.Errorf("page %d: got %q, want %q", i, got, want)
		}
	}
}

func TestACursorThatIsAList(t *testing.T) {
	t.Parallel()
	now := at("2026-05-01T12:00:00Z")
	p := play(t, map[string]any{"next": map[string]any{"cursor": "next", "param": "after", "parts": int64(3)}}, &now)
	ids, next := p.get("https://x.example/rows")
	parts, _ := next.([]any)
	if ids != "a-1 a-2" || len(parts) != 3 {
		t.Fatalf("got %s and then %v, want a list of 3", ids, next)
	}
	if ids, next := p.get("https://x.example/rows?after=" + url.QueryEscape(joined(parts))); ids != "a-3" || next != nil {
		t.Errorf("got %s and then %v, want a-3 and no more", ids, next)
	}
	r := httptest.NewRequest(http.MethodGet, "https://x.example/rows?after="+text(parts[0]), nil)
	if a, _ := p.s.page(r, nil, p.l, &served{}); a.Status != http.StatusBadRequest {
		t.Errorf("got %d for the first part alone, want 400", a.Status)
	}
}

func TestExchangesTellOfAStreamAndOfAList(t *testing.T) {
	t.Parallel()
	linked := func(url, body string) Exchange {
		e := exchange(url, body)
		e.Header.Set("Link", `<https://x.example/log?after=b>; rel="next"`)
		return e
	}
	for name, c := range map[string]struct {
		pages []Exchange
		want  Next
		says  string
	}{
		"stream":         {[]Exchange{linked("https://x.example/log?since=1", rowsA), linked("https://x.example/log?after=b", `[]`)}, Next{Kind: "header", Key: "Link", Always: true}, "the header Link, also behind the last one"},
		"stream in part": {[]Exchange{linked("https://x.example/log?since=1", rowsA), linked("https://x.example/log?after=b", rowsB)}, Next{Kind: "header", Key: "Link"}, "the header Link"},
		"list": {[]Exchange{exchange(asked, `{"rows": `+rowsA+`, "next": ["17", "b"]}`), exchange(asked+"&offset=17,b", `{"rows": `+rowsB+`, "next": null}`)},
			Next{Kind: "cursor", Key: "next", Param: "offset", Parts: 2}, `"next" in the answer, a list of 2`},
	} {
		api, err := Derive(c.pages, at("2026-05-01T12:00:00Z"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := api.Lists[0].Next; got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		} else if line := api.Summary()[0]; !strings.HasSuffix(line, "next page by "+c.says) {
			t.Errorf("%s: got %s, want %s at its end", name, line, c.says)
		}
	}
}

func TestAnOddValueIsNobodysElse(t *testing.T) {
	t.Parallel()
	rows := []any{}
	for _, id := range []string{"6", "7", "8", "9"} {
		rows = append(rows, map[string]any{"id": id, "kind": "seven", "level": int64(7)})
	}
	api, err := Declared(map[string]any{"clock": "2026-05-01T12:00:00Z", "url": "https://x.example/rows", "rows": rows}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Prepare(); err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, r := range api.rows() {
		taken[r.ID] = true
	}
	for _, c := range api.changes() {
		if c.Name == "changed-type" && c.Change.Path == "id" && taken[text(c.Change.Value)] {
			t.Errorf("the changed id is %v, which is that of another row", c.Change.Value)
		}
	}
}

func TestATextMentionsAnID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body, id string
		want     bool
	}{
		{"id=a-1 ok", "a-1", true}, {"a-1", "a-1", true}, {"id=a-10 ok", "a-1", false}, {"a-10, a-1", "a-1", true}, {"xa-1", "a-1", false}, {"11-1", "1", true}, {"2111", "1", false}, {"", "a", false},
	} {
		if got := mentions(c.body, c.id); got != c.want {
			t.Errorf("%q in %q: got %v, want %v", c.id, c.body, got, c.want)
		}
	}
}
