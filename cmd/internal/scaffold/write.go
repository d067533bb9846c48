package scaffold

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"starling/engine"
)

// Files are what Write makes: names below the folder of scripts, and texts.
type Files struct {
	Script, Test string
	Sample       []byte // testdata/NAME.json
	Config       string // a piece of config.yaml
	Todos        []string
}

// A writer has what the files need to know.
type writer struct {
	*Draft
	paging   Paging
	settings []setting
	query    []string // "name": value
	ranged   timeRange
	rows     string // an expression
	path     string // an expression
	body     string // an argument of pages
	time     *Field
	key      *Field
	hosts    []string
}

// fake stands for every secret in tests.
const fake = "not-a-real-one"

// Write makes the files.
func (d *Draft) Write() Files {
	d.clean()
	if d.Sample == nil {
		d.todo("what does the API answer? Put a real answer into testdata/%s.json, or begin again with --sample", d.Name)
		d.Sample = invented()
	}
	if d.Tag == "" {
		d.Tag = "my.app." + d.Name + ".events"
	}
	w := &writer{Draft: d, paging: d.guessPaging(), time: d.Sample.timeField(), key: d.Sample.keyField()}
	w.takeLinks()
	w.takeSettings()
	w.takeQuery()
	w.rows = rowsOf(d.Sample.Rows)
	f := Files{Script: w.script(), Test: w.test(), Config: w.config(), Sample: append(slices.Clone(d.Sample.Body), '\n')}
	f.Todos = d.Todos
	return f
}

// invented is an answer for who has none.
func invented() *Sample {
	s, err := ParseSample([]byte(`{"items": [{"id": "1", "created_at": "2026-05-01T11:59:00Z"}]}`))
	if err != nil {
		panic(err)
	}
	s.Invent = true
	return s
}

func rowsOf(path []string) string {
	if len(path) == 0 {
		return "page.json()"
	}
	text := "page"
	for _, key := range path {
		text += "[" + quote(key) + "]"
	}
	return text
}

// takeLinks takes the address from a link of the sample, where nothing else says it, and notes another host that links lead to.
func (w *writer) takeLinks() {
	link := w.linkInSample()
	u, err := url.Parse(link)
	if err != nil || u.Host == "" {
		return
	}
	r := &w.Request
	switch base, _ := url.Parse(r.Base); {
	case r.Base == "" && len(r.Path) == 0 && u.User == nil:
		r.Base = "https://" + u.Host
		for part := range strings.SplitSeq(strings.Trim(u.Path, "/"), "/") {
			r.Path = append(r.Path, Part{Text: part})
		}
		w.todo("is this where the API is? The address is that of the link in the sample")
	case r.Base != "" && (u.Host != base.Host || u.Scheme != base.Scheme):
		w.hosts = append(w.hosts, u.Scheme+"://"+u.Host)
		w.todo("the link in the sample leads to %s: is that right? Credentials are not sent there", u.Host)
	}
}

// linkInSample is the link to the next page that the sample holds, or "".
func (w *writer) linkInSample() string {
	if w.paging.Kind != "url" {
		return ""
	}
	var text string
	if v := w.valueAt(w.paging.Key); v != nil {
		json.Unmarshal(v, &text)
	}
	return text
}

// valueAt is the value under a key, or under a path of keys with dots between them.
func (w *writer) valueAt(key string) json.RawMessage {
	object := w.Sample.top
	for {
		if v, ok := object[key]; ok {
			return v
		}
		head, rest, ok := strings.Cut(key, ".")
		if !ok {
			return nil
		}
		var inner map[string]json.RawMessage
		if json.Unmarshal(object[head], &inner) != nil {
			return nil
		}
		object, key = inner, rest
	}
}

// goesOn reports whether a second page is asked for behind the sample.
func (w *writer) goesOn() bool {
	switch w.paging.Kind {
	case "url":
		return w.linkInSample() != ""
	case "cursor":
		v := string(w.valueAt(w.paging.Key))
		return v != "" && v != "null" && v != `""` && v != "false" && v[0] != '{' && v[0] != '['
	case "offset", "page":
		return w.Sample.Count > 0
	}
	return w.paging.Kind == "link" && w.paging.Sure
}

func (w *writer) add(name, kind, doc, sample string) string {
	variable := identifier(name)
	if !slices.ContainsFunc(w.settings, func(s setting) bool { return s.name == variable }) {
		w.settings = append(w.settings, setting{variable, variable, kind, doc, sample})
	}
	return variable
}

