package certify

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// nextOf finds what of an answer, or of a request, leads to the request behind it.
func nextOf(pages []page) Next {
	for i := range pages[:len(pages)-1] {
		a, b := pages[i], pages[i+1]
		if n, ok := leadsTo(a, b); ok {
			n.Always = n.always(pages[len(pages)-1])
			return n
		}
	}
	for _, p := range pages { // nothing followed it
		for path, v := range outside(p) {
			if strings.HasPrefix(text(v), "http") && strings.Contains(strings.ToLower(path), "next") {
				return Next{Kind: "link", Key: path, Param: newParam(p.given, text(v))}
			}
		}
	}
	return Next{}
}

// always reports whether the last page is empty and leads on all the same.
func (n Next) always(last page) bool {
	switch {
	case len(last.rows) > 0:
		return false
	case n.Kind == "header":
		return strings.Contains(last.Header.Get("Link"), "next")
	}
	return n.leads() && get(map[string]any(last.whole), n.Key) != nil
}

func leadsTo(a, b page) (Next, bool) {
	to, err := url.Parse(b.URL)
	if err != nil {
		return Next{}, false
	}
	if strings.Contains(a.Header.Get("Link"), "next") {
		return Next{Kind: "header", Key: "Link"}, true
	}
	values := outside(a)
	for _, path := range slices.Sorted(maps.Keys(values)) {
		s := text(values[path])
		if parts, ok := values[path].([]any); ok {
			s = joined(parts)
		}
		if link := resolved(a.URL, s); link != nil && link.Path == to.Path && link.Query().Encode() == to.Query().Encode() {
			return Next{Kind: "link", Key: path, Param: newParam(a.given, to.String())}, true
		}
		for name, given := range b.given {
			if s != "" && given == s && a.given[name] != s {
				parts, _ := values[path].([]any)
				return Next{Kind: "cursor", Key: path, Param: name, Parts: len(parts)}, true
			}
		}
	}
	for name, given := range b.given {
		n, err := strconv.Atoi(given)
		before, _ := strconv.Atoi(a.given[name])
		switch {
		case err != nil || n <= before:
		case n-before == len(a.rows) && len(a.rows) > 1:
			return Next{Kind: "offset", Key: name, Param: name}, true
		case n-before == 1 || n == 2 && before == 0:
			return Next{Kind: "page", Key: name, Param: name}, true
		}
	}
	return Next{}, false
}

// joined is a list as a parameter has it.
func joined(parts []any) string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = text(part)
	}
	return strings.Join(texts, ",")
}

// resolved is the URL that a text of an answer is, or nil.
func resolved(from, s string) *url.URL {
	base, err := url.Parse(from)
	if err != nil || !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "http") && !strings.Contains(s, "?") {
		return nil
	}
	link, err := base.Parse(s)
	if err != nil {
		return nil
	}
	return link
}

// newParam is the parameter of a link that the request before it did not have.
func newParam(given map[string]string, link string) string {
	if u, err := url.Parse(link); err == nil {
		for _, name := range slices.Sorted(maps.Keys(u.Query())) {
			if _, ok := given[name]; !ok {
				return name
			}
		}
	}
	return "page_token"
}

// outside are the values of an answer that are not rows, by path.
func outside(p page) map[string]any {
	found := map[string]any{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if path == p.at && path != "" {
			return
		}
		switch v := v.(type) {
		case map[string]any:
			for name, x := range v {
				walk(strings.TrimPrefix(path+"."+name, "."), x)
			}
		case string, int64, []any:
			found[path] = v
		}
	}
	walk("", map[string]any(p.whole))
	return found
}
