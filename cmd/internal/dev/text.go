package dev

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"starling/cmd/internal/layout"
)

// A Look is how a result is shown.
type Look struct {
	Width  int  // columns
	Height int  // lines; 0 for any number
	Color  bool // bold, red and green
	// Redact takes secrets out of a text; it has them whole, before anything is cut.
	Redact func(string) string
}

const (
	mostRequests = 6
	mostDiff     = 24
	mostFields   = 14
)

// Text shows a result. Good is the last one that worked, if this one did not.
func (s *Session) Text(r *Result, look Look) string {
	look.Width = max(look.Width, 20)
	p := &printer{look: look}
	p.head(r)
	if !r.OK {
		p.problem(r)
		if s.good == nil {
			return p.b.String()
		}
		p.line("")
		p.line("what the last version that worked (%s) gave:", s.good.Version)
		r = s.good
	}
	p.numbers(r)
	p.changes(r)
	p.requests(r)
	p.checkpoint(r)
	for _, w := range r.Warnings {
		p.lines("", "warning     ", w)
	}
	p.events(r)
	return firstLines(p.b.String(), look)
}

// firstLines are as many as fit.
func firstLines(text string, look Look) string {
	lines, n := strings.Split(strings.TrimSuffix(text, "\n"), "\n"), look.Height
	if n <= 0 || len(lines) <= n {
		return text
	}
	more := fmt.Sprintf("and %d more lines; --plain or a larger terminal shows them", len(lines)-n+1)
	return strings.Join(append(lines[:n-1], layout.Fit(more, look.Width)), "\n") + "\n"
}

type printer struct {
	look Look
	b    strings.Builder
}

// line prints a line, cut to the width.
func (p *printer) line(format string, args ...any) { p.colored("", format, args...) }

// lines prints a text with something before it, on as many lines as it takes.
func (p *printer) lines(color, before, text string) {
	for line := range strings.SplitSeq(layout.Fill(before, p.visible(text), p.look.Width), "\n") {
		p.colored(color, "%s", line)
	}
}

func (p *printer) colored(color, format string, args ...any) {
	text := p.fit(strings.TrimRight(fmt.Sprintf(format, args...), " "), p.look.Width)
	if p.look.Color && color != "" {
		text = "\x1b[" + color + "m" + text + "\x1b[0m"
	}
	p.b.WriteString(text + "\n")
}

const (
	bold  = "1"
	red   = "31"
	green = "32"
)

func (p *printer) head(r *Result) {
	state, color := "ok", bold
	if !r.OK {
		state, color = "FAIL", red
	}
	p.colored(color, "%-4s  %s %s", state, r.Script, r.Version)
	p.line("%s, %.0f ms after the save, the pull took %.0f ms; answers from %s", r.At.Format("15:04:05"), r.Millis, r.Pull, r.From)
}

func (p *printer) problem(r *Result) {
	lines := strings.Split(strings.TrimRight(r.Problem.Text, "\n"), "\n")
	indent := p.look.Width // of the script's line and the caret below it
	for _, line := range lines {
		if n := len(line) - len(strings.TrimLeft(line, " ")); n > 0 {
			indent = min(indent, n)
		}
	}
	for _, line := range lines {
		if code, ok := strings.CutPrefix(line, strings.Repeat(" ", indent)); ok { // a line of these is cut, or the caret would be elsewhere
			p.colored(red, "          %s", code)
			continue
		}
		p.lines(red, "      ", line)
	}
}

func (p *printer) numbers(r *Result) {
	s := r.Stats
	p.line("rows %d, events %d, skipped %d, left out %d, cut %d, pages %d, commits %d", s.Rows, s.Events, s.Skipped, s.LeftOut, s.Cut, s.Pages, s.Commits)
	per := ""
	if s.Rows > 0 {
		per = fmt.Sprintf(", %.1f steps and %.1f us a row", float64(s.Steps)/float64(s.Rows), r.PerRow)
	}
	p.line("steps %d%s", s.Steps, per)
}

func (p *printer) requests(r *Result) {
	shown := r.Requests[:min(len(r.Requests), mostRequests)]
	host, to := hostOf(shown), ""
	if host != "" {
		to = ", to " + host
	}
	p.colored(bold, "requests %d, sent again %d%s", r.Stats.Requests, r.Stats.Retries, to)
	var asked, whats []string
	longest, room := 0, 0
	for _, q := range shown {
		what := fmt.Sprintf("%d, %d bytes, %.0f ms, %s", q.Status, q.Bytes, q.Millis, q.From)
		if q.Status == 0 {
			what = q.Error
		}
		asked, whats = append(asked, p.visible(q.Method+" "+strings.TrimPrefix(q.URL, host))), append(whats, what)
		longest, room = max(longest, layout.Cells(what)), max(room, layout.Cells(asked[len(asked)-1]))
	}
	room = min(room, max(p.look.Width-4-longest, 20))
	for i := range shown { // the end of a URL is what tells pages apart
		p.line("  %s  %s", layout.Pad(layout.FitMiddle(asked[i], room), room), whats[i])
	}
	if more := len(r.Requests) - len(shown); more > 0 {
		p.line("  and %d more", more)
	}
	for _, q := range r.Quotas {
		p.line("quota       %s: %d of %d in %s", q.Name, q.Used, q.Of, duration.Replace(q.Per))
	}
}