func (w *writer) takeSettings() {
	r := &w.Request
	if r.Base == "" {
		w.todo("what is the address of the API?")
	}
	w.settings = append(w.settings, setting{"base", "base_url", "url", "Where the API is.", ""})
	secret := func(p Param) bool { return p.Secret }
	if r.Auth.Kind == "" && (slices.ContainsFunc(r.Params, secret) || slices.ContainsFunc(r.Headers, secret) || slices.ContainsFunc(r.Form, secret)) {
		r.Auth.Kind = "set"
	}
	switch r.Auth.Kind {
	case "bearer":
		w.add("token", "secret", "A token that may read this.", fake)
	case "key":
		w.add("api_key", "secret", "A key that may read this.", fake)
	case "basic":
		w.add("username", "string", "The user name, or the id of a key.", "somebody")
		w.add("password", "secret", "The password, or the secret of a key.", fake)
	case "oauth":
		w.add("client_id", "string", "The id of the application.", "an-application")
		w.add("client_secret", "secret", "The secret of the application.", fake)
	case "set": // by a parameter
	default:
		w.todo("how is the API signed in to? http.bearer, http.basic, http.api_key, oauth.client_credentials and http.signed are the ways")
	}
	for _, p := range slices.Concat(r.Headers, r.Form) {
		w.valueOf(p)
	}
	var parts, args []string
	for _, p := range r.Path {
		if p.Setting == "" {
			parts = append(parts, strings.ReplaceAll(p.Text, "%", "%%"))
			continue
		}
		parts = append(parts, "%s")
		args = append(args, w.add(p.Setting, "string", "In the path of what is asked for.", cmp.Or(p.Sample, "example")))
	}
	path := "/" + strings.Join(parts, "/")
	if len(r.Path) == 0 {
		w.todo("which path of the API lists the events?")
		path = "/events"
	}
	switch len(args) {
	case 0:
		w.path = quote(strings.ReplaceAll(path, "%%", "%"))
	case 1:
		w.path = quote(path) + " % " + args[0]
	default:
		w.path = quote(path) + " % (" + strings.Join(args, ", ") + ")"
	}
}

var wholeNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})$`)

// valueOf writes what a parameter or a header is sent as.
func (w *writer) valueOf(p Param) string {
	if p.Setting == "" {
		if wholeNumber.MatchString(p.Value) {
			return p.Value
		}
		return quote(p.Value)
	}
	if p.Secret {
		return w.add(p.Setting, "secret", cmp.Or(p.Doc, "Sent as "+p.Name+"."), fake)
	}
	return w.add(p.Setting, "string", cmp.Or(p.Doc, "Sent as "+p.Name+"."), "example")
}

// takeQuery makes the parameters of the first page.
func (w *writer) takeQuery() {
	params := slices.DeleteFunc(slices.Clone(w.Request.Params), func(p Param) bool {
		return p.Name == w.paging.Param && w.paging.Kind != "page" && w.paging.Kind != ""
	})
	expressions, r := w.rangeOf(params)
	w.ranged = r
	seen := map[string][]string{}
	var names []string
	for i, p := range params {
		value, ok := expressions[i]
		switch {
		case ok:
		case p.Name == w.paging.Param:
			value = cmp.Or(strings.Trim(p.Value, " "), "1")
			if strings.Trim(value, "0123456789") != "" {
				value = "1"
			}
		default:
			value = w.valueOf(p)
		}
		if seen[p.Name] == nil {
			names = append(names, p.Name)
		}
		seen[p.Name] = append(seen[p.Name], value)
	}
	for _, name := range names {
		value := seen[name][0]
		if len(seen[name]) > 1 {
			value = "[" + strings.Join(seen[name], ", ") + "]"
		}
		w.query = append(w.query, quote(name)+": "+value)
	}
	if w.paging.Kind == "page" && seen[w.paging.Param] == nil {
		w.query = append(w.query, quote(w.paging.Param)+": 1")
	}
	w.takeBody()
}

// takeBody makes the argument with the body of a POST. Its times at the top count as parameters.
func (w *writer) takeBody() {
	if w.Request.JSON == "" {
		return
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(w.Request.JSON), &object) != nil {
		return
	}
	var params []Param
	for _, name := range keysIn(object) {
		var text string
		if v := object[name]; v[0] == '"' && json.Unmarshal(v, &text) == nil || epochForm.Match(v) {
			params = append(params, Param{Name: name, Value: cmp.Or(text, string(v))})
		}
	}
	expressions, r := w.rangeOf(params)
	w.ranged.start, w.ranged.end = w.ranged.start || r.start, w.ranged.end || r.end
	var pairs []string
	for _, name := range keysIn(object) {
		value := literal(object[name])
		for i, p := range params {
			if e, ok := expressions[i]; ok && p.Name == name {
				value = e
			}
		}
		if name != w.paging.Param || w.paging.Kind == "page" {
			pairs = append(pairs, quote(name)+": "+value)
		}
	}
	w.body = "{" + strings.Join(pairs, ", ") + "}"
}

// config is the piece of the configuration.
func (w *writer) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "inputs:\n  %s:\n    id: 1\n    enabled: true\n    request_period_in_seconds: 300\n    services:\n      %[1]s:\n", w.Name)
	some := false
	for _, s := range w.settings {
		switch {
		case s.name == "base_url" && w.Request.Base != "":
			if w.public() {
				continue
			}
			fmt.Fprintf(&b, "        base_url: %s   # an address that is not public has to stand here\n", w.Request.Base)
		case s.kind == "secret":
			fmt.Fprintf(&b, "        %s: ${%s_%s}\n", s.name, strings.ToUpper(w.Name), strings.ToUpper(s.name))
		default:
			fmt.Fprintf(&b, "        %s: TODO   # %s\n", s.name, s.doc)
		}
		some = true
	}
	if !some {
		return strings.TrimSuffix(b.String(), "\n") + " {}\n"
	}
	return b.String()
}

// public reports whether scripts may reach the address of the API without the configuration naming it.
func (w *writer) public() bool {
	u, err := url.Parse(w.Request.Base)
	return err != nil || new(engine.Network).CheckURL(u) == nil
}
