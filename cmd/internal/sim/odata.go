package sim

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// shape is the form of an answer.
type shape int

const (
	atom    shape = iota // neither asked for JSON
	light                // Accept: application/json
	verbose              // $format=json

	graphShape // of Microsoft Graph
)

// badRequest is the text of a 400 answer.
type badRequest string

func (b badRequest) Error() string { return string(b) }

// query is what a request asks for.
type query struct {
	shape      shape
	start, end time.Time
	terms      []term // what it asks besides the dates
	filter     string // $filter as received, decoded
	skip       int    // rows before this page
	paged      bool   // a $skiptoken was given
	top        int    // -1 when not given
}

// shapeOf finds the form of the answer, also of an answer that says that the rest of the request is wrong.
func shapeOf(values url.Values, accept string) shape {
	switch strings.ToLower(values.Get("$format")) {
	case "json":
		return verbose
	case "":
	default:
		return atom
	}
	accept = strings.ToLower(strings.ReplaceAll(accept, " ", ""))
	switch {
	case strings.Contains(accept, "application/json;odata=verbose"):
		return verbose
	case strings.Contains(accept, "application/json"):
		return light
	}
	return atom
}

func parseQuery(values url.Values, accept string, o *Options, now time.Time) (query, error) {
	q := query{shape: shapeOf(values, accept), filter: values.Get("$filter"), top: -1}
	for name := range values {
		switch name {
		case "$filter", "$format", "$select", "$orderby", "$top", "$skiptoken":
		default:
			if strings.HasPrefix(name, "$") {
				return q, badRequest(fmt.Sprintf("The query parameter '%s' begins with a system-reserved '$' character but is not recognized.", name))
			}
		}
	}
	if top, given := values["$top"]; given {
		n, err := strconv.ParseUint(top[0], 10, 31)
		if err != nil {
			return q, badRequest(fmt.Sprintf("Incorrect format for $top argument '%s'.", top[0]))
		}
		q.top = int(n)
	}
	if token, given := values["$skiptoken"]; given {
		n, err := strconv.ParseUint(token[0], 10, 31)
		if err != nil {
			return q, badRequest(fmt.Sprintf("Bad Request: The URL representing the $skiptoken '%s' is invalid.", token[0]))
		}
		q.paged, q.skip = true, int(n)
		if o.SkipToken != "offset" {
			q.skip++
		}
	}
	return q, q.bounds(values.Has("$filter"), o, now)
}

// bounds reads the filter and checks the dates; without them the report covers the last 48 hours.
func (q *query) bounds(filtered bool, o *Options, now time.Time) error {
	var terms []term
	if filtered {
		var err error
		if terms, err = parseFilter(q.filter); err != nil {
			return err
		}
	}
	for _, t := range terms {
		switch t.property {
		case "StartDate":
			q.start = t.time
		case "EndDate":
			q.end = t.time
		default:
			q.terms = append(q.terms, t)
		}
	}
	switch {
	case q.start.IsZero() && q.end.IsZero():
		q.end = now.UTC().Truncate(time.Millisecond)
		q.start = q.end.Add(-48 * time.Hour)
	case q.end.IsZero():
		return badRequest("EndDate is required when a StartDate is entered.")
	case q.start.IsZero():
		return badRequest("StartDate is required when an EndDate is entered.")
	case q.start.After(q.end):
		return badRequest("Invalid StartDate value. The StartDate can't be later than the EndDate.")
	case q.start.Before(now.AddDate(0, 0, -o.RetentionDays)):
		return badRequest(fmt.Sprintf("Invalid StartDate value. The StartDate can't be older than %d days from today.", o.RetentionDays))
	}
	return nil
}

// term is one comparison of a filter: property eq literal.
type term struct {
	property string
	text     string
	time     time.Time // of a datetime literal
}

// properties a filter may compare, with the prefix of their literals.
var properties = map[string]string{
	"StartDate": "datetime", "EndDate": "datetime", "MessageTraceId": "guid", "MessageId": "", "SenderAddress": "",
	"RecipientAddress": "", "Status": "", "FromIP": "", "ToIP": "",
}

// parseFilter reads: property eq literal, joined by and.
func parseFilter(s string) ([]term, error) {
	p := filterParser{text: s}
	var terms []term
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		for _, other := range terms {
			if other.property == t.property {
				return nil, p.syntax()
			}
		}
		terms = append(terms, t)
		if strings.Trim(p.text[p.at:], " ") == "" {
			return terms, nil
		}
		if !p.space() || p.word() != "and" || !p.space() {
			return nil, p.syntax()
		}
	}
}

type filterParser struct {
	text string
	at   int
}

func (p *filterParser) syntax() error {
	return badRequest(fmt.Sprintf("Syntax error at position %d.", p.at))
}

func (p *filterParser) term() (term, error) {
	p.space()
	t := term{property: p.word()}
	if t.property == "" {
		return t, p.syntax()
	}
	kind, known := properties[t.property]
	if !known {
		return t, badRequest(fmt.Sprintf("Type 'TenantReporting.MessageTrace' does not have a property named '%s'", t.property))
	}
	if !p.space() || p.word() != "eq" || !p.space() {
		return t, p.syntax()
	}
	if p.word() != kind {
		return t, p.syntax()
	}
	text, ok := p.quoted()
	if !ok {
		return t, p.syntax()
	}
	t.text = text
	if kind == "datetime" {
		var err error
		if t.time, err = parseDateTime(text); err != nil {
			return t, badRequest(fmt.Sprintf("Unrecognized 'Edm.DateTime' literal 'datetime'%s'' at '%d' in '%s'.", text, p.at, p.text))
		}
	}
	return t, nil
}

// space skips spaces and reports whether there were any.
func (p *filterParser) space() bool {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
	return p.at > start
}

// word reads letters; it may be empty.
func (p *filterParser) word() string {
	start := p.at
	for p.at < len(p.text) && (p.text[p.at]|0x20 >= 'a' && p.text[p.at]|0x20 <= 'z') {
		p.at++
	}
	return p.text[start:p.at]
}

// quoted reads a text in single quotes; a quote inside is doubled.
func (p *filterParser) quoted() (string, bool) {
	var b strings.Builder
	if p.at == len(p.text) || p.text[p.at] != '\'' {
		return "", false
	}
	for i := p.at + 1; i < len(p.text); i++ {
		switch {
		case p.text[i] != '\'':
			b.WriteByte(p.text[i])
		case strings.HasPrefix(p.text[i+1:], "'"):
			b.WriteByte('\'')
			i++
		default:
			p.at = i + 1
			return b.String(), true
		}
	}
	return "", false
}

var dateTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?$`)

// parseDateTime reads a moment; without a zone it is UTC.
func parseDateTime(s string) (time.Time, error) {
	m := dateTime.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, badRequest("not a date")
	}
	if m[2] == "" {
		s += "Z"
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UTC(), err
}

// matches reports whether the row is what the terms ask for. RecipientAddress and SenderAddress may list several, with commas.
func (r *Row) matches(terms []term, now time.Time) bool {
	for _, t := range terms {
		value, ok := r.property(t.property, now), false
		for want := range strings.SplitSeq(t.text, ",") {
			ok = ok || strings.EqualFold(value, strings.TrimSpace(want))
		}
		if !ok {
			return false
		}
	}
	return true
}
