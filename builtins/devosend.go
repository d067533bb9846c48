package builtins

import (
	"cmp"
	"context"
	"encoding"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"starling/builtins/internal/jsontape"
	"starling/engine"
)

// devoSend stages events for the next commit.
func devoSend(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var t *devoTable
	var records, window starlark.Value = nil, starlark.None
	if err := unpack(b, args, kwargs, 2, "table", &t, "records", &records, "window?", &window); err != nil {
		return nil, err
	}
	pull, err := engine.PullOf(thread)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	s := &sender{table: t, pull: pull, thread: thread, run: runOf(thread, t, pull)}
	if err := s.setWindow(window); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	s.run.busy = true
	err = s.send(records)
	s.run.busy, s.run.window = false, nil
	s.flushCounts()
	s.complain()
	switch err.(type) {
	case nil:
		return starlark.MakeInt64(s.staged), nil
	case *starlark.EvalError: // from a function of the script: it knows its own place
		return nil, err
	}
	return nil, fmt.Errorf("%s: %w", b.Name(), err)
}

// runOf returns the run of a table in a pull, which lasts, so that what it has learned does. A
// function of the script that is called for a record may send too; it gets a run of its own.
func runOf(thread *starlark.Thread, t *devoTable, pull *engine.Pull) *run {
	key := fmt.Sprintf("starling.devo.%p", t)
	if r, ok := thread.Local(key).(*run); ok && !r.busy {
		return r
	}
	r := newRun(t.program, thread, pull)
	thread.SetLocal(key, r)
	return r
}

// A sender is one call of devo.send.
type sender struct {
	table  *devoTable
	pull   *engine.Pull
	thread *starlark.Thread
	run    *run
	window *sweep           // nil: none was given
	counts engine.HourCount // of the window's hour that the last row was of
	rows   int64
	staged int64
	body   []byte
	hashed []byte // reused
	field  []byte // reused
	row    []byte // that the event is made of; only if somebody wants to know
}

// complain tells the log about values that did not convert, once for a pull.
func (s *sender) complain() {
	if r := s.run; r.complaint != "" && !r.complained {
		r.complained = true
		s.pull.Logger().Warn("values that do not convert are sent as they came", "table", s.table.table.Tag, "expression", r.complaint)
	}
}

func (s *sender) send(v starlark.Value) error {
	switch v := v.(type) {
	case *Records:
		return s.sendRecords(v)
	case *Record, *starlark.Dict, starlark.String, starlark.Bytes:
		return s.sendOne(v)
	case starlark.IterableMapping:
		return s.sendOne(v)
	case starlark.Iterable:
		it := v.Iterate()
		defer it.Done()
		var item starlark.Value
		for i := 0; it.Next(&item); i++ {
			if err := s.sendOne(item); err != nil {
				return below(fmt.Sprintf("records[%d]", i), err)
			}
		}
		return nil
	}
	return fmt.Errorf("got %s, want records: a record, a dict, a string, or a list of them", v.Type())
}

// sendRecords sends a page's list without making values of its records.
func (s *sender) sendRecords(l *Records) error {
	for i, node := 0, 1; node < len(l.json.nodes); i, node = i+1, jsontape.Next(l.json.nodes, node) {
		var err error
		if item := l.json.at(node); item.isObject() && (!l.split || l.items[i].value == nil) {
			err = s.sendRecord(item, nil)
		} else {
			err = s.sendOne(l.Index(i))
		}
		if err != nil {
			return below(fmt.Sprintf("records[%d]", i), err)
		}
	}
	return nil
}

func (s *sender) sendOne(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		return s.sendBody(string(v))
	case starlark.Bytes:
		return s.sendBody(string(v))
	}
	doc, err := recordJSON(v)
	if err != nil {
		return err
	}
	record, _ := v.(*Record)
	return s.sendRecord(doc, record)
}

// contextEvery is how many rows pass between looks at whether the pull must end.
const contextEvery = 256

func (s *sender) count() error {
	s.pull.Stats.Rows++
	if s.rows++; s.rows%contextEvery == 0 {
		return context.Cause(s.pull.Context())
	}
	return nil
}

// sendBody sends a text as it is.
func (s *sender) sendBody(body string) error {
	if err := s.count(); err != nil {
		return err
	}
	s.body, s.row = append(s.body[:0], body...), s.row[:0]
	at := s.noTime()
	if len(s.table.keys) > 0 {
		if seen, err := s.seen(at, s.bodyKey()); seen || err != nil {
			return err
		}
	}
	return s.stage(at, s.pull.Stage)
}

