// Package certify tries a script against what APIs and machines do to collectors: it plays an API that is
// known row by row, breaks it in one way at a time, pulls until nothing more comes, and counts what is
// missing, what came twice, and what ended the pulls for good.
package certify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An API is what is played: lists of rows, and answers that are always the same, such as a sign-in.
type API struct {
	Lists   []*List
	Answers []Answer
	Period  time.Duration // between two pulls
	Now     time.Time     // when the first pull begins
}

// An Answer is the same for every request that it fits.
type Answer struct {
	Method, Part string // part of the URL
	Status       int
	Header       http.Header
	Body         string
}

// A List is what requests for pages ask for.
type List struct {
	Method    string
	URL       string // without a query
	Envelope  map[string]any
	At        string // path of the rows in an answer; "" if the answer is the list
	Rows      []*Row
	ID        string // path of the field that tells rows apart
	Time      string // path of the field that requests choose by; "" for none
	Size      int    // rows of a page
	Next      Next
	Newest    bool // the newest rows come first
	Ordered   bool // the API promises the order
	Inclusive bool // the end of a range belongs to it
	Late      time.Duration
	Needs     []string // fields that every row has, of the right type
}

// A Next says how an answer leads to the next page.
type Next struct {
	Kind   string // "", "link", "cursor", "offset", "page" or "header"
	Key    string // path in the answer
	Param  string
	Parts  int  // of a cursor that is a list, sent with commas in between; 0 if it is a text
	Always bool // there is a page behind the last one too, which has what appears later
}

// A Row of a list.
type Row struct {
	ID      string
	Time    time.Time
	Visible time.Time // when the API has it
	Fields  map[string]any
}

// Declared reads what a file of tests declares. A mistake is told with the key.
func Declared(d map[string]any, now time.Time) (*API, error) {
	k := &keys{left: d}
	api := &API{Now: now, Period: k.duration("period", 10*time.Minute)}
	if at := k.text("clock", ""); at != "" {
		t, ok := moment(at)
		if !ok {
			k.fail("clock", "want a time like \"2026-01-02T03:04:05Z\"")
		}
		api.Now = t
	}
	for i, a := range k.list("answers") {
		api.Answers = append(api.Answers, k.answer(i, a))
	}
	lists := k.list("lists")
	if len(lists) == 0 {
		api.Lists = append(api.Lists, k.readList())
	}
	k.done()
	for i, l := range lists {
		inner := &keys{where: fmt.Sprintf("lists[%d].", i), left: l}
		api.Lists = append(api.Lists, inner.readList())
		k.took(inner)
	}
	if k.err == nil && api.Now.IsZero() {
		k.fail("clock", "is missing: the time of the first pull, such as \"2026-01-02T03:04:05Z\"")
	}
	return api, k.err
}

func (k *keys) readList() *List {
	l := &List{Method: k.text("method", "GET"), URL: k.text("url", ""), At: k.text("at", ""), ID: k.text("id", "id"), Time: k.text("time", ""),
		Size: k.number("size", 0), Ordered: k.flag("ordered"), Inclusive: k.flag("inclusive"), Late: k.duration("late", 0), Needs: k.texts("needs")}
	l.Envelope = k.dict("envelope")
	for _, fields := range k.list("rows") {
		l.Rows = append(l.Rows, &Row{Fields: fields})
	}
	l.Next = k.next()
	switch {
	case l.URL == "":
		k.fail("url", "is missing: the URL of the list, without a query")
	case len(l.Rows) == 0:
		k.fail("rows", "is missing: what the API has, a list of dicts")
	}
	return l
}

// Prepare gives rows their ids and times, adds rows until there are some pages, and rows that appear
// between the first pulls.
func (a *API) Prepare() error {
	for _, l := range a.Lists {
		if err := l.prepare(a.Now, a.Period); err != nil {
			return fmt.Errorf("%s: %w", l.URL, err)
		}
	}
	return nil
}

