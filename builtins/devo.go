package builtins

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// newDevo returns the module devo.
//
//	devo.table(tag, event=None, time=None, host=None, severity="info", facility="user", key=None, id=None)
//
// says where events go and what they look like. tag is Devo's name of the table, two to six levels
// of letters, digits, "-" and "_" joined by dots, except those of lookups (my.lookup.control and
// my.lookup.data), which Devo does not take as events any more. event is a fields.map, or a function that takes a
// record and returns a record, a dict, or None for no event; without it records go out as they are.
// time is when it happened: a field expression, or a function of the record that returns a text or
// a time; where it gives none, the start of the pull counts. host and severity (a name or 0 to 7)
// and facility go into the header. key names the fields, as expressions, that make a record the same
// record: one that was sent before is not sent again. A record without any of them is the same as
// one with the same event. id names a field that is put in front of each event: an id of the record,
// which is the same whenever this collector sends the same record to this table. A body that is a text
// gets none.
//
//	devo.send(table, records)
//
// stages events for the next commit and returns how many: of a record, a dict, or a list of them,
// such as page["value"]. A string is a body as it is, which no mapping changes. What is sent twice
// and what where leaves out is not counted.
//
//	devo.pulling_id
//
// is a value for fields.map: the start of the pull in milliseconds since 1970, as a string; Devo's
// own collectors send it as "@devo_pulling_id".
func newDevo() *starlarkstruct.Module {
	m := module("devo", map[string]builtinFunc{"table": devoTableNew, "send": devoSend, "fail": devoFail})
	m.Members["pulling_id"] = &expression{call: "devo.pulling_id", size: 1,
		all: func(r *run, in []int) cell { return r.pullingID(in) }}
	for name, of := range map[string]func(*sweep) time.Time{
		"window_start": func(w *sweep) time.Time { return w.start },
		"window_end":   func(w *sweep) time.Time { return w.end },
	} {
		m.Members[name] = &expression{call: "devo." + name, size: 1,
			all: func(r *run, _ []int) cell { return r.windowBound(name, of) }}
	}
	return m
}

// A devoTable is what devo.table returns. It never changes.
type devoTable struct {
	table   *engine.Table
	mapping *Mapping          // or
	event   starlark.Callable // or neither
	at      *expression       // or
	atFunc  starlark.Callable // or neither
	keys    []*expression
	changes changes
	id      string   // the opening of the field, as JSON; empty if there is none
	program *program // of mapping, and of at, if there is one, keys, and what changes asks for
	plain   bool     // a draft of a row depends on nothing else, and one key tells whether it is sent
}

var _ starlark.Value = (*devoTable)(nil)

func (t *devoTable) String() string        { return fmt.Sprintf("<devo.table %q>", t.table.Tag) }
func (t *devoTable) Type() string          { return "devo.table" }
func (t *devoTable) Truth() starlark.Bool  { return true }
func (t *devoTable) Hash() (uint32, error) { return starlark.String(t.table.Tag).Hash() }

// Freeze freezes the functions that the table calls.
func (t *devoTable) Freeze() {
	if t.mapping != nil {
		t.mapping.Freeze()
	}
	for _, fn := range []starlark.Callable{t.event, t.atFunc} {
		if fn != nil {
			fn.Freeze()
		}
	}
	for _, e := range slices.Concat(t.keys, t.changes.parts(), []*expression{t.at}) {
		if e != nil {
			e.Freeze()
		}
	}
}

