package cases

import (
	"encoding/json"
	"encoding/xml"
	"regexp"
	"strings"
)

// fields masks the values of personal fields in a text of JSON or XML, at their places. The text may be broken off.
func (m *masker) fields(text string) string {
	if len(m.personal) == 0 {
		return text
	}
	if strings.HasPrefix(strings.TrimSpace(text), "<") {
		return m.elements(text)
	}
	s := &scanner{text: text, m: m}
	s.run()
	return s.out.String()
}

// A scanner goes through JSON from string to string.
type scanner struct {
	text string
	m    *masker
	out  strings.Builder
	at   int
	deep int // how deep the value of a personal field is in brackets; 0: it is in none
	next bool
}

func (s *scanner) run() {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.str()
		case c == '{' || c == '[':
			if s.next || s.deep > 0 {
				s.deep++
			}
			s.next = false
			s.copy(1)
		case c == '}' || c == ']':
			if s.deep > 0 {
				s.deep--
			}
			s.next = false
			s.copy(1)
		case c == ',' && s.deep == 0:
			s.next = false
			s.copy(1)
		case (c == '-' || c >= '0' && c <= '9') && (s.next || s.deep > 0):
			n := len(s.text[s.at:]) - len(strings.TrimLeft(s.text[s.at:], "-+.eE0123456789"))
			s.out.WriteString(s.m.number(s.text[s.at : s.at+n]))
			s.at += n
		default:
			s.copy(1)
		}
	}
}

func (s *scanner) copy(n int) {
	s.out.WriteString(s.text[s.at : s.at+n])
	s.at += n
}

// str is a string: a key, or a value.
func (s *scanner) str() {
	end := s.at + 1
	for end < len(s.text) && s.text[end] != '"' {
		if s.text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s.text) { // broken off
		if s.next || s.deep > 0 {
			s.out.WriteString(`"`)
			s.at = len(s.text)
			return
		}
		s.copy(len(s.text) - s.at)
		return
	}
	inner := s.text[s.at+1 : end]
	isKey := strings.HasPrefix(strings.TrimLeft(s.text[end+1:], " \t\r\n"), ":")
	switch {
	case isKey:
		s.copy(end + 1 - s.at)
		s.next = s.m.personal[strings.ToLower(unquote(inner))]
		return
	case s.next || s.deep > 0:
		quoted, err := json.Marshal(s.m.value(unquote(inner)))
		if err != nil {
			quoted = []byte(`""`)
		}
		s.out.Write(quoted)
		s.at = end + 1
	default:
		s.copy(end + 1 - s.at)
	}
	s.next = false
}

func unquote(inner string) string {
	var text string
	if json.Unmarshal([]byte(`"`+inner+`"`), &text) != nil {
		return inner
	}
	return text
}

var element = regexp.MustCompile(`(<(?:[A-Za-z0-9_]+:)?([A-Za-z_][A-Za-z0-9_.-]*)(?:\s[^>]*)?>)([^<]+)(</)`)

func (m *masker) elements(text string) string {
	return element.ReplaceAllStringFunc(text, func(whole string) string {
		part := element.FindStringSubmatch(whole)
		if !m.personal[strings.ToLower(part[2])] {
			return whole
		}
		var plain struct {
			Text string `xml:",chardata"`
		}
		if xml.Unmarshal([]byte("<a>"+part[3]+"</a>"), &plain) != nil {
			plain.Text = part[3]
		}
		return part[1] + m.value(plain.Text) + part[4]
	})
}
