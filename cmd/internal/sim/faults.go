package sim

import (
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is a way in which an answer goes wrong.
type Fault string

const (
	ServerError Fault = "500"
	Unavailable Fault = "503"       // with no Retry-After
	Reset       Fault = "reset"     // the connection is reset in the middle of the body
	Truncated   Fault = "truncated" // the connection is closed in the middle of the body, short of Content-Length
	Cut         Fault = "cut"       // half of the body as a complete answer: only its reader can tell
	WebPage     Fault = "html"      // 200 with a web page, as a proxy does
)

// Faults says which answers go wrong: every n-th, and a share of all. Kinds come in turn; none means all.
type Faults struct {
	Every int
	Share float64
	Kinds []Fault
}

// faultState is where a Faults is.
type faultState struct {
	asked, given int
	random       *rand.Rand
}

// next decides about one answer; it returns "" for a good one.
func (s *faultState) next(f Faults) Fault {
	s.asked++
	hit := f.Every > 0 && s.asked%f.Every == 0 || f.Share > 0 && s.random.Float64() < f.Share
	if !hit {
		return ""
	}
	kinds := f.Kinds
	if len(kinds) == 0 {
		kinds = []Fault{ServerError, Unavailable, Reset, Truncated, Cut, WebPage}
	}
	s.given++
	return kinds[(s.given-1)%len(kinds)]
}

// RetryAfter is how a 429 says when to come back.
type RetryAfter string

const (
	Seconds RetryAfter = "seconds"
	Date    RetryAfter = "date"
	Absent  RetryAfter = "absent"
)

// Throttle answers every n-th request for a page with 429. Until the pause is over every other request gets a 429 as well, and
// is counted as early, unless Form is Absent.
type Throttle struct {
	Every int
	Pause time.Duration // rounded up to a second on the wire
	Form  RetryAfter    // default Seconds
}

func (t Throttle) header(now time.Time) string {
	pause := (t.Pause + time.Second - 1) / time.Second
	switch t.Form {
	case Absent:
		return ""
	case Date:
		return now.Add(pause*time.Second + time.Second - 1).UTC().Format(http.TimeFormat)
	}
	return strconv.Itoa(int(pause))
}

// reply is an answer before it is sent.
type reply struct {
	status      int
	contentType string
	retryAfter  string
	parts       [][]byte
}

// The texts a web server has for its errors; the one for 401 is as captured.
const (
	page401 = `<title>401 - Unauthorized: Access is denied due to invalid credentials.</title><body><div id="header"><h1>Server Error</h1></div>` +
		`<div id="content"><div class="content-container"><fieldset><h2>401 - Unauthorized: Access is denied due to invalid credentials.</h2>` +
		`<h3>You do not have permission to view this directory or page using the credentials that you supplied.</h3></fieldset></div></div></body>`
	body403 = `{"ErrorCode":"","Message":"No permission to access the report for the organization ."}`
	webPage = `<!DOCTYPE html><html><head><title>Please sign in</title></head><body><h1>Please sign in to continue</h1></body></html>`
)

func html(status int, page string) *reply {
	return &reply{status: status, contentType: "text/html", parts: [][]byte{[]byte(page)}}
}

// refusal is an error without a captured body; errorBody chooses what it looks like.
func refusal(status int, s shape, errorBody string) *reply {
	text := http.StatusText(status)
	switch errorBody {
	case "html":
		return html(status, "<html><head><title>"+text+"</title></head><body><h1>"+text+"</h1></body></html>")
	case "empty":
		return &reply{status: status}
	}
	body, contentType := s.failure(text)
	return &reply{status: status, contentType: contentType, parts: [][]byte{[]byte(body)}}
}

// send writes the answer, or as much of it as the fault lets through.
func (a *reply) send(w http.ResponseWriter, fault Fault) {
	length := 0
	for _, part := range a.parts {
		length += len(part)
	}
	h := w.Header()
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	}
	if a.retryAfter != "" {
		h.Set("Retry-After", a.retryAfter)
	}
	rest := length
	if fault == Reset || fault == Truncated || fault == Cut {
		rest = length / 2
	}
	if fault == Cut {
		length = rest
	}
	h.Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(a.status)
	for _, part := range a.parts {
		part = part[:min(rest, len(part))]
		rest -= len(part)
		if _, err := w.Write(part); err != nil {
			return // the client left
		}
	}
	if fault == Reset || fault == Truncated {
		hangUp(w, fault == Reset)
	}
}

// hangUp ends the connection under the client.
func hangUp(w http.ResponseWriter, reset bool) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler) // the documented way to break off an answer
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // only an orderly end would follow
	}
	_ = conn.Close()
}
