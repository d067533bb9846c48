package engine

import (
	"fmt"
	"strconv"
	"time"
)

// Keys that Devo's collectors know at every input and service, whatever it collects.
const (
	limitsKey     = "requests_limits"
	autoconfigKey = "autoconfig"
	timeSlotsKey  = "use_time_slots_for_retrievals"
	retriesKey    = "retries"
	obfuscateKey  = "obfuscation_data"
)

// The engine's own keys of an input and of a service; all others there are settings of scripts.
var (
	inputKeys   = ownKeys("id", "enabled", "credentials", "services")
	serviceKeys = ownKeys("enabled", "script")
)

func ownKeys(more ...string) []string {
	return append(more, periodKey, limitsKey, autoconfigKey, timeSlotsKey, retriesKey, obfuscateKey)
}

// generic checks what is accepted without effect: changes of the configuration are always noticed, and
// retries are the script's. What is to hide personal data is not among it: that it has no effect must not be
// found out afterwards.
func (r *configReader) generic(s *Section) {
	s.Bool(timeSlotsKey, false)
	if s.Has(autoconfigKey) {
		a := s.sub(autoconfigKey)
		a.Bool("enabled", false)
		a.Int("refresh_interval_in_seconds", 600, 1, maxPeriod)
		a.Int("creation_timeout_in_second", 60, 1, maxPeriod)
		a.unknown(r.problems)
	}
	s.WithoutEffect(retriesKey, timeSlotsKey, autoconfigKey)
	r.warnOf(s)
	if s.Has(obfuscateKey) {
		line, col := s.placeOf(obfuscateKey)
		r.problems.add(line, col, join(s.path, obfuscateKey), "its form is published nowhere, so nothing would be hidden: remove it, and leave out or change fields in a copy of the script (starling scripts copy)")
	}
}

// period reads how long it is from one pull to the next. A fraction is cut, as Devo's collectors do.
func period(s *Section, otherwise int64) int64 {
	if e, ok := s.find(periodKey); ok {
		if f, isFloat := e.value.value.(float64); isFloat && 1 <= f && f <= maxPeriod {
			return int64(f)
		}
	}
	return s.Int(periodKey, otherwise, 1, maxPeriod)
}

// A RequestLimit is one of Devo's requests_limits: at most N requests of a collector in any stretch of Per.
type RequestLimit struct {
	N   int
	Per time.Duration
}

// maxRequestLimit bounds N: the time of each request is kept.
const maxRequestLimit = 100_000

// requestLimits reads requests_limits; otherwise are those of the input.
func (r *configReader) requestLimits(s *Section, otherwise []RequestLimit) []RequestLimit {
	e, ok := s.find(limitsKey)
	if !ok {
		return otherwise
	}
	if e.value.kind != listNode {
		s.wrong(e, "a list, such as [{period: 1h, number_of_requests: 100}]")
		return nil
	}
	limits := []RequestLimit{}
	for i, item := range e.value.items {
		path := fmt.Sprintf("%s[%d]", join(s.path, limitsKey), i)
		if item.kind != mappingNode {
			r.problems.add(item.line, item.col, path, "got %s, want a mapping, such as {period: 1h, number_of_requests: 100}", item.shown())
			continue
		}
		l := newSection(r.problems, r.Base, path, item.line, item.col, item)
		n, per := requestCount(l), requestPeriod(l)
		l.unknown(r.problems)
		if n > 0 {
			limits = withLimit(limits, RequestLimit{N: int(n), Per: per})
		}
	}
	return limits
}

// withLimit adds a limit. Of several for the same time only the lowest means anything.
func withLimit(limits []RequestLimit, l RequestLimit) []RequestLimit {
	for i := range limits {
		if limits[i].Per == l.Per {
			limits[i].N = min(limits[i].N, l.N)
			return limits
		}
	}
	return append(limits, l)
}

func requestCount(s *Section) int64 {
	const key = "number_of_requests"
	e, ok := s.find(key)
	if !ok {
		s.missing(key, "")
		return 0
	}
	n, ok := whole(e.value)
	if !ok || n != -1 && (n < 1 || n > maxRequestLimit) {
		s.wrong(e, fmt.Sprintf("a whole number from 1 to %d, or -1 for any number", maxRequestLimit))
		return 0
	}
	return n
}

var requestUnits = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'M': 30 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}

func requestPeriod(s *Section) time.Duration {
	text := s.Required("period")
	if text == "" {
		return 0
	}
	unit, ok := requestUnits[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
	if !ok || err != nil || n == 0 || time.Duration(n) > maxPeriod*time.Second/unit {
		e, _ := s.find("period")
		s.wrong(e, "a number with a unit, s, m, h, d, w, M or y, such as 1h")
		return 0
	}
	return time.Duration(n) * unit
}

// TakeLimits waits until the requests_limits of the collector let one more request through, and counts
// it. Op names the request in the error, which has CodeThrottled if that is too far away for the pull.
func (p *Pull) TakeLimits(op string) error {
	for _, l := range p.limits {
		q, err := p.env.Store.Quota(fmt.Sprintf("%s of %s in %s", limitsKey, p.collector, l.Per), p.QuotaClock())
		if err != nil {
			return err
		}
		turn, err := q.Take(p, op, Pace{N: l.N, Per: l.Per})
		if err != nil {
			return err
		}
		turn.Done(true)
	}
	return nil
}
