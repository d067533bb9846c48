package certify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Cell is one way in which the API, or the machine, is not as it should be.
type Cell struct {
	Name        string // such as "empty-page"
	When        string // the same in words: "when a page in between has no rows"
	Page        string // how pages are other than they should be
	Change      *Change
	Fault       *Fault
	Expire      int // the request from which on tokens of before are refused
	KillRequest int // the request that a kill meets
	KillCommit  int // the commit that a kill meets
	KillAfter   bool
	Old         bool // goes on from an old checkpoint at the end
	Skew        time.Duration
}

// A Change is another value of a field in one row.
type Change struct {
	Row    *Row
	Path   string
	Value  any
	Delete bool
}

// pageOf returns the rows of a page and the state of the next one, or nil.
func (c *Cell) pageOf(l *List, st *state) ([]*Row, *state) {
	rows := st.rows[min(st.offset, len(st.rows)):min(st.offset+l.Size, len(st.rows))]
	var next *state
	if l.Next.Always || st.offset+l.Size < len(st.rows) && l.Next.Kind != "" {
		next = &state{list: l, rows: st.rows, offset: st.offset + len(rows), query: st.query, given: st.given}
	}
	middle := l.Size // the page that another one is put in front of
	if len(st.rows) <= l.Size {
		middle = 0
	}
	again := *st
	again.variant = 1
	switch {
	case c.Page == "empty" && l.Next.leads() && st.offset == middle && st.variant == 0 && len(rows) > 0:
		return nil, &again
	case c.Page == "repeated" && l.Next.leads() && st.offset == middle && middle > 0 && st.variant == 0:
		return st.rows[:l.Size], &again
	case c.Page == "empty last" && l.Next.leads() && next == nil && len(rows) > 0:
		again.offset = len(st.rows)
		return rows, &again
	case c.Page == "reordered":
		rows = slices.Clone(rows)
		slices.Reverse(rows)
	case c.Page == "repeated rows" && st.offset > 0 && len(rows) > 0:
		rows = append([]*Row{st.rows[st.offset-1]}, rows...)
	}
	return rows, next
}

// leads reports whether answers lead to the next page, so that a page can be put in between.
func (n Next) leads() bool {
	return slices.Contains([]string{"link", "cursor", "header"}, n.Kind)
}

// fieldsOf returns a row as the cell has it.
func (c *Cell) fieldsOf(r *Row) map[string]any {
	if c.Change == nil || c.Change.Row != r {
		return r.Fields
	}
	fields := clone(r.Fields).(map[string]any)
	if c.Change.Delete {
		set(fields, c.Change.Path, nil)
		return fields
	}
	put(fields, c.Change.Path, c.Change.Value)
	return fields
}

// put sets a value at a path that exists; the value may be nil.
func put(m map[string]any, path string, v any) {
	if _, whole := m[path]; whole {
		m[path] = v
		return
	}
	head, rest, ok := strings.Cut(path, ".")
	if inner, isMap := m[head].(map[string]any); ok && isMap {
		put(inner, rest, v)
		return
	}
	m[path] = v
}

// cells makes the matrix, from what the script asked for when nothing was broken.
func (a *API) cells(plain *outcome) (cells []*Cell) {
	add := func(c Cell) { cells = append(cells, &c) }
	for _, p := range []struct{ name, page, when string }{
		{"empty-page", "empty", "when a page in between has no rows"},
		{"last-page-empty", "empty last", "when the last page has no rows"},
		{"repeated-page", "repeated", "when a page comes twice"},
		{"reordered-rows", "reordered", "when the rows of each page come in the opposite order"},
		{"repeated-rows", "repeated rows", "when each page begins with the last row of the one before"},
	} {
		if a.applies(p.page) {
			add(Cell{Name: p.name, Page: p.page, When: p.when})
		}
	}
	for _, f := range []struct{ name, kind string }{{"429", "429"}, {"429-retry-after", "429 with Retry-After"}, {"5xx", "500"}, {"5xx", "503"},
		{"timeout", "no answer in time"}, {"reset", "a connection reset"}, {"truncated", "half of its JSON"}, {"html", "HTML with status 200"}} {
		for _, one := range chosen(plain.log) {
			for _, lasts := range []string{once, onePull} {
				if lasts == once && one.Number > 2 { // what is sent again inside http is the same everywhere
					continue
				}
				add(Cell{Name: f.name, Fault: &Fault{f.kind, one.Number, lasts}, When: fmt.Sprintf("when %s gets %s, %s", one.words(), f.kind, lasts)})
			}
		}
	}
	for _, f := range []struct{ name, kind string }{{"5xx-for-good", "500"}, {"html-for-good", "HTML with status 200"}} {
		for _, one := range chosen(plain.log) {
			if one.List != nil {
				add(Cell{Name: f.name, Fault: &Fault{f.kind, one.Number, forGood}, When: fmt.Sprintf("when everything from %s on gets %s, for three pulls", one.words(), f.kind)})
			}
		}
	}
	if slices.ContainsFunc(plain.log, func(s *served) bool { return s.SignIn }) {
		for _, one := range chosen(plain.log) {
			if one.List != nil {
				add(Cell{Name: "token-expiry", Expire: one.Number, When: fmt.Sprintf("when the token has expired at %s", one.words())})
			}
		}
	}
	cells = append(cells, a.changes()...)
	add(Cell{Name: "clock-ahead", Skew: 10 * time.Minute, When: "when this machine's clock is 10 minutes ahead"})
	add(Cell{Name: "clock-behind", Skew: -10 * time.Minute, When: "when this machine's clock is 10 minutes behind"})
	for n := 1; n <= min(plain.commits, 5); n++ {
		add(Cell{Name: "kill-at-commit", KillCommit: n, When: fmt.Sprintf("when a kill comes before commit %d", n)})
		add(Cell{Name: "kill-at-commit", KillCommit: n, KillAfter: true, When: fmt.Sprintf("when a kill comes behind commit %d", n)})
	}
	for _, one := range chosen(plain.log) {
		add(Cell{Name: "kill-at-request", KillRequest: one.Number, When: fmt.Sprintf("when a kill comes at %s", one.words())})
	}
	add(Cell{Name: "old-checkpoint", Old: true, When: "when it starts again with the cursors of its first commit"})
	return cells
}

func (a *API) applies(page string) bool {
	return slices.ContainsFunc(a.Lists, func(l *List) bool {
		switch page {
		case "reordered":
			return !l.Ordered
		case "repeated rows":
			return l.Next.Kind != ""
		case "empty last":
			return l.Next.leads() && !l.Next.Always // or it is so at any rate
		}
		return l.Next.leads()
	})
}

// chosen are the requests that are broken: the first ones of the first two pulls that asked for rows.
func chosen(log []*served) (few []*served) {
	first, second := 0, 0
	for _, one := range log {
		switch {
		case one.Pull == 0 && first < 5:
			first++
		case one.Pull == 1 && second < 2:
			second++
		default:
			continue
		}
		few = append(few, one)
	}
	return few
}

func (s *served) words() string {
	path, _, _ := strings.Cut(s.URL, "?")
	if i := strings.Index(path, "://"); i >= 0 {
		if j := strings.Index(path[i+3:], "/"); j >= 0 {
			path = path[i+3+j:]
		}
	}
	return fmt.Sprintf("request %d (%s %s)", s.Number, s.Method, path)
}
