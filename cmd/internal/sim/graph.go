package sim

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Graph describes how the message trace of Microsoft Graph behaves. The zero value is what was observed.
type Graph struct {
	Quota      Quota // default 100 requests in a rolling 5 minutes; with Requests -1 there is none
	OwnDetails bool  // getDetailsByRecipient has a quota of its own; by default it shares the other

	// Paging is what a link stands for. "cursor" (default) goes on below the last row, whatever appears above it. "offset" counts
	// rows from the top of a listing that is made anew, so that rows which appear shift pages. "snapshot" lists what the first
	// page saw.
	Paging       string
	LinkFirst    bool          // @odata.nextLink stands before the rows
	LinkLife     time.Duration // after which a link is refused; 0 means never
	LinkGone     int           // with this status; default 410
	RepeatLink   int           // every n-th link is the address of its own page
	ForeignLink  int           // every n-th link points to another host
	EmptyPage    int           // every n-th page is empty and has a link; 2 or more
	MaxURL       int           // longest query, in bytes, that is not answered with 404; default 2048
	Digits       int           // of the fraction of receivedDateTime; default 3, up to 7
	Plain        bool          // never gzip
	RefuseFuture bool          // a filter may not end after today

	// Until this moment there is no service principal for the trace itself, which is a 401 that no token cures.
	PrincipalFrom time.Time
	NoPermission  bool             // the application lacks ExchangeMessageTrace.Read.All: 403
	Latency       [2]time.Duration // least and most for a page of 5000 rows; less for fewer
}

func (g *Graph) withDefaults() {
	if g.Quota.Requests == 0 {
		g.Quota.Requests = 100
	}
	if g.LinkGone == 0 {
		g.LinkGone = http.StatusGone
	}
	if g.MaxURL == 0 {
		g.MaxURL = 2048
	}
	if g.Digits == 0 {
		g.Digits = 3
	}
}

var (
	graphList    = regexp.MustCompile(`(?i)^/(v1\.0|beta)/admin/exchange/tracing/messageTraces/?$`)
	graphDetails = regexp.MustCompile(`(?i)^/(v1\.0|beta)/admin/exchange/tracing/messageTraces(?:/([0-9a-f-]{36})|\('([0-9a-f-]{36})'\))/(?:microsoft\.graph\.)?getDetailsByRecipient\(recipientAddress='(.*)'\)$`)
)

// graph answers what was asked of Microsoft Graph.
func (m *Microsoft) graph(w http.ResponseWriter, r *http.Request, o *Options) {
	h := w.Header()
	h.Set("OData-Version", "4.0")
	h.Set("x-ms-ags-diagnostic", `{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"5","ScaleUnit":"001","RoleInstance":"SIM00000001"}}`)
	if id := r.Header.Get("client-request-id"); id != "" {
		h.Set("client-request-id", id)
	}
	list, details := graphList.FindStringSubmatch(r.URL.Path), graphDetails.FindStringSubmatch(r.URL.Path)
	class := classGraph
	if details != nil && o.Graph.OwnDetails {
		class = classDetails
	}
	m.count(func(c *Counters) { c.Requests++ })
	note := noteOf(r)
	note.API = class
	refused := m.admitGraph(r, o, class)
	switch {
	case len(r.URL.RawQuery) > o.Graph.MaxURL:
		(&reply{status: http.StatusNotFound}).send(w, r, "")
		return
	case list == nil && details == nil:
		graphFailure(http.StatusNotFound, "BadRequest", "Resource not found for the segment '"+r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]+"'.", o).send(w, r, "")
		return
	case r.Method != http.MethodGet:
		graphFailure(http.StatusMethodNotAllowed, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.", o).send(w, r, "")
		return
	case refused != nil:
		refused.send(w, r, "")
		return
	}
	fault := m.fault(&m.faults, o.Faults)
	note.Fault = fault
	if answer := m.broken(fault, graphShape, o); answer != nil {
		answer.send(w, r, fault)
		return
	}
	if details != nil {
		m.details(r, o, details[1], details[2]+details[3], strings.ReplaceAll(details[4], "''", "'")).send(w, r, fault)
		return
	}
	m.list(r, o, strings.ToLower(list[1]) == "beta", fault).send(w, r, fault)
}

// graphTokenTexts say what is wrong with a token.
var graphTokenTexts = map[string]string{
	tokenMissing:  "Access token is empty.",
	tokenUnknown:  "Access token validation failure. Invalid signature.",
	tokenAudience: "Access token validation failure. Invalid audience.",
	tokenExpired:  "Lifetime validation failed, the token is expired.",
}

