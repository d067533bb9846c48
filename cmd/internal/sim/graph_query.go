package sim

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// graphQuery is what a request to Graph asks for.
type graphQuery struct {
	from, to time.Time // both inclusive
	terms    map[string]graphTerm
	filter   string // as received, decoded
	top      int
	token    skipToken
}

// graphTerm is what counts of the comparisons of one property: the last.
type graphTerm struct {
	function string // "" for a comparison, or contains, startswith, endswith
	value    string // in lower case
}

// The texts of refusals, as observed.
const (
	textNoEnd       = "EndDate is required when a StartDate is entered."
	textNoStart     = "StartDate is required when an EndDate is entered."
	textTooLong     = "|System.ArgumentException|The interval between StartDate and EndDate can't be longer than 10 days."
	textTooOld      = "Invalid StartDate value. The StartDate can't be older than 90 days from today."
	textResultSize  = "ResultSize is invalid"
	textFuture      = "Invalid EndDate value. The EndDate can't be later than today." // nobody has shown this one
	graphDays       = 90
	graphLongest    = 10*24*time.Hour + time.Second
	graphDefaultTop = 1000
	graphLargestTop = 5000
)

func (m *Microsoft) parseGraph(values url.Values, o *Options, now time.Time) (q graphQuery, err error) {
	q = graphQuery{filter: values.Get("$filter"), top: graphDefaultTop, terms: map[string]graphTerm{}}
	if text := values.Get("$top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return q, badRequest("Invalid value '" + text + "' for $top query option found. The $top query option requires a non-negative integer value.")
		}
		if n < 0 || n > graphLargestTop {
			return q, badRequest(textResultSize)
		}
		if n > 0 {
			q.top = n
		}
	}
	if q.filter != "" {
		if err := q.parseFilter(); err != nil {
			return q, err
		}
	}
	if text := values.Get("$skiptoken"); text != "" {
		if q.token, err = m.openToken(text); err != nil {
			return q, err
		}
		q.from, q.to = fromTicks(q.token.From), fromTicks(q.token.To)
		return q, nil
	}
	return q, q.bounds(o, now)
}

// bounds checks the dates; without them it is the last 48 hours.
func (q *graphQuery) bounds(o *Options, now time.Time) error {
	today := now.UTC().Truncate(24 * time.Hour)
	switch {
	case q.from.IsZero() && q.to.IsZero():
		q.from, q.to = now.UTC().Add(-48*time.Hour), now.UTC()
	case q.to.IsZero():
		return badRequest(textNoEnd)
	case q.from.IsZero():
		return badRequest(textNoStart)
	case q.to.Sub(q.from) > graphLongest:
		return badRequest(textTooLong)
	case q.from.Truncate(24 * time.Hour).Before(today.AddDate(0, 0, -graphDays)):
		return badRequest(textTooOld)
	case o.Graph.RefuseFuture && !q.to.Before(today.AddDate(0, 0, 1)):
		return badRequest(textFuture)
	}
	return nil
}

// graphProperties a filter may name; those that are false accept functions and ignore them.
var graphProperties = map[string]bool{"receivedDateTime": false, "senderAddress": false, "recipientAddress": false, "subject": true,
	"status": false, "messageId": false, "fromIP": false, "toIP": false, "id": false, "size": false}

var graphToken = regexp.MustCompile(`^(?:'(?:[^']|'')*'|[A-Za-z0-9_:.+-]+|[(),])`)

// graphFilter reads a filter as the service does: it accepts or, not, in and ne, and heeds none of them. Of each property the last
// value counts, and everything is joined by and.
type graphFilter struct {
	tokens []string
	query  *graphQuery
}

func (q *graphQuery) parseFilter() error {
	f := graphFilter{query: q}
	for rest := strings.TrimLeft(q.filter, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		token := graphToken.FindString(rest)
		if token == "" {
			return f.invalid()
		}
		f.tokens, rest = append(f.tokens, token), rest[len(token):]
	}
	if err := f.expression(0); err != nil {
		return err
	}
	if len(f.tokens) > 0 {
		return f.invalid()
	}
	return nil
}

