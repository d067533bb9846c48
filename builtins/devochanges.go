package builtins

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// What becomes of a record that was sent with another status.
const (
	changesAll      = "all"           // it is sent again
	changesFirst    = "first"         // it is not
	changesTerminal = "terminal_only" // only with a status that is not pending, or in the last sweep
)

// changes says when a record of which the status can change is sent.
type changes struct {
	policy  string
	status  *expression // nil: records do not change
	pending []string    // small letters
	apart   []*expression
	kind    string // the opening of the field that says whether an event is new or a change, as JSON
}

func (t *devoTable) setChanges(status, policy, pending, apart, kind starlark.Value) error {
	c := &t.changes
	c.policy = changesAll
	var err error
	if c.apart, err = expressions("apart", apart); err != nil {
		return err
	}
	switch status := status.(type) {
	case starlark.NoneType:
	case *expression:
		c.status = status
	default:
		return fmt.Errorf("status: got %s, want a field expression such as field(\"Status\")", status.Type())
	}
	if policy != starlark.None {
		c.policy, _ = starlark.AsString(policy)
		if !slices.Contains([]string{changesAll, changesFirst, changesTerminal}, c.policy) {
			return fmt.Errorf("changes: got %s, want %q, %q or %q", scalarText(policy), changesAll, changesFirst, changesTerminal)
		}
	}
	if pending != starlark.None {
		list, ok := pending.(starlark.Iterable)
		if !ok {
			return fmt.Errorf("pending: got %s, want a list of texts", pending.Type())
		}
		for v := range starlark.Elements(list) {
			text, ok := starlark.AsString(v)
			if !ok {
				return fmt.Errorf("pending: got %s, want a list of texts", scalarText(v))
			}
			c.pending = append(c.pending, strings.ToLower(text))
		}
	}
	if kind != starlark.None && kind != starlark.String("") {
		name, _ := starlark.AsString(kind)
		if !idPattern.MatchString(name) {
			return fmt.Errorf("kind: got %s, want the name of a field: letters, digits, \"_\", \"@\", \".\" and \"-\"", scalarText(kind))
		}
		c.kind = `"` + name + `":"`
	}
	if (c.status != nil || c.apart != nil || c.kind != "" || policy != starlark.None) && len(t.keys) == 0 {
		return errors.New("status, changes, apart and kind need key: the fields that make a record the same record")
	}
	return nil
}

// expressions reads a list of expressions, or None.
func expressions(what string, v starlark.Value) ([]*expression, error) {
	if v == starlark.None {
		return nil, nil
	}
	list, ok := v.(starlark.Sequence)
	if !ok {
		return nil, fmt.Errorf("%s: got %s, want a list of field expressions", what, v.Type())
	}
	var all []*expression
	for item := range starlark.Elements(list) {
		e, ok := item.(*expression)
		if !ok {
			return nil, fmt.Errorf("%s: got %s, want a field expression such as field(\"Id\")", what, scalarText(item))
		}
		all = append(all, e)
	}
	return all, nil
}

// simple reports whether one key tells what is to be sent.
func (c *changes) simple() bool {
	return c.kind == "" && (c.policy == changesAll || c.status == nil && c.policy == changesFirst && len(c.apart) == 0)
}

// parts are the expressions after the key that tell versions of a record apart.
func (c *changes) parts() []*expression {
	if c.status == nil {
		return c.apart
	}
	return append([]*expression{c.status}, c.apart...)
}

// Kinds of an event.
const (
	kindNew    = "new"
	kindChange = "status_change"
)

// decide reports whether the record is sent, and as what, if its changes are not simple. full is the hash of all that
// tells versions of records apart.
func (s *sender) decide(at time.Time, full engine.Key) (send bool, kind string, err error) {
	c := &s.table.changes
	record, err := s.keyOf(keyOfRecord, len(s.table.keys))
	if err != nil {
		return false, "", err
	}
	pending := c.policy == changesTerminal && s.pending()
	if pending && (s.run.window == nil || s.run.window.final()) {
		seen, err := s.seen(at, record) // for the last time: with the status that it has
		if err == nil && !seen {
			_, err = s.pull.Seen(s.keyTime(at), full)
		}
		return !seen, kindNew, err
	}
	if pending {
		s.pull.Stats.Skipped++
		return false, "", nil
	}
	if c.policy == changesFirst {
		return s.decideFirst(at, record, full)
	}
	known, err := s.pull.Seen(s.keyTime(at), record)
	if err != nil {
		return false, "", err
	}
	seen, err := s.seen(at, full)
	if known {
		kind = kindChange
	} else {
		kind = kindNew
	}
	return !seen, kind, err
}

// decideFirst sends a record once; and one with the same key and status again, if it is apart.
func (s *sender) decideFirst(at time.Time, record, full engine.Key) (send bool, kind string, err error) {
	when := s.keyTime(at)
	known, err := s.pull.Seen(when, record)
	if err != nil {
		return false, "", err
	}
	status := full
	if s.table.changes.status != nil {
		if status, err = s.keyOf(keyOfStatus, len(s.table.keys)+1); err != nil {
			return false, "", err
		}
	}
	if known {
		same, err := s.pull.Known(when, status)
		if err != nil {
			return false, "", err
		}
		if !same && s.table.changes.status != nil {
			s.pull.Stats.Skipped++
			return false, "", nil
		}
	} else if _, err := s.pull.Seen(when, status); err != nil {
		return false, "", err
	}
	if status == full {
		return !known, kindNew, s.skip(known)
	}
	seen, err := s.seen(at, full)
	return !seen, kindNew, err
}

func (s *sender) skip(known bool) error {
	if known {
		s.pull.Stats.Skipped++
	}
	return nil
}

// pending reports whether the record's status is one that passes.
func (s *sender) pending() bool {
	c := &s.table.changes
	if c.status == nil {
		return false
	}
	cell := s.run.ask(len(s.run.asked) - 1 - len(c.apart))
	if cell.missing() {
		return false
	}
	text, _ := cell.scalar()
	return slices.Contains(c.pending, strings.ToLower(text))
}

// dressed returns the event of a draft with what the table wants in front of it.
func (s *sender) dressed(d *draft, kind string) []byte {
	t := s.table
	if t.id == "" && t.changes.kind == "" {
		return d.body
	}
	event := append(s.event[:0], '{')
	if t.id != "" {
		event = append(s.appendID(append(event, t.id...), d), '"', ',')
	}
	if t.changes.kind != "" {
		event = append(append(append(event, t.changes.kind...), kind...), '"', ',')
	}
	if len(d.body) == len("{}") {
		event = event[:len(event)-1]
	}
	s.event = append(event, d.body[1:]...)
	return s.event
}
