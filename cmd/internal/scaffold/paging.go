package scaffold

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Paging is how the API pages.
type Paging struct {
	Kind  string // "link" (header), "url" (a key holds a link), "cursor", "offset", "page"
	Key   string // of url and cursor, with dots; of page: where the answer says the page's number
	Param string // of cursor, offset and page
	Size  int    // of offset
	Why   string // for people
	Sure  bool
}

var (
	offsetNames = []string{"offset", "$skip", "skip", "start", "startat", "startindex", "from_index", "first"}
	pageNames   = []string{"page", "pagenumber", "page_number", "pageindex", "p", "page[number]"}
	cursorNames = []string{"cursor", "pagetoken", "page_token", "nexttoken", "next_token", "after", "next", "continuation", "continuationtoken", "scroll_id", "marker", "starting_after", "next_cursor", "page[after]", "nextpagetoken", "pagingtoken", "next_page_token", "search_after"}
	sizeNames   = []string{"limit", "per_page", "perpage", "page_size", "pagesize", "$top", "top", "size", "count", "maxresults", "max_results", "max", "rows", "page[size]", "pagelimit", "page_limit"}
)

// pagingName reports whether a parameter belongs to paging.
func pagingName(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(offsetNames, name) || slices.Contains(pageNames, name) || slices.Contains(cursorNames, name) || slices.Contains(sizeNames, name)
}

// guessPaging guesses from the answer first, then from the request.
func (d *Draft) guessPaging() Paging {
	if p := d.Request.Paging; p.Kind != "" {
		return p
	}
	if s := d.Sample; s != nil && !s.Invent && s.Links {
		return Paging{Kind: "link", Why: "the sample came with a header Link that leads to the next page", Sure: true}
	}
	if s := d.Sample; s != nil {
		if p := d.pagingIn(s.top, nil, 3); p.Kind != "" {
			return p
		}
	}
	return d.pagingOfParams()
}

// pagingIn looks for what leads to the next page in the answer, outside of the rows.
func (d *Draft) pagingIn(object map[string]json.RawMessage, path []string, depth int) (best Paging) {
	for _, name := range keysIn(object) {
		v, here := object[name], append(append([]string{}, path...), name)
		if slices.Equal(here, d.Sample.Rows) || len(v) == 0 {
			continue
		}
		key := strings.Join(here, ".")
		var found Paging
		switch v[0] {
		case '{':
			var inner map[string]json.RawMessage
			if depth > 1 && json.Unmarshal(v, &inner) == nil {
				found = d.pagingIn(inner, here, depth-1)
			}
		case '"':
			var text string
			json.Unmarshal(v, &text)
			found = d.nextText(key, name, path, text)
		case 'n':
			if nextName(name, path) && !pageCount(name) {
				found = Paging{Kind: "url", Key: key, Why: key + " is null in the sample, which seems to be the last page; on others it holds a link, or a value to send along: then http.cursor is right"}
			}
		}
		if found.Kind != "" && (best.Kind == "" || found.Sure && !best.Sure) {
			best = found
		}
	}
	return best
}

func pageCount(name string) bool { return strings.Contains(strings.ToLower(name), "total") }

// nextName reports whether a key is one that leads to a next page.
func nextName(name string, path []string) bool {
	plain := notName.ReplaceAllString(strings.ToLower(name), "")
	if strings.HasPrefix(plain, "prev") || strings.HasPrefix(plain, "first") || strings.HasPrefix(plain, "last") {
		return false
	}
	if strings.Contains(plain, "next") {
		return true
	}
	inNext := len(path) > 0 && strings.Contains(strings.ToLower(path[len(path)-1]), "next")
	switch plain {
	case "href", "url", "link":
		return inNext
	case "cursor", "continuation", "continuationtoken", "scrollid", "pagetoken", "endcursor", "after":
		return true
	}
	return false
}

func (d *Draft) nextText(key, name string, path []string, text string) Paging {
	if !nextName(name, path) || text == "" {
		return Paging{}
	}
	if u, err := url.Parse(text); err == nil && (u.Scheme == "https" || u.Scheme == "http" || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "?")) {
		return Paging{Kind: "url", Key: key, Why: "the answer holds the link to the next page in " + key, Sure: true}
	}
	return d.cursorOf(key, name)
}

// cursorOf guesses the parameter that a cursor is sent as: one that the request has, or one that is mostly so called.
func (d *Draft) cursorOf(key, name string) Paging {
	p := Paging{Kind: "cursor", Key: key, Why: "the answer holds what leads to the next page in " + key}
	for _, param := range d.allParams() {
		if slices.Contains(cursorNames, strings.ToLower(param)) {
			p.Param, p.Sure = param, true
			return p
		}
	}
	switch plain := notName.ReplaceAllString(strings.ToLower(name), ""); plain {
	case "nextpagetoken":
		p.Param = map[bool]string{true: "page_token", false: "pageToken"}[strings.Contains(name, "_")]
	case "nextcursor", "endcursor":
		p.Param = "cursor"
	case "next":
		p.Param = "cursor"
	default:
		p.Param = strings.TrimPrefix(strings.TrimPrefix(name, "next_"), "@")
	}
	p.Why += "; that it is sent as " + p.Param + " is a guess"
	return p
}

// allParams are the parameters that the request has or may have.
func (d *Draft) allParams() (names []string) {
	for _, p := range d.Request.Params {
		names = append(names, p.Name)
	}
	return append(names, d.Request.Further...)
}

func (d *Draft) pagingOfParams() Paging {
	for _, name := range d.allParams() {
		lower := strings.ToLower(name)
		switch {
		case slices.Contains(offsetNames, lower):
			size := d.pageSize()
			return Paging{Kind: "offset", Param: name, Size: size, Why: "the request has " + name, Sure: d.hasSize()}
		case slices.Contains(pageNames, lower):
			return Paging{Kind: "page", Param: name, Key: d.pageKey(), Why: "the request has " + name, Sure: d.pageKey() != ""}
		case slices.Contains(cursorNames, lower) && lower != "next" && lower != "after":
			return Paging{Kind: "cursor", Key: "next", Param: name, Why: "the request has " + name + "; which key of the answer holds its value is a guess"}
		}
	}
	if d.Sample != nil && len(d.Sample.Rows) == 0 && !d.Sample.Invent {
		return Paging{Kind: "link", Why: "the answer is a bare list; such APIs mostly say in a header Link where the next page is, and without one there is none"}
	}
	return Paging{}
}

func (d *Draft) hasSize() bool {
	return slices.ContainsFunc(d.Request.Params, func(p Param) bool { return slices.Contains(sizeNames, strings.ToLower(p.Name)) })
}

// pageSize is how many rows a page has.
func (d *Draft) pageSize() int {
	for _, p := range d.Request.Params {
		if n, err := strconv.Atoi(p.Value); err == nil && n > 0 && slices.Contains(sizeNames, strings.ToLower(p.Name)) {
			return n
		}
	}
	return 100
}

// pageKey is the key of the answer that says which page it is.
func (d *Draft) pageKey() string {
	if d.Sample == nil {
		return ""
	}
	for _, name := range keysIn(d.Sample.top) {
		switch notName.ReplaceAllString(strings.ToLower(name), "") {
		case "page", "pagenumber", "currentpage", "pageindex":
			if v := d.Sample.top[name]; len(v) > 0 && v[0] >= '0' && v[0] <= '9' {
				return name
			}
		}
	}
	return ""
}

func keysIn(object map[string]json.RawMessage) []string {
	var keys []string
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