// duration leaves out of one what is 0.
var duration = strings.NewReplacer("h0m0s", "h", "m0s", "m")

// hostOf is the scheme and host of all requests, if they have but one.
func hostOf(all []Request) string {
	host := ""
	for i, q := range all {
		u, err := url.Parse(q.URL)
		if err != nil || u.Host == "" {
			return ""
		}
		if h := u.Scheme + "://" + u.Host; i == 0 {
			host = h
		} else if h != host {
			return ""
		}
	}
	return host
}

func (p *printer) checkpoint(r *Result) {
	all := maps.Clone(r.After)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	maps.Copy(all, r.Before)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, after := string(r.Before[name]), string(r.After[name])
		if before == "" {
			before = "none"
		}
		if after == "" {
			after = "none"
		}
		if before == after {
			p.line("checkpoint  %s: %s, as before", name, after)
			continue
		}
		p.line("checkpoint  %s: %s -> %s", name, before, after)
	}
}

// events shows rows and events side by side.
func (p *printer) events(r *Result) {
	if len(r.First) == 0 {
		return
	}
	half := (p.look.Width - 5) / 2
	p.colored(bold, "  %s | %s", layout.Pad("row", half), "event")
	for i, e := range r.First {
		if i > 0 {
			p.line("  %s-+-%s", strings.Repeat("-", half), strings.Repeat("-", half))
		}
		left := fieldsOf(e.Row)
		if e.Row == "" {
			left = []string{"(made by the script)"}
		}
		right := append([]string{e.Table + " " + e.Time}, fieldsOf(e.Event)...)
		n := max(len(left), len(right))
		for j := range min(n, mostFields) {
			p.line("  %s | %s", layout.Pad(p.fit(nth(left, j), half), half), p.fit(nth(right, j), half))
		}
		if n > mostFields {
			p.line("  and %d more", n-mostFields)
		}
	}
}

func (p *printer) changes(r *Result) {
	c := r.Changes
	switch {
	case c.First:
		return
	case c.Diff == "":
		p.line("the events are those of the last save")
		return
	}
	if len(c.Fields) > 0 {
		of := ""
		if c.Compared < c.Added {
			of = fmt.Sprintf("; the first %d are compared", c.Compared)
		}
		p.colored(bold, "events since the last save: %d differ%s", c.Added, of)
		p.fields(c.Fields)
		return
	}
	p.colored(bold, "events since the last save: %d added, %d removed", c.Added, c.Removed)
	n := 0
	for line := range strings.SplitSeq(strings.TrimRight(c.Diff, "\n"), "\n") {
		color := ""
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			continue
		case strings.HasPrefix(line, "+"):
			color = green
		case strings.HasPrefix(line, "-"):
			color = red
		}
		if n++; n > mostDiff {
			p.line("  and more")
			return
		}
		p.colored(color, "  %s", line)
	}
}

// fields shows what became of fields, with one event for an example.
func (p *printer) fields(list []FieldChange) {
	for i, f := range list {
		if i == mostFields {
			p.line("  and %d more fields", len(list)-i)
			return
		}
		p.line("  %s, in %d", f.Name, f.Events)
		for _, v := range []struct{ sign, text, color string }{{"-", f.Was, red}, {"+", f.Is, green}} {
			if v.text != "" {
				p.colored(v.color, "    %s %s", v.sign, v.text)
			}
		}
	}
}

// fieldsOf are the fields of a JSON object, one to a line; any other text is one line.
func fieldsOf(text string) []string {
	d := json.NewDecoder(strings.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return []string{text}
	}
	var lines []string
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return []string{text}
		}
		var compact bytes.Buffer
		if json.Compact(&compact, value) != nil {
			return []string{text}
		}
		lines = append(lines, fmt.Sprintf("%v: %s", key, compact.String()))
	}
	return lines
}

func nth(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// fit cuts a text to so many columns.
func (p *printer) fit(text string, width int) string { return layout.Fit(p.visible(text), width) }

// visible has a sign in the place of what a terminal would obey, and no secret.
func (p *printer) visible(text string) string {
	if p.look.Redact != nil {
		text = p.look.Redact(text)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(text, "·"))
}