// sendRecord sends a record, given as JSON and, if there is one, as the value that it is in the script.
func (s *sender) sendRecord(doc jsonValue, record *Record) error {
	if err := s.count(); err != nil {
		return err
	}
	r := s.run
	r.read(doc)
	if s.pull.Env().Observe != nil {
		s.row = doc.appendTo(s.row[:0])
	}
	if !r.wanted() {
		return s.leaveOut(r.err)
	}
	if record == nil && (s.table.event != nil || s.table.atFunc != nil) {
		record = &Record{json: doc}
	}
	at, err := s.time(record)
	if err != nil || s.outside(at) {
		return err
	}
	built := false
	var id engine.Key
	keyed := false
	kind := kindNew
	if len(s.table.keys) > 0 {
		key, ok := s.fieldKey()
		id, keyed = key, ok
		if !ok {
			if built, err = s.build(record); !built || err != nil {
				return s.leaveOut(err)
			}
			key = s.bodyKey()
		}
		if r.err != nil {
			return r.err
		}
		var again, send bool
		onlyKey := !ok || s.table.changes.simple() // then what is not sent is not remembered either, and can be asked for afterwards
		if s.window != nil && !onlyKey {
			again = s.pull.SeenSinceCommit(s.keyTime(at), key)
		}
		if !ok {
			seen, serr := s.seen(at, key)
			send, err = !seen, serr
		} else {
			send, kind, err = s.decide(at, key)
		}
		if err != nil {
			return err
		}
		if !send {
			if s.window != nil && onlyKey {
				again = s.pull.SeenSinceCommit(s.keyTime(at), key)
			}
			s.counted(at, again, 0, 0)
			return nil
		}
	}
	if !built {
		if built, err = s.build(record); !built || err != nil {
			return s.leaveOut(err)
		}
	}
	s.sayKind(kind)
	s.identify(id, keyed)
	events, aside := s.pull.Stats.Events, s.pull.Stats.SetAside
	err = s.stage(at, s.pull.StageJSON)
	s.counted(at, false, s.pull.Stats.Events-events, s.pull.Stats.SetAside-aside)
	return err
}

// leaveOut counts a record that the script wants no event of, unless err is why there is none.
func (s *sender) leaveOut(err error) error {
	if err == nil {
		s.pull.Stats.LeftOut++
	}
	return err
}

func (s *sender) stage(at time.Time, stage func(*engine.Table, time.Time, []byte) error) error {
	if observe := s.pull.Env().Observe; observe != nil {
		observe(s.row, s.table.table, at, s.body)
	}
	before := s.pull.Stats.Events
	err := stage(s.table.table, at, s.body)
	s.staged += s.pull.Stats.Events - before // none if the event was set aside
	return err
}

// seen reports whether the record was sent before, and counts it if so.
func (s *sender) seen(at time.Time, key engine.Key) (bool, error) {
	seen, err := s.pull.Seen(s.keyTime(at), key)
	if seen {
		s.pull.Stats.Skipped++
	}
	return seen, err
}

// keyTime is the time that keys of a record are remembered by. What stands in for a time that is missing
// differs the next time.
func (s *sender) keyTime(at time.Time) time.Time {
	if at.Equal(s.pull.Started()) {
		return time.Time{}
	}
	return at
}

// build makes the body; it reports false when the script's function wants no event.
func (s *sender) build(record *Record) (bool, error) {
	if s.table.event == nil {
		s.body = s.run.appendTo(s.body[:0])
		return true, s.run.err
	}
	v, err := starlark.Call(s.thread, s.table.event, starlark.Tuple{record}, nil)
	if err != nil || v == starlark.None {
		return false, err
	}
	if _, ok := v.(starlark.IterableMapping); !ok {
		return false, fmt.Errorf("%s returned %s, want a record, a dict or None", s.table.event.Name(), v.Type())
	}
	s.body, err = appendJSON(s.body[:0], v)
	return true, err
}

// noTime is the time of an event that has none of its own: unknown if the table does not know of
// times, the start of the pull if it does.
func (s *sender) noTime() time.Time {
	if s.table.at == nil && s.table.atFunc == nil {
		return time.Time{}
	}
	return s.pull.Started()
}

func (s *sender) time(record *Record) (time.Time, error) {
	if s.table.atFunc != nil {
		return s.timeFromFunc(record)
	}
	if s.table.at != nil {
		c := s.run.ask(0)
		if s.run.err != nil || c.missing() || c.failed {
			return s.noTime(), s.run.err
		}
		if c = s.run.moment(c); !c.failed {
			return c.time(), nil
		}
		s.run.complaint = cmp.Or(s.run.complaint, s.table.at.String())
	}
	return s.noTime(), nil
}

func (s *sender) timeFromFunc(record *Record) (time.Time, error) {
	name := s.table.atFunc.Name()
	v, err := starlark.Call(s.thread, s.table.atFunc, starlark.Tuple{record}, nil)
	if err != nil {
		return time.Time{}, err
	}
	var text string
	switch v := v.(type) {
	case starlark.NoneType:
		return s.noTime(), nil
	case starlark.String:
		text = string(v)
	case jsonTexter:
		text = v.JSONText()
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		if err != nil {
			return time.Time{}, fmt.Errorf("%s: %w", name, err)
		}
		text = string(b)
	default:
		return time.Time{}, fmt.Errorf("%s returned %s, want a time, a text of one, or None", name, v.Type())
	}
	if c := s.run.moment(textCell(text)); !c.failed {
		return c.time(), nil
	}
	s.run.complaint = cmp.Or(s.run.complaint, name)
	return s.noTime(), nil
}
