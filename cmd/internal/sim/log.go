package sim

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Classes of requests: what a quota is for, and the names in the log.
const (
	classGraph    = "graph"
	classDetails  = "details"
	classReport   = "report"
	classToken    = "token"
	classIdentity = "identity"
)

// Request is one request as the service saw it.
type Request struct {
	At       time.Time // by Options.Now
	API      string    // graph, details, report, token or identity; empty for an unknown path
	Status   int       // of the answer; 0 when there was none
	Fault    Fault     // that the answer had
	From, To time.Time // what was asked for, when it was understood
	Link     bool      // it followed a link
	Rows     int       // in the answer
	Reason   string    // of a 400, and of what the sign-in refused
}

type noteKey struct{}

// noteOf returns what the log will say about a request.
func noteOf(r *http.Request) *Request {
	if note, ok := r.Context().Value(noteKey{}).(*Request); ok {
		return note
	}
	return &Request{}
}

func withNote(r *http.Request, note *Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), noteKey{}, note))
}

// Log returns the requests so far, in the order they were answered. It is empty unless Options.KeepLog.
func (m *Microsoft) Log() []Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Request(nil), m.log...)
}

// Busiest returns the most requests of an API that came within any time of a length. A client keeps within 100 in 5 minutes when
// Busiest(log, "graph", 5*time.Minute) is at most 100. The log may have requests out of order: the end of an answer is noted when the
// next request is on its way already.
func Busiest(log []Request, api string, window time.Duration) int {
	var times []time.Time
	for _, r := range log {
		if r.API == api {
			times = append(times, r.At)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	most := 0
	var recent []time.Time
	for _, at := range times {
		recent = append(recent, at)
		for !recent[0].After(at.Add(-window)) {
			recent = recent[1:]
		}
		most = max(most, len(recent))
	}
	return most
}
