package cases

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"starling/engine"
)

// A Result is what a case plays to, as texts that are compared line by line.
type Result struct {
	Requests string
	Commits  []string // of each: when, cursors, what is forgotten, and the events
	After    string
	Outcome  string
}

func resultOf(t *engine.Tape, r *engine.Replayed) Result {
	res := Result{Requests: requestsOf(r.Asked), After: cursorsText(r.After)}
	for _, c := range r.Commits {
		res.Commits = append(res.Commits, commitText(c))
	}
	o := struct {
		Outcome
		Counts counts `json:"counts"`
	}{outcome(r.Err), counted(r.Stats)}
	res.Outcome = indented(o)
	return res
}

// requestsOf lists the requests of each lane in order, as the case keeps them.
func requestsOf(asked []engine.Asked) string {
	var b strings.Builder
	sort.SliceStable(asked, func(i, j int) bool { return asked[i].Lane < asked[j].Lane })
	for _, a := range asked {
		writeRequest(&b, a.Method, a.URL, a.Header)
		if len(a.Body) > 0 {
			b.WriteString("\n" + shown(a.Body) + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// recorded lists the requests of a case, as requestsOf does.
func recorded(t *engine.Tape) string {
	var asked []engine.Asked
	for i, e := range t.Exchanges {
		if e.Fault == nil || !e.Fault.Unsent {
			asked = append(asked, engine.Asked{Lane: e.Lane, Method: e.Method, URL: e.URL, Header: e.Header, Body: e.Body, Exchange: i})
		}
	}
	return requestsOf(asked)
}

func writeRequest(b *strings.Builder, method, url string, h http.Header) {
	fmt.Fprintf(b, "%s %s\n", method, url)
	writeHeader(b, h)
}

func writeHeader(b *strings.Builder, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fmt.Fprintf(b, "%s: %s\n", name, v)
		}
	}
}

// shown is a body as text, or in base64.
func shown(body []byte) string {
	if utf8.Valid(body) {
		return string(body)
	}
	return "base64 " + base64.StdEncoding.EncodeToString(body)
}

// commitText is a commit: lines that begin with @, and then the events.
func commitText(c engine.Committed) string {
	var b strings.Builder
	fmt.Fprintf(&b, "@at %s\n", c.At)
	if c.Wipe {
		b.WriteString("@wipe\n")
	}
	if c.Forget > 0 {
		fmt.Fprintf(&b, "@forget before %s\n", time.Unix(c.Forget*3600, 0).UTC().Format(time.RFC3339))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Cursors)) {
		value := string(c.Cursors[name])
		if c.Cursors[name] == nil {
			value = "none"
		}
		fmt.Fprintf(&b, "@cursor %s %s\n", name, value)
	}
	for _, m := range c.Marks {
		fmt.Fprintf(&b, "@covered %s %s %s", m.From.Format(time.RFC3339), m.To.Format(time.RFC3339), m.State)
		if !m.Swept.IsZero() {
			fmt.Fprintf(&b, " swept %s", m.Swept.Format(time.RFC3339))
		}
		if m.Reason != "" {
			fmt.Fprintf(&b, " %q", m.Reason)
		}
		b.WriteString("\n")
	}
	for _, e := range c.Events {
		b.WriteString(EventText(e) + "\n")
	}
	return b.String()
}

// EventText is an event in one line.
func EventText(e engine.Event) string {
	at := "-"
	if !e.Time.IsZero() {
		at = e.Time.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	table := e.Table.Tag
	if e.Table.Host != "" || e.Table.Priority != engine.DefaultPriority {
		table += fmt.Sprintf("[%s,%d]", e.Table.Host, e.Table.Priority)
	}
	return table + " " + at + " " + shown(e.Body)
}

func cursorsText(cursors map[string]json.RawMessage) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(cursors)) {
		fmt.Fprintf(&b, "%s %s\n", name, cursors[name])
	}
	return b.String()
}

func indented(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return b.String()
}
