package certify

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// keys reads a declared dict key by key; the first mistake counts, and a key that nothing read is one.
type keys struct {
	where string // in front of the keys, such as "next."
	left  map[string]any
	read  []string
	err   error
}

func (k *keys) fail(key, format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("certify: %s%s: %s", k.where, key, fmt.Sprintf(format, args...))
	}
}

func take[T any](k *keys, key string, fallback T, want string) T {
	k.read = append(k.read, key)
	v, ok := k.left[key]
	if !ok || v == nil {
		return fallback
	}
	t, ok := v.(T)
	if !ok {
		got, _ := json.Marshal(v) // it was JSON
		k.fail(key, "got %s, want %s", got, want)
		return fallback
	}
	return t
}

func (k *keys) text(key, fallback string) string { return take(k, key, fallback, "a text") }
func (k *keys) flag(key string) bool             { return take(k, key, false, "True or False") }
func (k *keys) number(key string, n int) int     { return int(take(k, key, int64(n), "a number")) }
func (k *keys) dict(key string) map[string]any {
	return take(k, key, map[string]any{}, "a dict")
}

func (k *keys) list(key string) (dicts []map[string]any) {
	for i, v := range take(k, key, []any(nil), "a list of dicts") {
		d, ok := v.(map[string]any)
		if !ok {
			k.fail(key, "[%d]: got %s, want a dict", i, text(v))
			continue
		}
		dicts = append(dicts, d)
	}
	return dicts
}

func (k *keys) texts(key string) (texts []string) {
	for _, v := range take(k, key, []any(nil), "a list of texts") {
		texts = append(texts, text(v))
	}
	return texts
}

func (k *keys) duration(key string, fallback time.Duration) time.Duration {
	s := k.text(key, "")
	if s == "" {
		return fallback
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		k.fail(key, "got %q, want a time such as \"10m\"", s)
	}
	return d
}

// next reads how an answer leads to the next page.
func (k *keys) next() Next {
	in := &keys{where: k.where + "next.", left: k.dict("next")}
	n := Next{Param: in.text("param", ""), Parts: in.number("parts", 0), Always: in.flag("always")}
	for _, kind := range []string{"link", "cursor", "offset", "page", "header"} {
		if key := in.text(kind, ""); key != "" {
			n.Kind, n.Key = kind, key
		}
	}
	switch {
	case n.Kind == "" && len(in.left) > 0:
		k.fail("next", "want {\"link\": KEY}, {\"cursor\": KEY, \"param\": PARAM}, {\"offset\": PARAM}, {\"page\": PARAM} or {\"header\": \"Link\"}")
	case n.Parts != 0 && (n.Kind != "cursor" || n.Parts < 0):
		in.fail("parts", "want how many a cursor has that is a list")
	case n.Always && !n.leads():
		in.fail("always", "goes with link, cursor or header")
	case n.Param == "" && n.Kind == "link":
		n.Param = "page_token"
	case n.Param == "":
		n.Param = n.Key
	}
	k.took(in)
	return n
}

// answer reads one of the answers, with the keywords of t.http.
func (k *keys) answer(i int, d map[string]any) Answer {
	in := &keys{where: fmt.Sprintf("%sanswers[%d].", k.where, i), left: d}
	a := Answer{Method: in.text("method", "GET"), Part: in.text("url", ""), Status: in.number("status", http.StatusOK), Body: in.text("body", ""), Header: http.Header{}}
	in.read = append(in.read, "json")
	if v, ok := d["json"]; ok {
		b, _ := json.Marshal(v) // it was JSON
		a.Body = string(b)
		a.Header.Set("Content-Type", "application/json")
	}
	for name, v := range in.dict("headers") {
		a.Header.Set(name, text(v))
	}
	k.took(in)
	return a
}

// took ends the reading of a dict that is a part of another one.
func (k *keys) took(in *keys) {
	in.done()
	if k.err == nil {
		k.err = in.err
	}
}

func (k *keys) done() {
	for _, key := range slices.Sorted(maps.Keys(k.left)) {
		if !slices.Contains(k.read, key) {
			k.fail(key, "is no key of it; there are %v", k.read)
		}
	}
}
