package certify

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// errEndless ends a pull that asks again and again.
var errEndless = errors.New("certify ends the pull: it asks without end")

// How long a fault lasts.
const (
	once    = "once"
	onePull = "until the pull ends"
	forGood = "for three pulls"
)

// A Fault is an answer, or none, in place of the right one.
type Fault struct {
	Kind  string // what it is, in words
	First int    // the number of the first request that meets it
	Lasts string
}

// lasting is the number of pulls that a fault for good lasts.
const lasting = 3

type slow struct{}

func (slow) Error() string   { return "i/o timeout" }
func (slow) Timeout() bool   { return true }
func (slow) Temporary() bool { return true }

// active reports whether the fault meets a request.
func (s *server) active(one *served) bool {
	f := s.cell.Fault
	if f == nil || one.Number < f.First {
		return false
	}
	began := s.log[f.First-1].Pull
	switch f.Lasts {
	case once:
		return one.Number == f.First
	case onePull:
		return one.Pull == began
	}
	return one.Pull < began+lasting
}

// over reports whether nothing is broken in a pull from now on.
func (s *server) over(pull int) bool {
	f := s.cell.Fault
	switch {
	case s.cell.KillRequest > 0:
		return len(s.log) >= s.cell.KillRequest
	case f == nil:
		return true
	case len(s.log) < f.First:
		return false
	}
	began := s.log[f.First-1].Pull
	return pull > began && (f.Lasts != forGood || pull >= began+lasting)
}

// broken puts the fault in place of an answer.
func (s *server) broken(r *http.Request, one *served, a *Answer) error {
	if s.cell.Expire > 0 {
		return s.expired(r, one, a)
	}
	if !s.active(one) {
		return nil
	}
	one.Fault, s.failed = s.cell.Fault.Kind, true
	plain := func(status int, text string) {
		*a = Answer{Status: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: text}
	}
	switch s.cell.Fault.Kind {
	case "429":
		plain(http.StatusTooManyRequests, "slow down")
	case "429 with Retry-After":
		plain(http.StatusTooManyRequests, "slow down")
		a.Header.Set("Retry-After", "7")
	case "500":
		plain(http.StatusInternalServerError, "internal error")
	case "503":
		plain(http.StatusServiceUnavailable, "unavailable")
	case "no answer in time":
		s.pass(30 * time.Second)
		return slow{}
	case "a connection reset":
		return syscall.ECONNRESET
	case "half of its JSON":
		a.Body = a.Body[:len(a.Body)/2]
	case "HTML with status 200":
		*a = Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<!DOCTYPE html><html><body>We are working on it.</body></html>"}
	}
	return nil
}

// expired has the tokens of before refused from a request on.
func (s *server) expired(r *http.Request, one *served, a *Answer) error {
	if one.Number == s.cell.Expire {
		s.epoch++
	}
	if auth := r.Header.Get("Authorization"); s.epoch > 0 && strings.Contains(auth, "-epoch-0") {
		one.Fault = "401, as the token has expired"
		*a = Answer{Status: http.StatusUnauthorized, Header: http.Header{}, Body: `{"error": "token expired"}`}
	}
	return nil
}
