package sim

import (
	"net/http"
	"net/url"
	"time"
)

// report answers a request for MessageTrace.
func (m *Microsoft) report(w http.ResponseWriter, r *http.Request, o *Options) {
	m.count(func(c *Counters) { c.Requests++ })
	pause(r.Context(), o.Latency)
	h := w.Header()
	h.Set("X-FEServer", "SIM01CA0001")
	h.Set("X-BEServer", "SIM01MB0001")
	h.Set("X-DiagInfo", "SIM01MB0001")
	h.Set("X-RWS-Version", "2013-V1")

	values, err := url.ParseQuery(r.URL.RawQuery)
	form := shapeOf(values, r.Header.Get("Accept"))
	if refused := m.admit(r, o, form); refused != nil {
		if refused.status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Bearer realm=""`)
		}
		refused.send(w, "")
		return
	}
	fault := m.fault(&m.faults, o.Faults)
	if fault == ServerError || fault == Unavailable || fault == WebPage {
		m.broken(fault, form, o).send(w, "")
		return
	}
	var q query
	if err == nil {
		q, err = parseQuery(values, r.Header.Get("Accept"), o, o.Now())
	}
	if version := r.Header.Get("X-RWS-Version"); version != "" && version != "2013-V1" {
		err = badRequest("The version specified in the request is unsupported.")
	}
	if err != nil {
		m.count(func(c *Counters) { c.BadRequests++ })
		body, contentType := form.failure(err.Error())
		(&reply{status: http.StatusBadRequest, contentType: contentType, parts: [][]byte{[]byte(body)}}).send(w, "")
		return
	}
	version := "2.0;"
	if q.shape == light {
		version = "3.0;"
	}
	h.Set("DataServiceVersion", version)
	m.answer(r, &q, o, fault).send(w, fault)
}

// admit refuses the request, or returns nil.
func (m *Microsoft) admit(r *http.Request, o *Options, s shape) *reply {
	status := o.Retired
	switch {
	case status != 0:
	case r.Method != http.MethodGet:
		status = http.StatusMethodNotAllowed
	case !m.authorized(r, o):
		status = http.StatusUnauthorized
	case o.NoRole:
		status = http.StatusForbidden
	default:
		return m.throttle(o, s)
	}
	switch status {
	case http.StatusUnauthorized:
		m.count(func(c *Counters) { c.Unauthorized++ })
		return html(status, page401)
	case http.StatusForbidden:
		m.count(func(c *Counters) { c.Unauthorized++ })
		return &reply{status: status, contentType: "application/json; charset=utf-8", parts: [][]byte{[]byte(body403)}}
	}
	return refusal(status, s, "html")
}

// throttle answers 429 when it is time for one.
func (m *Microsoft) throttle(o *Options, s shape) *reply {
	now := o.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	early := now.Before(m.pausedUntil)
	if !early {
		m.requests++
		if o.Throttle.Every == 0 || m.requests%o.Throttle.Every != 0 {
			return nil
		}
		if o.Throttle.Form != Absent {
			m.pausedUntil = now.Add(o.Throttle.Pause)
		}
	}
	if early {
		m.counters.Early++
	}
	m.counters.Throttled++
	a := refusal(http.StatusTooManyRequests, s, o.ErrorBody)
	a.retryAfter = o.Throttle.header(now)
	return a
}

// answer renders a page and its envelope.
func (m *Microsoft) answer(r *http.Request, q *query, o *Options, fault Fault) *reply {
	now := o.Now()
	if o.Snapshot {
		now = m.snapshot(q, now)
	}
	base := "http://" + r.Host
	if r.TLS != nil {
		base = "https://" + r.Host
	}
	p, next := m.render(q, o, base, now), ""
	if after := q.skip + p.count; q.top < 0 && p.count > 0 && (after < p.total || o.TrailingEmpty) {
		token := after
		if o.SkipToken != "offset" {
			token-- // the key of the last row
		}
		next = nextQuery(q, token)
	}
	render := newRenderer(q, base, o.RawUnicode)
	head, tail := render.envelope(q, next)
	if fault == "" {
		m.count(func(c *Counters) { c.Pages++; c.Rows += p.count })
	}
	return &reply{status: http.StatusOK, contentType: q.shape.contentType(), parts: [][]byte{[]byte(head), p.body, []byte(tail)}}
}

// snapshot returns the moment at which the first page of the window was asked for.
func (m *Microsoft) snapshot(q *query, now time.Time) time.Time {
	window := [2]int64{ticks(q.start), ticks(q.end)}
	m.mu.Lock()
	defer m.mu.Unlock()
	first, seen := m.snapshots[window]
	if q.paged && seen {
		return first
	}
	m.snapshots[window] = now
	return now
}
