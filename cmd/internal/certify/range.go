package certify

import (
	"regexp"
	"strings"
	"time"
)

// A span is what a request asks for.
type span struct {
	from, to         time.Time // zero for none
	openFrom, openTo bool      // the bound itself is left out
	after            string    // the id of the row before the first
}

func (s span) has(at time.Time) bool {
	if !s.from.IsZero() && (at.Before(s.from) || s.openFrom && at.Equal(s.from)) {
		return false
	}
	return s.to.IsZero() || !at.After(s.to) && (!s.openTo || !at.Equal(s.to))
}

// compared finds comparisons in a filter, such as those of OData: created ge 2026-01-02T03:04:05Z.
var compared = regexp.MustCompile(`(?i)(\w+)\s*(\bge\b|\bgt\b|\ble\b|\blt\b|\beq\b|>=|<=|>|<)\s*(?:datetime)?'?"?([0-9][0-9TtZz:.+\-]*)`)

// dots finds both ends of a range as searches have them: created:2026-01-02T03:04:05Z..2026-01-03T00:00:00Z.
var dots = regexp.MustCompile(`([0-9][0-9TtZz:+\-]*)\.\.([0-9][0-9TtZz:+\-]*)`)

// Words in the names of parameters that begin, or end, a range.
var (
	begins = regexp.MustCompile(`(?i)from|since|start|begin|after|newer|min|[._\[]gt?e?\b|oldest`)
	ends   = regexp.MustCompile(`(?i)^to$|until|end|before|older|max|till|[._\[]lt?e?\b|latest|_to$|[a-z]To$`)
)

// rangeOf reads what rows a request asks for.
func rangeOf(l *List, given map[string]string) span {
	s := span{openTo: !l.Inclusive}
	for name, value := range given {
		if name == l.Next.Param && l.Next.Kind != "" {
			continue
		}
		if m := dots.FindStringSubmatch(value); m != nil {
			s.compare("", "ge", m[1])
			s.compare("", "le", m[2])
			continue
		}
		if m := compared.FindAllStringSubmatch(value, -1); m != nil {
			for _, c := range m {
				s.compare(c[1], strings.ToLower(c[2]), c[3])
			}
			continue
		}
		at, ok := moment(value)
		switch {
		case ok && ends.MatchString(name):
			s.to = at
		case ok && begins.MatchString(name):
			s.from = at
		case !ok && begins.MatchString(name) || ok && l.Time == "":
			if l.hasID(value) {
				s.after = value
			}
		}
		if l.Time == "" && begins.MatchString(name) && l.hasID(value) {
			s.after = value
		}
	}
	return s
}

func (s *span) compare(name, op, value string) {
	at, ok := moment(value)
	if !ok {
		return
	}
	if op == "eq" {
		op = "ge"
		if ends.MatchString(name) {
			op = "le"
		}
	}
	switch op {
	case "ge", ">=", "gt", ">":
		s.from, s.openFrom = at, op == "gt" || op == ">"
	default:
		s.to, s.openTo = at, op == "lt" || op == "<"
	}
}

func (l *List) hasID(id string) bool {
	for _, r := range l.Rows {
		if r.ID == id {
			return true
		}
	}
	return false
}
