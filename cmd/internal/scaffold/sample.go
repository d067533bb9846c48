package scaffold

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Sample is an answer of the API.
type Sample struct {
	Body    []byte
	Links   bool     // it came with a header Link that leads to a next page
	Invent  bool     // it was made up from a schema, or there was none
	Rows    []string // path of keys to the list; empty if the answer is the list
	Fields  []Field  // of a row, in the order of the first row that has them
	Count   int      // of rows
	top     map[string]json.RawMessage
	records []map[string]json.RawMessage
}

// A Field is one of a row.
type Field struct {
	Name string
	Kind string // "text", "number", "true or false", "list", "object", "null", "time", "time_seconds", "time_ms"
}

// maxSample is how large a sample may be.
const maxSample = 4 << 20

// ParseSample reads an answer: JSON, which may have the head of HTTP in front, as curl -i shows it.
func ParseSample(text []byte) (*Sample, error) {
	if len(text) > maxSample {
		return nil, fmt.Errorf("the sample has %d bytes: some rows are enough", len(text))
	}
	s := &Sample{}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for bytes.HasPrefix(text, []byte("HTTP/")) {
		head, rest, ok := splitHead(text)
		if !ok {
			return nil, errors.New("the sample begins with the head of an answer that has no end")
		}
		s.Links = strings.Contains(strings.ToLower(head.Get("Link")), "next")
		text = rest
	}
	s.Body = bytes.TrimSpace(text)
	if !json.Valid(s.Body) || !utf8.Valid(s.Body) {
		return nil, errors.New("the sample is no JSON")
	}
	if err := s.findRows(); err != nil {
		return nil, err
	}
	s.readFields()
	return s, nil
}

func splitHead(text []byte) (textproto.MIMEHeader, []byte, bool) {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		head, rest, ok := bytes.Cut(text, []byte(end))
		if !ok {
			continue
		}
		_, lines, _ := bytes.Cut(head, []byte("\n"))
		header, _ := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(lines, "\n\n"...)))).ReadMIMEHeader()
		return header, rest, true
	}
	return nil, nil, false
}

// findRows looks for the list of rows: the answer itself, or the longest list of objects in it.
func (s *Sample) findRows() error {
	var list []json.RawMessage
	if s.Body[0] == '[' {
		if err := json.Unmarshal(s.Body, &list); err != nil {
			return err
		}
	} else {
		if json.Unmarshal(s.Body, &s.top) != nil {
			return errors.New("the sample is neither an object nor a list")
		}
		list = findList(s.top, nil, &s.Rows, 3)
		if s.Rows == nil {
			return errors.New("the sample has no list of objects in it: are there no rows in this answer?")
		}
	}
	for _, item := range list {
		var row map[string]json.RawMessage
		if json.Unmarshal(item, &row) == nil && row != nil {
			s.records = append(s.records, row)
			s.noteOrder(item)
		}
	}
	s.Count = len(list)
	if len(s.records) < len(list) {
		return errors.New("the rows of the sample are not objects")
	}
	return nil
}

func findList(object map[string]json.RawMessage, path []string, best *[]string, depth int) (list []json.RawMessage) {
	for _, name := range keysIn(object) {
		v := object[name]
		here := append(append([]string{}, path...), name)
		switch {
		case len(v) > 0 && v[0] == '[':
			var items []json.RawMessage
			objects := json.Unmarshal(v, &items) == nil
			for _, item := range items {
				objects = objects && len(item) > 0 && item[0] == '{'
			}
			if objects && (*best == nil || len(items) > len(list)) {
				*best, list = here, items
			}
		case len(v) > 0 && v[0] == '{' && depth > 1:
			var inner map[string]json.RawMessage
			if json.Unmarshal(v, &inner) != nil {
				continue
			}
			var path []string
			if items := findList(inner, here, &path, depth-1); path != nil && (*best == nil || len(items) > len(list)) {
				*best, list = path, items
			}
		}
	}
	return list
}

func (s *Sample) noteOrder(row json.RawMessage) {
	d := json.NewDecoder(bytes.NewReader(row))
	d.Token()
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return
		}
		known := false
		for _, f := range s.Fields {
			known = known || f.Name == name
		}
		if !known {
			s.Fields = append(s.Fields, Field{Name: name.(string)})
		}
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return
		}
	}
}

