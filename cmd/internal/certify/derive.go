package certify

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"starling/engine"
)

// An Exchange is a request with its answer, as it was recorded.
type Exchange struct {
	Method, URL string
	Type        string // of the request's body
	Sent        []byte
	Status      int
	Header      http.Header
	Body        []byte
}

// Derive finds out from exchanges how an API behaves: where the rows are, how requests choose among them,
// which page leads to which, and what else it answers.
func Derive(exchanges []Exchange, now time.Time) (*API, error) {
	api := &API{Now: now, Period: 10 * time.Minute}
	groups := map[string][]page{}
	linked := map[string]string{} // the group of what a page links to
	var order []string
	for _, e := range exchanges {
		base, _, _ := strings.Cut(e.URL, "?")
		p, ok := readPage(e)
		if !ok {
			if e.Status/100 == 2 {
				api.Answers = append(api.Answers, Answer{e.Method, base, e.Status, header(e), string(e.Body)})
			}
			continue
		}
		key := e.Method + " " + base
		if before := linked[e.URL]; before != "" {
			key = before
		}
		for _, v := range outside(p) {
			if link := resolved(e.URL, text(v)); link != nil {
				linked[link.String()] = key
			}
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], p)
	}
	for _, key := range order {
		l, err := derived(groups[key])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if l != nil {
			api.Lists = append(api.Lists, l)
		}
	}
	if len(api.Lists) == 0 {
		return nil, errors.New("no answer with rows: none is JSON with a list of objects")
	}
	return api, nil
}

// Summary says what the API is taken to be like, a line for each list.
func (a *API) Summary() (lines []string) {
	for _, l := range a.Lists {
		text := fmt.Sprintf("%s %s: %d rows", l.Method, l.URL, len(l.Rows))
		if l.At != "" {
			text += fmt.Sprintf(" at %q", l.At)
		}
		text += fmt.Sprintf(", told apart by %q", l.ID)
		if l.Time != "" {
			text += fmt.Sprintf(", chosen by %q", l.Time)
		}
		if l.Next.Kind != "" {
			text += ", next page by " + l.Next.words()
			if l.Next.Parts > 0 {
				text += fmt.Sprintf(", a list of %d", l.Next.Parts)
			}
			if l.Next.Always {
				text += ", also behind the last one"
			}
		}
		lines = append(lines, text)
	}
	return lines
}

func header(e Exchange) http.Header {
	h := http.Header{}
	if t := e.Header.Get("Content-Type"); t != "" {
		h.Set("Content-Type", t)
	}
	return h
}

// A page is an exchange that asked for rows.
type page struct {
	Exchange
	at    string
	rows  []map[string]any
	whole map[string]any
	given map[string]string
}

func readPage(e Exchange) (page, bool) {
	p := page{Exchange: e, given: map[string]string{}}
	if e.Status != http.StatusOK {
		return p, false
	}
	d := json.NewDecoder(strings.NewReader(string(e.Body)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return p, false
	}
	v = engine.PlainNumbers(v)
	if list, ok := v.([]any); ok {
		p.rows = objects(list)
	} else if m, ok := v.(map[string]any); ok {
		p.whole = m
		p.at, p.rows = rowsIn(m, "", 3)
		if p.at == "" {
			return p, false
		}
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return p, false
	}
	r := &http.Request{URL: u, Header: http.Header{"Content-Type": {e.Type}}}
	p.given = arguments(r, e.Sent)
	return p, true
}

func objects(list []any) (rows []map[string]any) {
	for _, x := range list {
		m, ok := x.(map[string]any)
		if !ok {
			return nil
		}
		rows = append(rows, m)
	}
	return rows
}

// rowsIn finds the longest list of objects, or an empty list, and its path.
func rowsIn(m map[string]any, path string, deep int) (at string, rows []map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		here := strings.TrimPrefix(path+"."+name, ".")
		switch v := m[name].(type) {
		case []any:
			if found := objects(v); (len(found) > 0 || len(v) == 0) && (at == "" || len(found) > len(rows)) {
				at, rows = here, found
			}
		case map[string]any:
			if deep > 0 {
				if inner, found := rowsIn(v, here, deep-1); inner != "" && (at == "" || len(found) > len(rows)) {
					at, rows = inner, found
				}
			}
		}
	}
	return at, rows
}

// derived makes a list of the pages that asked for it; nil if none has a row.
func derived(pages []page) (*List, error) {
	best := slices.MaxFunc(pages, func(a, b page) int { return len(a.rows) - len(b.rows) })
	if len(best.rows) == 0 {
		return nil, nil
	}
	base, _, _ := strings.Cut(pages[0].URL, "?")
	l := &List{Method: pages[0].Method, URL: base, At: best.at, Size: len(best.rows)}
	seen := map[string]bool{}
	for _, p := range pages {
		for _, fields := range p.rows {
			b, _ := json.Marshal(fields) // it was JSON
			if !seen[string(b)] {
				seen[string(b)] = true
				l.Rows = append(l.Rows, &Row{Fields: fields})
			}
		}
	}
	if l.ID = idOf(l.Rows); l.ID == "" {
		return nil, errors.New("no field of the rows tells them apart")
	}
	l.Time = timeOf(l, pages)
	l.Next = nextOf(pages)
	if best.whole != nil {
		l.Envelope = clone(best.whole).(map[string]any)
		set(l.Envelope, l.At, nil)
		if l.Next.Kind == "link" || l.Next.Kind == "cursor" {
			set(l.Envelope, l.Next.Key, nil)
		}
	}
	return l, nil
}

// idOf is the field with another value in each row; those with id in their name come first.
func idOf(rows []*Row) string {
	best, rank := "", 9
	for _, path := range fieldPaths(rows[0].Fields) {
		values := map[string]bool{}
		for _, r := range rows {
			switch v := get(r.Fields, path).(type) {
			case string, int64:
				values[text(v)] = true
			}
		}
		if len(values) != len(rows) || values[""] {
			continue
		}
		if n := idRank(path); n < rank {
			best, rank = path, n
		}
	}
	return best
}

func idRank(path string) int {
	name := strings.ToLower(path)
	switch {
	case name == "id" || name == "uuid":
		return 0
	case strings.HasSuffix(name, "traceid"), strings.HasSuffix(name, "eventid"):
		return 1
	case strings.HasSuffix(name, "id") || strings.HasSuffix(name, "guid") || strings.HasSuffix(name, "key"):
		return 2
	}
	return 5
}

// timeOf is the field that requests choose rows by: one that is a time in every row, and within what was asked for.
func timeOf(l *List, pages []page) string {
	for _, path := range fieldPaths(l.Rows[0].Fields) {
		fits, bounded := true, false
		for _, p := range pages {
			s := rangeOf(&List{Time: path}, p.given)
			s.openTo, s.openFrom = false, false
			bounded = bounded || !s.from.IsZero() || !s.to.IsZero()
			for _, fields := range p.rows {
				at, ok := moment(get(fields, path))
				fits = fits && ok && s.has(at)
			}
		}
		if fits && bounded {
			return path
		}
	}
	return ""
}