// fewest is how many pages a list has at the first pull, and fresh how many pulls then find new rows.
const (
	fewest = 3
	fresh  = 3
)

func (l *List) prepare(now time.Time, period time.Duration) error {
	if l.Size == 0 {
		l.Size = len(l.Rows)
		if l.Next.Kind != "" {
			l.Size = max(2, (len(l.Rows)+2)/fewest)
		}
	}
	seen := map[string]bool{}
	for _, r := range l.Rows {
		r.ID = text(get(r.Fields, l.ID))
		if r.ID == "" || seen[r.ID] {
			return fmt.Errorf("rows need a field %q that tells them apart; declare another one as id", l.ID)
		}
		seen[r.ID] = true
		if l.Time != "" {
			at, ok := moment(get(r.Fields, l.Time))
			if !ok {
				return fmt.Errorf("row %s: %q is no time", r.ID, l.Time)
			}
			r.Time, r.Visible = at, at.Add(l.Late)
		}
	}
	l.Newest = len(l.Rows) > 1 && l.Rows[0].Time.After(l.Rows[len(l.Rows)-1].Time)
	if l.Newest {
		slices.Reverse(l.Rows) // kept from old to new
		l.Newest = !l.Next.Always
	}
	last := l.Rows[len(l.Rows)-1]
	wanted := 0
	if l.Next.Kind != "" {
		wanted = (fewest-1)*l.Size + 1 - len(l.Rows)
	}
	for i := range max(0, wanted) {
		step := max(time.Second, now.Sub(last.Time)/time.Duration(2*wanted+2))
		l.add(last.Time.Add(time.Duration(i+1)*step), time.Time{})
	}
	for i := range fresh {
		for _, part := range []time.Duration{3, 8} {
			at := now.Add(time.Duration(i)*period + part*period/10).Truncate(time.Second)
			l.add(at, at)
		}
	}
	return nil
}

// add makes a row like the others.
func (l *List) add(at, visible time.Time) {
	like := l.Rows[len(l.Rows)%max(1, min(len(l.Rows), 3))]
	r := &Row{Fields: clone(like.Fields).(map[string]any), Time: at, Visible: visible}
	set(r.Fields, l.ID, nextID(get(l.Rows[len(l.Rows)-1].Fields, l.ID), len(l.Rows)))
	r.ID = text(get(r.Fields, l.ID))
	if l.Time != "" {
		set(r.Fields, l.Time, likeTime(get(like.Fields, l.Time), at))
		r.Visible = at.Add(l.Late)
	}
	l.Rows = append(l.Rows, r)
}

// nextID makes an id of the same form as another one.
func nextID(id any, n int) any {
	switch id := id.(type) {
	case int64:
		return id + 1
	case float64:
		return id + 1
	}
	s := text(id)
	head := strings.TrimRight(s, "0123456789")
	tail := s[len(head):]
	number, err := strconv.ParseUint(tail, 10, 63)
	if err != nil || len(tail) > 17 {
		return fmt.Sprintf("%s%d", s, 1000+n)
	}
	return fmt.Sprintf("%s%0*d", head, len(tail), number+1)
}

// get reads a path of keys with dots between them.
func get(v any, path string) any {
	for _, key := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
		if whole, ok := m[path]; ok { // a key with dots in it
			return whole
		}
	}
	return v
}

// set puts a value at a path, making what is missing; nil deletes.
func set(m map[string]any, path string, v any) {
	if _, whole := m[path]; !whole && !strings.HasPrefix(path, "@") {
		head, rest, ok := strings.Cut(path, ".")
		if ok && head != "odata" { // whose names have dots in them

			inner, _ := m[head].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
				m[head] = inner
			}
			set(inner, rest, v)
			return
		}
	}
	if v == nil {
		delete(m, path)
		return
	}
	m[path] = v
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, x := range v {
			c[k] = clone(x)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, x := range v {
			c[i] = clone(x)
		}
		return c
	}
	return v
}

// text is a scalar as people read it.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
