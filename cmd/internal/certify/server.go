package certify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"starling/engine"
)

// A served is a request and what became of it.
type served struct {
	Number int // of the request, from 1, over all pulls
	Pull   int
	Method string
	URL    string
	List   *List
	At     *engine.Statement
	Rows   []*Row // that the answer had, or would have had
	Fault  string // what it got instead, in words
	More   bool   // there is a next page
	Then   []int  // lines that ran after it failed
	SignIn bool
}

// A state is what the token of a next page stands for.
type state struct {
	list    *List
	rows    []*Row // all of the request, as they were at the first page
	offset  int
	variant int // how often the page in front was put in
	query   url.Values
	given   map[string]string // what chose the rows
}

// A server plays the API. It is an http.RoundTripper for one cell of the matrix.
type server struct {
	api    *API
	cell   *Cell
	now    func() time.Time // of the API
	pass   func(time.Duration)
	marks  *engine.Statements
	cancel context.CancelCauseFunc // of the pull
	pull   int
	begun  int // the first request of the pull
	most   int // requests of a pull
	log    []*served
	states []state
	epoch  int // of tokens
	failed bool
}

func (s *server) begin(pull int, cancel context.CancelCauseFunc) {
	s.pull, s.begun, s.cancel = pull, len(s.log), cancel
}

// RoundTrip implements http.RoundTripper.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, context.Cause(r.Context())
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	one := &served{Number: len(s.log) + 1, Pull: s.pull, Method: r.Method, URL: r.URL.String(), At: s.marks.Last()}
	s.log = append(s.log, one)
	if len(s.log)-s.begun > s.most {
		s.cancel(errEndless)
		return nil, errEndless
	}
	if s.cell.KillRequest == one.Number {
		one.Fault = "a kill"
		s.cancel(engine.Kill())
		return nil, engine.Kill()
	}
	a, err := s.answer(r, body, one)
	if err != nil {
		return nil, err
	}
	if err := s.broken(r, one, &a); err != nil {
		return nil, err
	}
	a.Header.Set("Date", s.now().UTC().Format(http.TimeFormat))
	return &http.Response{StatusCode: a.Status, Status: fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.Header, Body: io.NopCloser(strings.NewReader(a.Body)), ContentLength: int64(len(a.Body)), Request: r}, nil
}

// answer is what the API answers when nothing is broken.
func (s *server) answer(r *http.Request, body []byte, one *served) (Answer, error) {
	plain := *r.URL
	plain.RawQuery, plain.Fragment = "", ""
	for _, l := range s.api.Lists {
		if r.Method == l.Method && strings.TrimSuffix(plain.String(), "/") == strings.TrimSuffix(l.URL, "/") {
			one.List = l
			return s.page(r, body, l, one)
		}
	}
	best := -1
	for i, a := range s.api.Answers {
		if r.Method == a.Method && strings.Contains(r.URL.String(), a.Part) && (best < 0 || len(a.Part) > len(s.api.Answers[best].Part)) {
			best = i
		}
	}
	if best < 0 {
		return Answer{}, fmt.Errorf("certify knows no answer for %s %s: declare it", r.Method, plain.String())
	}
	a := s.api.Answers[best]
	a.Header = a.Header.Clone()
	if signIn(a) {
		one.SignIn = true
		a.Body = s.freshToken(a.Body)
	}
	return a, nil
}

func signIn(a Answer) bool { return strings.Contains(a.Body, `"access_token"`) }

// freshToken makes the token of an answer one of the present epoch.
func (s *server) freshToken(body string) string {
	var v map[string]any
	if json.Unmarshal([]byte(body), &v) != nil {
		return body
	}
	v["access_token"] = fmt.Sprintf("%s-epoch-%d", text(v["access_token"]), s.epoch)
	b, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return string(b)
}

// page answers a request for rows.
func (s *server) page(r *http.Request, body []byte, l *List, one *served) (Answer, error) {
	st, err := s.start(r, body, l)
	if err != nil {
		return Answer{Status: http.StatusBadRequest, Header: http.Header{}, Body: err.Error()}, nil
	}
	rows, next := s.cell.pageOf(l, &st)
	one.Rows, one.More = rows, next != nil && next.offset < len(next.rows)
	return s.render(l, rows, next), nil
}

