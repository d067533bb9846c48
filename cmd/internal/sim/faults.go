package sim

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Fault is a way in which an answer goes wrong.
type Fault string

const (
	ServerError    Fault = "500"
	BadGateway     Fault = "502"
	Unavailable    Fault = "503" // with no Retry-After
	GatewayTimeout Fault = "504"
	Reset          Fault = "reset"          // the connection is reset in the middle of the body
	ResetEarly     Fault = "reset-early"    // it is reset before the headers
	CloseEarly     Fault = "close-early"    // it is closed before the headers
	Truncated      Fault = "truncated"      // the connection is closed in the middle of the body, short of Content-Length
	CutChunks      Fault = "cut-chunks"     // it is closed in the middle of a body in chunks
	Cut            Fault = "cut"            // half of the body as a complete answer: only its reader can tell
	WebPage        Fault = "html"           // 200 with a web page, as a proxy does
	Redirect       Fault = "redirect"       // 302 to another host
	BadGzip        Fault = "bad-gzip"       // a gzip body with a wrong byte
	Slow           Fault = "slow"           // the body comes a byte in 10 s
	Hang           Fault = "hang"           // no answer until the client leaves
	TwiceKeys      Fault = "duplicate-keys" // the rows come under a key that comes again, with none
	BOM            Fault = "bom"            // a byte order mark before the body
	BadUTF8        Fault = "bad-utf8"       // a byte that is not UTF-8 in some text
	Huge           Fault = "huge"           // followed by 256 MiB of spaces
)

// Describe says in a few words what a fault does.
func (f Fault) Describe() string {
	return map[Fault]string{
		ServerError:    "an internal error",
		BadGateway:     "a web page of a gateway",
		Unavailable:    "without Retry-After",
		GatewayTimeout: "a gateway waited too long",
		Reset:          "the connection is reset in the middle of the body",
		ResetEarly:     "it is reset before the answer",
		CloseEarly:     "it is closed before the answer",
		Truncated:      "it is closed in the middle of the body, short of Content-Length",
		CutChunks:      "it is closed in the middle of a chunked body",
		Cut:            "half of the body, as if it were whole",
		WebPage:        "200 with a web page, as of a proxy",
		Redirect:       "302 to another host",
		BadGzip:        "a compressed body with a wrong byte",
		Slow:           "a byte in 10 s",
		Hang:           "no answer until the client leaves",
		TwiceKeys:      "the rows under a key that comes again, with none",
		BOM:            "a byte order mark before the body",
		BadUTF8:        "a byte that is not UTF-8 in some text",
		Huge:           "followed by 256 MiB of spaces",
	}[f]
}

// usualFaults are those of a Faults without Kinds: what a client meets now and then.
var usualFaults = []Fault{ServerError, Unavailable, Reset, Truncated, Cut, WebPage}

// AllFaults lists every kind.
func AllFaults() []Fault {
	return []Fault{ServerError, BadGateway, Unavailable, GatewayTimeout, Reset, ResetEarly, CloseEarly, Truncated, CutChunks, Cut, WebPage,
		Redirect, BadGzip, Slow, Hang, TwiceKeys, BOM, BadUTF8, Huge}
}

// Faults says which answers go wrong: every n-th, and a share of all. Kinds come in turn; none means 500, 503, reset, truncated,
// cut and html.
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
		kinds = usualFaults
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
	Zero    RetryAfter = "zero"
	TooLong RetryAfter = "huge" // 1,000 days
)

// Throttle answers every n-th request for a page, of either API, with 429. Until the pause is over every other request gets a 429 as well, and
// is counted as early, unless Form is Absent.
type Throttle struct {
	Every int
	Pause time.Duration // rounded up to a second on the wire
	Form  RetryAfter    // default Seconds
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
func refusal(status int, s shape, errorBody string, o *Options) *reply {
	text := http.StatusText(status)
	switch errorBody {
	case "html":
		return html(status, "<html><head><title>"+text+"</title></head><body><h1>"+text+"</h1></body></html>")
	case "empty":
		return &reply{status: status}
	}
	if s == graphShape {
		return graphFailure(status, strings.ReplaceAll(text, " ", ""), text, o)
	}
	body, contentType := s.failure(text)
	return &reply{status: status, contentType: contentType, parts: [][]byte{[]byte(body)}}
}

func (m *Microsoft) fault(state *faultState, f Faults) Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	fault := state.next(f)
	if fault != "" {
		m.counters.Faults++
	}
	return fault
}

// broken is the answer of a fault that has one of its own, or nil.
func (m *Microsoft) broken(fault Fault, s shape, o *Options) *reply {
	switch fault {
	case ServerError:
		return refusal(http.StatusInternalServerError, s, o.ErrorBody, o)
	case BadGateway:
		return refusal(http.StatusBadGateway, s, "html", o)
	case Unavailable:
		return refusal(http.StatusServiceUnavailable, s, o.ErrorBody, o)
	case GatewayTimeout:
		return refusal(http.StatusGatewayTimeout, s, o.ErrorBody, o)
	case WebPage:
		return html(http.StatusOK, webPage)
	case Redirect:
		return &reply{status: http.StatusFound, location: "https://elsewhere.example.net/"}
	case ResetEarly, CloseEarly, Hang:
		return &reply{status: http.StatusOK}
	}
	return nil
}

// spoil changes the text of a good answer as the fault says.
func (f Fault) spoil(body []byte) []byte {
	switch f {
	case BOM:
		return append([]byte("\xef\xbb\xbf"), body...)
	case BadUTF8:
		text := string(body)
		if i := strings.Index(text[len(text)/2:], `":"`); i >= 0 {
			i += len(text)/2 + 3
			return []byte(text[:i] + "\xff" + text[i:])
		}
	case TwiceKeys:
		text := strings.TrimSuffix(string(body), "}")
		switch {
		case len(text) == len(body):
		case strings.Contains(text, `"value":[`):
			return []byte(text + `,"value":[]}`)
		case strings.HasPrefix(text, `{"d":`):
			return []byte(text + `,"d":{"results":[]}}`)
		}
	}
	return body
}