// admitGraph refuses a request, or returns nil.
func (m *Microsoft) admitGraph(r *http.Request, o *Options, class string) *reply {
	now := o.now()
	problem := m.bearer(r, graphResource, o)
	unauthorized := func(code, text string) *reply {
		m.count(func(c *Counters) { c.Unauthorized++ })
		a := graphFailure(http.StatusUnauthorized, code, text, o)
		a.authenticate = `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"`
		return a
	}
	switch {
	case problem != "":
		return unauthorized("InvalidAuthenticationToken", graphTokenTexts[problem])
	case now.Before(o.Graph.PrincipalFrom):
		return unauthorized("Unauthorized", "Service principal-less authentication failed: the service principal for App ID 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373 was not found. "+
			"Please create a service principal for this app in your tenant. Provisioning may take several hours to complete.")
	}
	form, text := o.Graph.Quota.Form, "Your recent queries have surpassed the permitted limit, please try again later."
	pause, refused := m.spend(class, o.Graph.Quota, o)
	if !refused && m.paused(o, now) {
		pause, refused, form = o.Throttle.Pause, true, o.Throttle.Form
	}
	if refused {
		a := graphFailure(http.StatusTooManyRequests, "Error", text, o)
		a.retryAfter = form.header(pause, now)
		return a
	}
	if o.Graph.NoPermission {
		m.count(func(c *Counters) { c.Unauthorized++ })
		return graphFailure(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.", o)
	}
	return nil
}

// list answers a listing of message traces.
func (m *Microsoft) list(r *http.Request, o *Options, beta bool, fault Fault) *reply {
	now := o.now()
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return graphFailure(http.StatusBadRequest, "BadRequest", "The query is malformed.", o)
	}
	q, err := m.parseGraph(values, o, now)
	if old, is := errors.AsType[gone](err); is {
		return graphFailure(old.status, "ResyncRequired", old.Error(), o)
	}
	if err != nil {
		m.count(func(c *Counters) { c.BadRequests++ })
		noteOf(r).Reason = err.Error()
		return graphFailure(http.StatusBadRequest, "BadRequest", err.Error(), o)
	}
	note := noteOf(r)
	note.From, note.To, note.Link = q.from, q.to, values.Get("$skiptoken") != ""
	return m.graphPage(r, &q, o, beta, fault, now)
}

// graphPage makes one page, newest row first.
func (m *Microsoft) graphPage(r *http.Request, q *graphQuery, o *Options, beta bool, fault Fault, now time.Time) *reply {
	next := q.token
	if next == (skipToken{}) {
		next = skipToken{From: ticks(q.from), To: ticks(q.to), Moment: ticks(now), At: -1}
	}
	visible := now
	if o.Graph.Paging == "snapshot" {
		visible = fromTicks(next.Moment)
	}
	limit := q.top
	if m.emptyPage(o) {
		limit = 0
	}
	write := graphRenderer{beta: beta, digits: o.Graph.Digits, full: o.FullFraction, recalled: prefersUnknown(r), text: renderer{raw: o.RawUnicode}, now: now, repeat: o.Repeat}
	body, rows, more := m.walk(q, &next, o.Graph.Paging == "cursor" || o.Graph.Paging == "", limit, visible, &write)
	link := ""
	if more {
		link = m.link(r, q, o, next, now)
	}
	pause(r.Context(), graphLatency(o, rows, uint64(ticks(now))))
	if fault == "" {
		m.count(func(c *Counters) { c.Pages++; c.Rows += rows })
	}
	noteOf(r).Rows = rows
	head, tail := write.envelope(base(r), link, o.Graph.LinkFirst)
	return &reply{status: http.StatusOK, contentType: "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
		parts: [][]byte{[]byte(head), body, []byte(tail)}, gzip: !o.Graph.Plain}
}

// walk writes up to limit rows from where next stands, moves next behind them, and says whether there are more.
func (m *Microsoft) walk(q *graphQuery, next *skipToken, cursor bool, limit int, visible time.Time, write *graphRenderer) (body []byte, rows int, more bool) {
	lo := m.rows.search(ticks(q.from))
	i := m.rows.search(min(ticks(q.to), ticks(visible))+1) - 1
	skip := 0
	switch {
	case next.At < 0 && cursor:
		next.At = i
	case next.At < 0:
		next.At = 0
	case cursor:
		i = next.At
	default:
		skip = next.At
	}
	at := reader{g: m.rows}
	for ; i >= lo; i-- {
		row := at.row(i)
		if row.Visible.After(visible) || !q.matches(row, write.now) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if rows == limit {
			more = true
			break
		}
		if rows > 0 {
			body = append(body, ',')
		}
		body = write.row(body, row)
		rows++
		if m.repeats(write.repeat) {
			body = write.row(append(body, ','), row)
		}
	}
	if cursor {
		next.At = i
	} else {
		next.At += rows
	}
	return body, rows, more
}

// emptyPage reports whether it is the turn of a page without rows.
func (m *Microsoft) emptyPage(o *Options) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.graphPages++
	return o.Graph.EmptyPage > 1 && m.graphPages%o.Graph.EmptyPage == 0
}

func graphLatency(o *Options, rows int, salt uint64) time.Duration {
	least, most := o.Graph.Latency[0], o.Graph.Latency[1]
	d := least
	if most > least {
		d += time.Duration(rand.New(rand.NewPCG(o.Seed, salt)).Int64N(int64(most - least)))
	}
	return o.Latency + d*time.Duration(rows)/graphLargestTop
}

// prefersUnknown reports whether the client wants members of enumerations that are newer than the version.
func prefersUnknown(r *http.Request) bool {
	for _, value := range r.Header.Values("Prefer") {
		if strings.Contains(strings.ToLower(value), "include-unknown-enum-members") {
			return true
		}
	}
	return false
}
