package dev

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Changes say how the events differ from those of the last pull that worked.
type Changes struct {
	First   bool `json:"first"` // there was none
	Added   int  `json:"added"`
	Removed int  `json:"removed"`
	// Fields are those that differ, if there are as many events as before.
	Fields []FieldChange `json:"fields,omitempty"`
	// Compared is how many of the events that differ were looked at for Fields.
	Compared int    `json:"compared,omitempty"`
	Diff     string `json:"diff,omitempty"`
}

// A FieldChange is a field of events that has another value, with one of them. An empty text means that the field is not there.
type FieldChange struct {
	Name   string `json:"name"`
	Was    string `json:"was"`
	Is     string `json:"is"`
	Events int    `json:"events"`
}

// changesTo compares events, one to a line each.
func changesTo(before, now string) Changes {
	c := Changes{}
	d := diff.Diff("before", []byte(before), "now", []byte(now))
	if d == nil {
		return c
	}
	_, text, _ := strings.Cut(string(d), "\n") // the line that names a command
	c.Diff = text
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
		case strings.HasPrefix(line, "+"):
			c.Added++
		case strings.HasPrefix(line, "-"):
			c.Removed++
		}
	}
	if c.Added == c.Removed {
		c.Fields, c.Compared = fieldChanges(strings.Split(before, "\n"), strings.Split(now, "\n"))
	}
	return c
}

// mostCompared is how many events are looked at field by field.
const mostCompared = 500

func fieldChanges(before, now []string) (list []FieldChange, compared int) {
	places := map[string]int{}
	for i := range min(len(before), len(now)) {
		if before[i] == now[i] {
			continue
		}
		if compared == mostCompared {
			break
		}
		compared++
		a, b := fieldsIn(before[i]), fieldsIn(now[i])
		for _, name := range append(sortedNames(a), sortedNames(b)...) {
			was, is := string(a[name]), string(b[name])
			if was == is {
				continue
			}
			at, ok := places[name]
			if !ok {
				at = len(list)
				places[name] = at
				list = append(list, FieldChange{Name: name, Was: was, Is: is})
			}
			list[at].Events++
			delete(b, name) // once for an event
			delete(a, name)
		}
	}
	return list, compared
}

// fieldsIn are the fields of an event in its line.
func fieldsIn(line string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	if at := strings.Index(line, "{"); at >= 0 && json.Unmarshal([]byte(line[at:]), &m) == nil {
		return m
	}
	return map[string]json.RawMessage{"(the event)": json.RawMessage(line)}
}

func sortedNames(m map[string]json.RawMessage) []string { return slices.Sorted(maps.Keys(m)) }
