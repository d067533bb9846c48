// Package scaffold writes a new script with its first test from what a person has: a curl command line, an operation of an OpenAPI
// document, a sample of what the API answers, or several of them.
//
// Each of these gives a part of a Draft: ParseCurl and ParseOpenAPI the request, ParseSample the answer. Write guesses how the API
// pages and which parameters are a time range, and gives the files. What cannot be known is a line with TODO, which holds the question.
// Secrets of a request become settings: they are in no file, and are taken out of the sample.
package scaffold

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Draft is what is known of an API before there is a script.
type Draft struct {
	Name    string // of the script
	Tag     string // Devo's table; "" for my.app.NAME.events
	Request Request
	Sample  *Sample // nil if there is none
	Todos   []string
	secrets []string // values that must not be written
}

// A Request is what the script asks first.
type Request struct {
	Summary string
	Method  string
	Base    string // scheme and host; "" if unknown
	Path    []Part
	Params  []Param
	Headers []Param
	Auth    Auth
	JSON    string // a body of JSON
	Form    []Param
	Paging  Paging // if the document says it
	Further []string
}

// A Part of a path is a text, or a setting.
type Part struct {
	Text    string
	Setting string
	Sample  string // a value for the test
}

// A Param is a parameter of a query or a form, or a header.
type Param struct {
	Name, Value string
	Setting     string // the operator sets it
	Secret      bool
	Doc         string
}

// Auth is how the API is signed in to.
type Auth struct {
	Kind     string // "", "bearer", "basic", "key", "oauth"
	Header   string // of key
	Prefix   string // of key
	User     string // of basic, if it is a setting already known
	TokenURL string // of oauth
	Scope    string
}

// A setting is what the operator sets.
type setting struct {
	variable, name, kind, doc, sample string
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// CheckName returns why a name cannot be that of a script.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q is no name of a script: small letters, digits and _, a letter first", name)
	}
	return nil
}

func (d *Draft) todo(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(d.Todos, text) {
		d.Todos = append(d.Todos, text)
	}
	return text
}

// hide notes that a text must not be written. A shorter one is found everywhere, by chance.
func (d *Draft) hide(text string) {
	if len(text) >= 6 {
		d.secrets = append(d.secrets, text)
	}
}

// scrub takes the secrets out of a text.
func (d *Draft) scrub(text string) string {
	for _, secret := range d.secrets {
		text = strings.ReplaceAll(text, secret, fake)
	}
	return text
}

// clean takes the secrets out of everything that is written: a token of a header may stand in a link of the answer as well.
func (d *Draft) clean() {
	r := &d.Request
	r.Summary, r.JSON = d.scrub(r.Summary), d.scrub(r.JSON)
	for _, params := range [][]Param{r.Params, r.Headers, r.Form} {
		for i := range params {
			params[i].Value = d.scrub(params[i].Value)
		}
	}
	for i := range r.Path {
		r.Path[i].Text = d.scrub(r.Path[i].Text)
	}
	if d.Sample == nil || d.scrub(string(d.Sample.Body)) == string(d.Sample.Body) {
		return
	}
	s, err := ParseSample([]byte(d.scrub(string(d.Sample.Body))))
	if err != nil {
		d.Sample = nil
		d.todo("the sample is left out: a secret of the curl line is in it, where it cannot be replaced")
		return
	}
	s.Links, s.Invent = d.Sample.Links, d.Sample.Invent
	d.Sample = s
}

// Merge takes what other knows and d does not.
func (d *Draft) Merge(other *Draft) error {
	if d.Request.Base != "" && other.Request.Base != "" {
		return errors.New("a curl line and an OpenAPI document both say what to ask: give one of them")
	}
	if d.Request.Base == "" && len(d.Request.Path) == 0 {
		d.Request = other.Request
	}
	if d.Sample == nil {
		d.Sample = other.Sample
	}
	d.Todos = append(d.Todos, other.Todos...)
	d.secrets = append(d.secrets, other.secrets...)
	return nil
}

var (
	wordEdge = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	notName  = regexp.MustCompile(`[^a-z0-9]+`)
)

// identifier makes a name of Starlark of a text.
func identifier(text string) string {
	text = strings.Trim(notName.ReplaceAllString(strings.ToLower(wordEdge.ReplaceAllString(text, "${1}_$2")), "_"), "_")
	if text == "" || text[0] >= '0' && text[0] <= '9' || reserved[text] {
		text = "api_" + text
	}
	return strings.TrimRight(text, "_")
}

// reserved are words that a script cannot name a variable, or that it uses itself.
var reserved = map[string]bool{
	"and": true, "break": true, "continue": true, "def": true, "elif": true, "else": true, "for": true, "if": true, "in": true, "lambda": true,
	"load": true, "not": true, "or": true, "pass": true, "return": true, "while": true, "as": true, "assert": true, "class": true, "del": true,
	"except": true, "finally": true, "from": true, "global": true, "import": true, "is": true, "nonlocal": true, "raise": true, "try": true,
	"with": true, "yield": true, "api": true, "base": true, "config": true, "http": true, "oauth": true, "field": true, "fields": true, "devo": true,
	"checkpoint": true, "json": true, "time": true, "url": true, "log": true, "hash": true, "math": true, "re": true, "xml": true, "base64": true,
	"event": true, "table": true, "pull": true, "next_page": true, "window": true, "page": true, "rows": true, "struct": true, "print": true,
	"fail": true, "len": true, "list": true, "dict": true, "str": true, "int": true, "type": true, "id": false,
}
