package main

import (
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode"

	"starling/cmd/internal/pickle"
)

// An importPlace is a time in the state of an old collector, which a pull could go on from.
type importPlace struct {
	Key    string    `json:"key"`
	Time   time.Time `json:"time"`
	Likely likeness  `json:"likely"`
}

// A likeness is how much a value looks like the end of what was pulled.
type likeness string

const (
	likely   likeness = "likely"
	possible likeness = "possible"
	doubtful likeness = "doubtful" // more like the moment when something ran
)

// Words in the names of values.
var (
	likelyWords   = []string{"last", "latest", "newest", "max", "until", "end", "to", "from", "next", "since", "cursor", "checkpoint"}
	doubtfulWords = []string{"run", "ran", "execution", "executed", "poll", "polled", "saved", "updated", "modified", "created", "login", "refresh", "refreshed"}
	settingWords  = []string{"reset", "expires", "expire", "expiry", "expiration", "version"} // no place at all
)

// words splits a name such as last_eventTime.
func words(name string) []string {
	var all []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			all = append(all, strings.ToLower(string(word)))
			word = nil
		}
	}
	lower := false
	for _, r := range name {
		if !unicode.IsLetter(r) || unicode.IsUpper(r) && lower {
			end()
		}
		if unicode.IsLetter(r) {
			word = append(word, r)
		}
		lower = unicode.IsLower(r)
	}
	end()
	return all
}

func oneOf(words, list []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
}

// timesOf returns the times in a state, those of the dicts in it with the names of these before their
// own. latest is the last moment up to which its collector can have pulled.
func timesOf(d *pickle.Dict, latest, now time.Time) []importPlace {
	var all []importPlace
	for _, p := range d.Pairs {
		name, ok := p.Key.(string)
		if !ok || strings.HasPrefix(name, "@") || isSecret(name) || oneOf(words(name), settingWords) {
			continue
		}
		if inner, ok := p.Value.(*pickle.Dict); ok {
			for _, q := range timesOf(inner, latest, now) {
				q.Key = name + "." + q.Key
				all = append(all, q)
			}
			continue
		}
		at, ok := timeOf(p.Value)
		if !ok || at.After(now) {
			continue
		}
		q := importPlace{Key: name, Time: at, Likely: possible}
		switch {
		case at.After(latest) || oneOf(words(name), doubtfulWords):
			q.Likely = doubtful
		case oneOf(words(name), likelyWords):
			q.Likely = likely
		}
		all = append(all, q)
	}
	return all
}

// oldest is before all that a collector may have pulled, so that small numbers are no times.
var oldest = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)

// timeOf reads a value that is a time, in whole seconds: what was pulled of its second comes twice, and
// nothing is missed. Without a zone it is UTC, as Devo's collectors write it.
func timeOf(v any) (time.Time, bool) {
	var at time.Time
	switch v := v.(type) {
	case time.Time:
		at = v
	case string:
		at = parseTime(v)
	case int64:
		at = epoch(v)
	case float64:
		if v > 0 && v < 1e15 {
			at = epoch(int64(v))
		}
	}
	at = at.UTC().Truncate(time.Second)
	return at, !at.Before(oldest)
}

// epoch reads seconds, or milliseconds, since 1970.
func epoch(n int64) time.Time {
	switch {
	case n >= 1e12 && n < 1e14:
		return time.UnixMilli(n)
	case n > 0 && n < 1e11:
		return time.Unix(n, 0)
	}
	return time.Time{}
}

func parseTime(text string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	if n, ok := new(big.Int).SetString(text, 10); ok && n.IsInt64() {
		return epoch(n.Int64())
	}
	return time.Time{}
}

// only returns the place that can be told from all others, nil if there is none: of those that look most
// like one, the only one.
func (s *importState) only() *importPlace {
	best := possible
	if slices.ContainsFunc(s.Times, func(p importPlace) bool { return p.Likely == likely }) {
		best = likely
	}
	var found *importPlace
	for _, p := range s.Times {
		switch {
		case p.Likely != best:
		case found != nil && !found.Time.Equal(p.Time):
			return nil
		case found == nil:
			found = &p
		}
	}
	return found
}

func (s *importState) named(key string) *importPlace {
	for _, p := range s.Times {
		if p.Key == key {
			return &p
		}
	}
	return nil
}

func (s *importState) names() []string {
	names := []string{}
	for _, p := range s.Times {
		names = append(names, p.Key)
	}
	return names
}
