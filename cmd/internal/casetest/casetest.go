// Package casetest turns a recording of a pull into a test of its script.
package casetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"starling/cmd/internal/certify"
)

// A Recording is what a test needs of one.
type Recording struct {
	Name      string // of the test
	Settings  map[string]any
	Now       time.Time
	Cursors   map[string]json.RawMessage
	Exchanges []certify.Exchange // with status 0 where there was no answer
}

// Write returns the name of the test, its text, and the files that it reads, by their names below testdata/.
func Write(r Recording) (test, function string, files map[string]string) {
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(r.Name), "_"), "_")
	files = map[string]string{}
	b := &strings.Builder{}
	fmt.Fprintf(b, "def test_%s(t):\n    \"\"\"Made of the recording %s.\"\"\"\n", name, r.Name)
	if len(r.Settings) > 0 {
		fmt.Fprintf(b, "    t.settings(**%s)\n", literal(r.Settings))
	}
	fmt.Fprintf(b, "    t.clock(%q)\n", r.Now.UTC().Format(time.RFC3339))
	for _, cursor := range slices.Sorted(maps.Keys(r.Cursors)) {
		fmt.Fprintf(b, "    t.cursor(%s, json.decode(%s))\n", quoted(cursor), quoted(string(r.Cursors[cursor])))
	}
	// An answer is for the first request that its URL is a part of, so longer ones go first.
	slices.SortStableFunc(r.Exchanges, func(a, b certify.Exchange) int { return len(b.URL) - len(a.URL) })
	for i, e := range r.Exchanges {
		if e.Status == 0 {
			fmt.Fprintf(b, "    # %s %s had no answer\n", e.Method, e.URL)
			continue
		}
		file := fmt.Sprintf("%s/%03d%s", name, i+1, extension(e))
		files[file] = string(e.Body)
		fmt.Fprintf(b, "    t.http(%s, %s, file = %s", quoted(e.Method), quoted(e.URL), quoted("testdata/"+file))
		if e.Status != 200 {
			fmt.Fprintf(b, ", status = %d", e.Status)
		}
		headers := map[string]any{}
		for _, h := range []string{"Content-Type", "Link", "Retry-After", "Date"} {
			if v := e.Header.Get(h); v != "" {
				headers[h] = v
			}
		}
		if len(headers) > 0 {
			fmt.Fprintf(b, ", headers = %s", literal(headers))
		}
		b.WriteString(")\n")
	}
	fmt.Fprintf(b, "    t.golden(%s, t.pull())\n", quoted(name+"/pull.json"))
	return "test_" + name, b.String(), files
}

func extension(e certify.Exchange) string {
	switch t := e.Header.Get("Content-Type"); {
	case strings.Contains(t, "json"):
		return ".json"
	case strings.Contains(t, "xml"):
		return ".xml"
	}
	return ".txt"
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a text can always be written
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

// literal writes JSON as Starlark.
func literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case string:
		return quoted(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, literal(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, quoted(k)+": "+literal(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}
