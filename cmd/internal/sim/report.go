package sim

import (
	"net/http"
	"net/url"
	"time"
)

// report answers a request for MessageTrace.
func (m *Microsoft) report(w http.ResponseWriter, r *http.Request, o *Options) {
	m.count(func(c *Counters) { c.Requests++ })
	note := noteOf(r)
	note.API = classReport
	pause(r.Context(), o.Latency)
	h := w.Header()
	h.Set("X-FEServer", "SIM01CA0001")
	h.Set("X-BEServer", "SIM01MB0001")
	h.Set("X-DiagInfo", "SIM01MB0001")
	h.Set("X-RWS-Version", "2013-V1")
	h.Set("Cache-Control", "no-cache")
	h.Add("Set-Cookie", "X-BackEndCookie=sim; expires="+o.now().Add(time.Hour).UTC().Format(http.TimeFormat)+"; path=/ecp; secure; HttpOnly")

	values, err := url.ParseQuery(r.URL.RawQuery)
	form := shapeOf(values, r.Header.Get("Accept"))
	if refused := m.admit(r, o, form); refused != nil {
		refused.send(w, r, "")
		return
	}
	fault := m.fault(&m.faults, o.Faults)
	note.Fault = fault
	if answer := m.broken(fault, form, o); answer != nil {
		answer.send(w, r, fault)
		return
	}
	var q query
	if err == nil {
		q, err = parseQuery(values, r.Header.Get("Accept"), o, o.now())
	}
	if version := r.Header.Get("X-RWS-Version"); version != "" && version != "2013-V1" {
		err = badRequest("The version specified in the request is unsupported.")
	}
	if err != nil {
		m.count(func(c *Counters) { c.BadRequests++ })
		note.Reason = err.Error()
		body, contentType := form.failure(err.Error())
		(&reply{status: http.StatusBadRequest, contentType: contentType, parts: [][]byte{[]byte(body)}}).send(w, r, fault)
		return
	}
	version := "2.0;"
	if q.shape == light {
		version = "3.0;"
	}
	h.Set("DataServiceVersion", version)
	note.From, note.To, note.Link = q.start, q.end, q.paged
	m.answer(r, &q, o, fault).send(w, r, fault)
}

// admit refuses the request, or returns nil.
func (m *Microsoft) admit(r *http.Request, o *Options, s shape) *reply {
	problem := m.bearer(r, o.Resource, o)
	status := o.Retired
	switch {
	case status != 0:
	case r.Method != http.MethodGet:
		status = http.StatusMethodNotAllowed
	case problem != "" || o.NoPermission:
		status = http.StatusUnauthorized
	case o.NoRole:
		status = http.StatusForbidden
	default:
		return m.throttle(o, s)
	}
	switch status {
	case http.StatusOK:
		return html(status, webPage)
	case http.StatusUnauthorized:
		m.count(func(c *Counters) { c.Unauthorized++ })
		a := html(status, page401)
		a.authenticate = `Bearer realm=""`
		return a
	case http.StatusForbidden:
		m.count(func(c *Counters) { c.Unauthorized++ })
		return &reply{status: status, contentType: "application/json; charset=utf-8", parts: [][]byte{[]byte(body403)}}
	}
	return refusal(status, s, "html", o)
}

// throttle answers 429 when it is time for one.
func (m *Microsoft) throttle(o *Options, s shape) *reply {
	now := o.now()
	if pause, refused := m.spend(classReport, o.Quota, o); refused {
		a := refusal(http.StatusTooManyRequests, s, o.ErrorBody, o)
		a.retryAfter = o.Quota.Form.header(pause, now)
		return a
	}
	if !m.paused(o, now) {
		return nil
	}
	a := refusal(http.StatusTooManyRequests, s, o.ErrorBody, o)
	a.retryAfter = o.Throttle.Form.header(o.Throttle.Pause, now)
	return a
}

// paused counts a request for Throttle and reports whether it is refused.
func (m *Microsoft) paused(o *Options, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	early := now.Before(m.pausedUntil)
	if !early {
		m.requests++
		if o.Throttle.Every == 0 || m.requests%o.Throttle.Every != 0 {
			return false
		}
		if o.Throttle.Form != Absent {
			m.pausedUntil = now.Add(o.Throttle.Pause)
		}
	}
	if early {
		m.counters.Early++
	}
	m.counters.Throttled++
	return true
}

// spend takes a request from the quota of a class.
func (m *Microsoft) spend(class string, q Quota, o *Options) (pause time.Duration, refused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.quotas[class]
	if state == nil {
		state = &quotaState{}
		m.quotas[class] = state
	}
	pause, refused, early := state.take(q, o.Seed, o.now())
	if refused {
		m.counters.Throttled++
	}
	if early {
		m.counters.Early++
	}
	return pause, refused
}

// answer renders a page and its envelope.
func (m *Microsoft) answer(r *http.Request, q *query, o *Options, fault Fault) *reply {
	now := o.now()
	visible := now
	if o.Snapshot {
		visible = m.snapshot(q, now)
	}
	p, next := m.render(q, o, base(r), visible, now), ""
	if o.Overload.Rows > 0 && p.total > o.Overload.Rows {
		return m.overload(q, o)
	}
	if after := q.skip + p.count; q.top < 0 && p.count > 0 && (after < p.total || o.TrailingEmpty) {
		token := after
		if o.SkipToken != "offset" {
			token-- // the key of the last row
		}
		next = nextQuery(q, token)
	}
	render := newRenderer(q, base(r), o, now)
	head, tail := render.envelope(q, next)
	if fault == "" {
		m.count(func(c *Counters) { c.Pages++; c.Rows += p.count })
	}
	noteOf(r).Rows = p.count
	return &reply{status: http.StatusOK, contentType: q.shape.contentType(), parts: [][]byte{[]byte(head), p.body, []byte(tail)}, gzip: o.Gzip}
}

// overload is what the service answers when a window has too many rows for it.
func (m *Microsoft) overload(q *query, o *Options) *reply {
	m.count(func(c *Counters) { c.Overloads++ })
	body, contentType := q.shape.failure("We cannot currently process your request, please wait a few minutes and try again.")
	return &reply{status: max(o.Overload.Status, http.StatusInternalServerError), contentType: contentType, parts: [][]byte{[]byte(body)}}
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
