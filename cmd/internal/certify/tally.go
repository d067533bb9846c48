package certify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A tally is how often events of each row came.
type tally struct {
	times   map[string]int
	strange int // events of no known row
}

// idPath is the path in events that tells rows apart: that with the most ids of rows.
func (a *API) idPath(o *outcome) string {
	ids := map[string]bool{}
	for _, row := range a.rows() {
		ids[row.ID] = true
	}
	found := map[string]map[string]bool{}
	for _, event := range o.events {
		for path, value := range event {
			if ids[value] {
				if found[path] == nil {
					found[path] = map[string]bool{}
				}
				found[path][value] = true
			}
		}
	}
	best := ""
	for path, values := range found {
		if n, most := len(values), len(found[best]); best == "" || n > most || n == most && path < best {
			best = path
		}
	}
	return best
}

func (a *API) rows() (all []*Row) {
	for _, l := range a.Lists {
		all = append(all, l.Rows...)
	}
	return all
}

// tally counts the events of an outcome. In texts, an id is looked for.
func (a *API) tally(o *outcome, path string) tally {
	t := tally{times: map[string]int{}}
	ids := map[string]bool{}
	for _, row := range a.rows() {
		ids[row.ID] = true
	}
	for _, event := range o.events {
		if id := event[path]; ids[id] {
			t.times[id]++
			continue
		}
		known := false
		if body, ok := event[""]; ok {
			for id := range ids {
				if mentions(body, id) {
					t.times[id]++
					known = true
				}
			}
		}
		if !known {
			t.strange++
		}
	}
	return t
}

// mentions reports whether a text has an id, and not as a part of a longer one.
func mentions(body, id string) bool {
	for from := 0; ; from++ {
		at := strings.Index(body[from:], id)
		if at < 0 {
			return false
		}
		from += at
		last, _ := utf8.DecodeLastRuneInString(body[:from])
		first, _ := utf8.DecodeRuneInString(body[from+len(id):])
		if !inWord(last) && !inWord(first) {
			return true
		}
	}
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