func (f *graphFilter) invalid() error {
	return badRequest(fmt.Sprintf("Invalid filter clause: Syntax error in '%s'.", f.query.filter))
}

func (f *graphFilter) next() string {
	if len(f.tokens) == 0 {
		return ""
	}
	token := f.tokens[0]
	f.tokens = f.tokens[1:]
	return token
}

func (f *graphFilter) peek(word string) bool { return len(f.tokens) > 0 && f.tokens[0] == word }

func (f *graphFilter) expect(words ...string) bool {
	for _, word := range words {
		if f.next() != word {
			return false
		}
	}
	return true
}

func (f *graphFilter) expression(depth int) error {
	if depth > 50 {
		return f.invalid()
	}
	for {
		if err := f.factor(depth); err != nil {
			return err
		}
		if !f.peek("and") && !f.peek("or") {
			return nil
		}
		f.next()
	}
}

func (f *graphFilter) factor(depth int) error {
	for f.peek("not") {
		f.next()
	}
	word := f.next()
	switch word {
	case "(":
		if err := f.expression(depth + 1); err != nil {
			return err
		}
		if !f.expect(")") {
			return f.invalid()
		}
		return nil
	case "contains", "startswith", "endswith":
		if !f.expect("(") {
			return f.invalid()
		}
		property := f.next()
		if !f.expect(",") {
			return f.invalid()
		}
		value, ok := quotedLiteral(f.next())
		if !ok || !f.expect(")") {
			return f.invalid()
		}
		return f.heed(property, word, "", value)
	}
	return f.comparison(word)
}

// comparison reads what follows the name of a property.
func (f *graphFilter) comparison(property string) error {
	operator := f.next()
	switch operator {
	case "eq", "ne", "ge", "le", "gt", "lt":
		literal := f.next()
		value, quoted := quotedLiteral(literal)
		if !quoted {
			value = literal
		}
		if value == "" && !quoted || value == "(" || value == ")" || value == "," {
			return f.invalid()
		}
		return f.heed(property, "", operator, value)
	case "in":
		if !f.expect("(") {
			return f.invalid()
		}
		for {
			value, ok := quotedLiteral(f.next())
			if !ok {
				return f.invalid()
			}
			if err := f.heed(property, "", operator, value); err != nil {
				return err
			}
			switch f.next() {
			case ",":
			case ")":
				return nil
			default:
				return f.invalid()
			}
		}
	}
	return f.invalid()
}

func quotedLiteral(token string) (string, bool) {
	if len(token) < 2 || token[0] != '\'' {
		return "", false
	}
	return strings.ReplaceAll(token[1:len(token)-1], "''", "'"), true
}

// heed keeps a comparison, or forgets it where the service does.
func (f *graphFilter) heed(property, function, operator, value string) error {
	functions, known := graphProperties[property]
	if !known {
		return badRequest("Invalid filter clause: Could not find a property named '" + property + "' on type 'microsoft.graph.exchangeMessageTrace'.")
	}
	if property != "receivedDateTime" {
		if function == "" || functions {
			f.query.terms[property] = graphTerm{function, strings.ToLower(value)}
		}
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || function != "" {
		return badRequest("Invalid filter clause: Unrecognized 'Edm.DateTimeOffset' literal '" + value + "'.")
	}
	switch operator { // the others do not bound anything
	case "ge":
		f.query.from = at.UTC()
	case "le":
		f.query.to = at.UTC()
	}
	return nil
}

// matches reports whether a row is what the terms ask for.
func (q *graphQuery) matches(row *Row, now time.Time) bool {
	for property, t := range q.terms {
		if !t.matches(property, strings.ToLower(row.property(property, now))) {
			return false
		}
	}
	return true
}

func (t graphTerm) matches(property, value string) bool {
	switch {
	case t.function == "contains":
		return strings.Contains(value, t.value)
	case t.function == "startswith":
		return strings.HasPrefix(value, t.value)
	case t.function == "endswith":
		return strings.HasSuffix(value, t.value)
	case strings.HasPrefix(t.value, "*") && strings.HasSuffix(property, "Address"):
		return strings.HasSuffix(value, t.value[1:])
	}
	return value == t.value
}