func (s *Sample) readFields() {
	for i := range s.Fields {
		f := &s.Fields[i]
		f.Kind = "null"
		for _, row := range s.records {
			if v, ok := row[f.Name]; ok && string(v) != "null" {
				f.Kind = kindOf(f.Name, v)
				break
			}
		}
	}
}

// kindOf names what a value is; a number is a time only by its name.
func kindOf(name string, v json.RawMessage) string {
	switch v[0] {
	case '[':
		return "list"
	case '{':
		return "object"
	case 't', 'f':
		return "true or false"
	case '"':
		var text string
		json.Unmarshal(v, &text)
		if timeForm.MatchString(text) && len(text) < 40 {
			return "time"
		}
		return "text"
	}
	if n, err := strconv.ParseFloat(string(v), 64); err == nil && timeName(name) > 0 {
		switch {
		case n > 1e8 && n < 1e10:
			return "time_seconds"
		case n > 1e11 && n < 1e13:
			return "time_ms"
		}
	}
	return "number"
}

// timeName says how much a name is one of the time at which something happened; 0 means not at all.
func timeName(name string) int {
	plain := notName.ReplaceAllString(strings.ToLower(name), "")
	for points, names := range [][]string{
		{},
		{"modified", "updated", "expires", "lastseen", "end", "received", "modifiedtime", "updatedat", "lastmodified"},
		{"ts", "date", "start", "logged", "detected", "firstseen"},
		{"published", "occurred", "createdat", "created", "createddatetime", "createddate", "createdtime", "creationtime", "eventdate"},
		{"timestamp", "time", "eventtime", "eventtimestamp", "activitydatetime", "eventdatetime", "isotimestamp", "occurredat"},
	} {
		for _, n := range names {
			if plain == n {
				return 10 + points
			}
		}
	}
	for _, part := range []string{"time", "date", "created", "timestamp", "published", "occurred"} {
		if strings.Contains(plain, part) {
			return 5
		}
	}
	if strings.HasSuffix(plain, "at") || strings.HasSuffix(plain, "on") {
		return 1
	}
	return 0
}

// timeField guesses when a row happened.
func (s *Sample) timeField() *Field {
	var best *Field
	points := 0
	for i := range s.Fields {
		f := &s.Fields[i]
		if !strings.HasPrefix(f.Kind, "time") {
			continue
		}
		if n := 1 + timeName(f.Name); n > points {
			best, points = f, n
		}
	}
	return best
}

// keyField guesses what tells rows apart: a field like id whose values are there and differ.
func (s *Sample) keyField() *Field {
	var best *Field
	points := 0
	for i := range s.Fields {
		f := &s.Fields[i]
		n := keyName(f.Name)
		if n <= points || f.Kind != "text" && f.Kind != "number" || !s.distinct(f.Name) {
			continue
		}
		best, points = f, n
	}
	return best
}

func keyName(name string) int {
	plain := notName.ReplaceAllString(strings.ToLower(name), "")
	switch plain {
	case "id", "uuid", "guid", "eventid", "documentid", "logid", "recordid", "uid":
		return 10
	}
	switch {
	case strings.HasSuffix(plain, "uuid") || strings.HasSuffix(plain, "guid") || strings.HasSuffix(plain, "eventid"):
		return 5
	case strings.HasSuffix(plain, "txid") || plain == "key" || plain == "number":
		return 3
	case strings.HasSuffix(plain, "id"):
		return 2
	}
	return 0
}

func (s *Sample) distinct(name string) bool {
	seen := map[string]bool{}
	for _, row := range s.records {
		v, ok := row[name]
		if !ok || string(v) == "null" || seen[string(v)] {
			return false
		}
		seen[string(v)] = true
	}
	return true
}

// timeOf returns the time of a row, and whether it has one that can be read.
func (s *Sample) timeOf(row int, f *Field) (time.Time, bool) {
	v, ok := s.records[row][f.Name]
	if !ok {
		return time.Time{}, false
	}
	switch f.Kind {
	case "time":
		var text string
		if json.Unmarshal(v, &text) != nil {
			return time.Time{}, false
		}
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04"} {
			if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
				return t.UTC(), true
			}
		}
		return time.Time{}, false
	}
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil || n < 0 || n > 7e12 {
		return time.Time{}, false
	}
	if f.Kind == "time_ms" {
		return time.UnixMilli(int64(n)).UTC(), true
	}
	return time.UnixMilli(int64(n * 1000)).UTC(), true
}