func devoTableNew(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var tag, host, id string
	var event, at, key starlark.Value = starlark.None, starlark.None, starlark.None
	var status, policy, pending, apart, kind starlark.Value = starlark.None, starlark.None, starlark.None, starlark.None, starlark.None
	var severity, facility starlark.Value = starlark.String("info"), starlark.String("user")
	if err := unpack(b, args, kwargs, 2, "tag", &tag, "event?", &event, "time?", &at, "host??", &host,
		"severity?", &severity, "facility?", &facility, "key?", &key, "id??", &id,
		"status?", &status, "changes?", &policy, "pending?", &pending, "apart?", &apart, "kind?", &kind); err != nil {
		return nil, err
	}
	t := &devoTable{table: &engine.Table{Tag: tag, Host: host}}
	err := errors.Join(checkTag(tag), checkHost(host), t.setPriority(severity, facility), t.setEvent(event), t.setTime(at), t.setKey(key), t.setID(id))
	if err == nil {
		err = t.setChanges(status, policy, pending, apart, kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	asked := slices.Concat(t.keys, t.changes.parts())
	if t.at != nil {
		asked = append([]*expression{t.at}, asked...)
	}
	t.program = compile(t.mapping, asked...)
	t.plain = t.event == nil && t.atFunc == nil && !t.program.calls() && t.changes.simple()
	return t, nil
}

var (
	tagPattern  = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,5}$`)
	hostPattern = regexp.MustCompile(`^[!-~]{0,255}$`)
)

func checkTag(tag string) error {
	if len(tag) > 1024 || !tagPattern.MatchString(tag) {
		return fmt.Errorf("tag: got %.80q, want two to six levels of letters, digits, \"-\" and \"_\" joined by dots, such as \"my.app.company.log\"", tag)
	}
	if engine.IsLookupTag(tag) {
		return fmt.Errorf("tag: %.80q: %s", tag, engine.LookupsGone)
	}
	return nil
}

func checkHost(host string) error {
	if !hostPattern.MatchString(host) {
		return fmt.Errorf("host: got %.80q, want a host name without spaces", host)
	}
	return nil
}

// Names of RFC 5424, section 6.2.1, by number; the shorter ones are those of syslog(3).
var (
	severities = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	facilities = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"ntp", "audit", "console", "solaris-cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
)

func (t *devoTable) setPriority(severity, facility starlark.Value) error {
	s, err1 := level("severity", severity, severities)
	f, err2 := level("facility", facility, facilities)
	t.table.Priority = 8*f + s
	return errors.Join(err1, err2)
}

// level reads a number or a name.
func level(what string, v starlark.Value, names []string) (int, error) {
	switch v := v.(type) {
	case starlark.Int:
		if n, ok := v.Int64(); ok && n >= 0 && n < int64(len(names)) {
			return int(n), nil
		}
	case starlark.String:
		long := map[string]string{"emergency": "emerg", "critical": "crit", "error": "err", "warn": "warning", "informational": "info"}
		if n := slices.Index(names, cmp.Or(long[string(v)], string(v))); n >= 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s: got %.40s, want 0 to %d or one of %v", what, scalarText(v), len(names)-1, names)
}

// scalarText shows a value in an error; of one that may be large or deep, only the type.
func scalarText(v starlark.Value) string {
	switch v.(type) {
	case starlark.String, starlark.Int, starlark.Bool, starlark.NoneType:
		return v.String()
	}
	return v.Type()
}

func (t *devoTable) setEvent(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.NoneType:
	case *Mapping:
		t.mapping = v
	case starlark.Callable:
		t.event = v
	default:
		return fmt.Errorf("event: got %s, want a fields.map or a function that takes a record", v.Type())
	}
	return nil
}

func (t *devoTable) setTime(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.NoneType:
	case *expression:
		t.at = v
	case starlark.Callable:
		t.atFunc = v
	default:
		return fmt.Errorf("time: got %s, want a field expression such as field(\"Received\").time(), or a function that takes a record", v.Type())
	}
	return nil
}

func (t *devoTable) setKey(v starlark.Value) error {
	list := []starlark.Value{v}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil
	case *expression:
	case starlark.Sequence:
		list = slices.Collect(starlark.Elements(v))
	default:
		return fmt.Errorf("key: got %s, want a list of field expressions", v.Type())
	}
	for _, item := range list {
		e, ok := item.(*expression)
		if !ok {
			return fmt.Errorf("key: got %s, want a field expression such as field(\"Id\")", scalarText(item))
		}
		t.keys = append(t.keys, e)
	}
	if len(t.keys) == 0 {
		return errors.New("key: the list is empty; leave key out if nothing makes a record the same record")
	}
	return nil
}