// start says which page a request asks for.
func (s *server) start(r *http.Request, body []byte, l *List) (state, error) {
	given := arguments(r, body)
	st := state{list: l, query: r.URL.Query(), given: given}
	value := given[l.Next.Param]
	switch l.Next.Kind {
	case "link", "cursor", "header":
		param := l.Next.Param
		if l.Next.Kind == "header" {
			param = "page_token"
		}
		if token := given[param]; token != "" && !(l.Next.Kind == "cursor" && !strings.HasPrefix(token, "page-")) {
			return s.pointed(l, token)
		}
	case "offset":
		st.offset, _ = strconv.Atoi(value)
	case "page":
		if n, err := strconv.Atoi(value); err == nil && n > 1 {
			st.offset = (n - 1) * l.Size
		}
	}
	st.rows = s.chosen(l, given)
	return st, nil
}

// pointed is the state that a token stands for.
func (s *server) pointed(l *List, token string) (state, error) {
	var n int
	fmt.Sscanf(token, "page-%d", &n)
	if n < 1 || n > len(s.states) || token != l.Next.token(n) {
		return state{}, fmt.Errorf("unknown page %q", token)
	}
	st := s.states[n-1]
	if l.Next.Always {
		st.rows = s.chosen(l, st.given) // with what has appeared since
	}
	return st, nil
}

// token is what leads to page n.
func (n Next) token(page int) string {
	return fmt.Sprintf("page-%d%s", page, strings.Repeat(",of", max(0, n.Parts-1)))
}

// chosen are the rows that are there now and that a request asks for.
func (s *server) chosen(l *List, given map[string]string) []*Row {
	r := rangeOf(l, given)
	var rows []*Row
	after := r.after != ""
	for _, row := range l.inOrder() {
		if row.Visible.After(s.now()) {
			continue
		}
		if after {
			after = row.ID != r.after
			continue
		}
		at := row.Time
		if l.Next.Always {
			at = row.Visible
		}
		if l.Time == "" || r.has(at) {
			rows = append(rows, row)
		}
	}
	if l.Newest {
		slices.Reverse(rows)
	}
	return rows
}

// inOrder are the rows from old to new; where a page that is there has to stay as it is, from the first that appeared.
func (l *List) inOrder() []*Row {
	if !l.Next.Always {
		return l.Rows
	}
	return slices.SortedStableFunc(slices.Values(l.Rows), func(a, b *Row) int { return a.Visible.Compare(b.Visible) })
}

// arguments are the parameters of a request: those of its query, of a form, of a JSON object.
func arguments(r *http.Request, body []byte) map[string]string {
	given := map[string]string{}
	add := func(values url.Values) {
		for name, v := range values {
			given[name] = strings.Join(v, ",")
		}
	}
	add(r.URL.Query())
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		values, _ := url.ParseQuery(string(body))
		add(values)
	}
	var v map[string]any
	if json.Unmarshal(body, &v) == nil {
		flatten(given, v)
	}
	return given
}

func flatten(given map[string]string, v map[string]any) {
	for name, x := range v {
		if inner, ok := x.(map[string]any); ok {
			flatten(given, inner)
		} else {
			given[name] = text(x)
		}
	}
}

// render writes a page.
func (s *server) render(l *List, rows []*Row, next *state) Answer {
	a := Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}}
	list := make([]any, len(rows))
	for i, r := range rows {
		list[i] = s.cell.fieldsOf(r)
	}
	var whole any = list
	if l.At != "" {
		envelope := map[string]any{}
		if l.Envelope != nil {
			envelope = clone(l.Envelope).(map[string]any)
		}
		set(envelope, l.At, list)
		whole = envelope
	}
	if next != nil {
		s.point(l, next, whole, &a)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(whole) // it was JSON
	a.Body = b.String()
	return a
}

// point puts the way to the next page into an answer.
func (s *server) point(l *List, next *state, whole any, a *Answer) {
	switch l.Next.Kind {
	case "link", "cursor", "header":
	default:
		return // the script counts
	}
	s.states = append(s.states, *next)
	token := l.Next.token(len(s.states))
	base, _ := url.Parse(l.URL)
	query := url.Values{}
	for name, v := range next.query {
		query[name] = v
	}
	param := l.Next.Param
	if l.Next.Kind == "header" {
		param = "page_token"
	}
	query.Set(param, token)
	base.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	envelope, _ := whole.(map[string]any)
	switch {
	case l.Next.Kind == "header":
		a.Header.Set("Link", "<"+base.String()+">; rel=\"next\"")
	case envelope == nil:
	case l.Next.Kind == "link":
		set(envelope, l.Next.Key, base.String())
	case l.Next.Parts > 0:
		var parts []any
		for part := range strings.SplitSeq(token, ",") {
			parts = append(parts, part)
		}
		set(envelope, l.Next.Key, parts)
	default:
		set(envelope, l.Next.Key, token)
	}
}
