package builtins

import (
	"context"
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
	desk := deskOf(thread, t, pull)
	s := &sender{drafter: desk.own, desk: desk}
	if err := s.setWindow(window); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	desk.busy = true
	err = s.send(records)
	desk.busy = false
	s.flushCounts()
	s.complain()
	s.forget()
	switch err.(type) {
	case nil:
		return starlark.MakeInt64(s.staged), nil
	case *starlark.EvalError: // from a function of the script: it knows its own place
		return nil, err
	}
	return nil, fmt.Errorf("%s: %w", b.Name(), err)
}

// A desk is what all calls of devo.send with a table have in common in a pull. It lasts, so that what it has
// learned does.
type desk struct {
	own        *drafter // of the goroutine that runs the script
	helpers    []*drafter
	batches    []*batch
	crew       crew
	complained bool // the log has it
	busy       bool // a devo.send is using it
}

// deskOf returns the desk of a table in a pull. A function of the script that is called for a record may
// send too; it gets a desk of its own.
func deskOf(thread *starlark.Thread, t *devoTable, pull *engine.Pull) *desk {
	key := fmt.Sprintf("starling.devo.%p", t)
	if d, ok := thread.Local(key).(*desk); ok && !d.busy {
		return d
	}
	d := &desk{own: newDrafter(t, thread, pull)}
	thread.SetLocal(key, d)
	return d
}

// A sender is one call of devo.send. A row goes in two steps: its draft is made of nothing but the row, and finished
// by what the pull has seen and staged before.
type sender struct {
	*drafter
	desk   *desk
	page   jsonValue        // that is sent
	counts engine.HourCount // of the window's hour that the last row was of
	rows   int64
	staged int64
	single draft  // reused: of a row that is sent by itself
	event  []byte // reused: with more in front
	row    []byte // reused: that the event is made of
}

// complain tells the log about values that did not convert, once for a pull.
func (s *sender) complain() {
	if r := s.run; r.complaint != "" && !s.desk.complained {
		s.desk.complained = true
		s.pull.Logger().Warn("values that do not convert are sent as they came", "table", s.table.table.Tag, "expression", r.complaint)
	}
}

// hear notes a complaint, of which the first counts.
func (s *sender) hear(complaint string) {
	if s.run.complaint == "" {
		s.run.complaint = complaint
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
	if s.table.plain {
		return s.sendBatches(l)
	}
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
func (s *sender) sendBody(text string) error {
	if err := s.count(); err != nil {
		return err
	}
	s.text = append(s.text[:0], text...)
	at := s.noTime()
	if len(s.table.keys) > 0 {
		if seen, err := s.seen(at, s.bodyKey(s.text)); seen || err != nil {
			return err
		}
	}
	return s.stage(at, nil, s.text, s.pull.Stage)
}

// sendRecord sends a record, given as JSON and, if there is one, as the value that it is in the script.
func (s *sender) sendRecord(doc jsonValue, record *Record) error {
	if err := s.count(); err != nil {
		return err
	}
	s.text = s.text[:0]
	s.draft(&s.single, doc, record)
	return s.finish(&s.single)
}

// finish sends the event of a row, unless it was sent before.
func (s *sender) finish(d *draft) error {
	if d.trouble != nil && !d.trouble.ofBody {
		s.hear(d.trouble.complaint)
	}
	if d.out {
		return s.leaveOut(d.err())
	}
	kind := kindNew
	if len(s.table.keys) > 0 {
		send, k, err := s.wants(d)
		if !send || err != nil {
			return err
		}
		kind = k
	}
	if d.body == nil {
		s.buildLate(d)
	}
	if d.trouble != nil {
		s.hear(d.trouble.complaint)
	}
	if d.body == nil {
		return s.leaveOut(d.err())
	}
	stats := &s.pull.Stats
	events, aside := stats.Events, stats.SetAside
	err := s.stage(d.at, d, s.dressed(d, kind), s.pull.StageJSON)
	s.counted(d.at, false, stats.Events-events, stats.SetAside-aside)
	return err
}

// buildLate makes a body that is wanted now, if nothing has kept it from being made before.
func (s *sender) buildLate(d *draft) {
	if d.err() != nil {
		return
	}
	if d.node != 0 {
		s.run.read(s.doc(d))
		s.text = s.text[:0]
	}
	s.build(d)
}

// doc returns the record that a draft is of.
func (s *sender) doc(d *draft) jsonValue {
	if d.node != 0 {
		return s.page.at(int(d.node))
	}
	return s.run.json
}

// wants reports whether the row is to be sent, and as what, and counts it if it is not.
func (s *sender) wants(d *draft) (send bool, kind string, err error) {
	onlyKey := !d.keyed || s.table.changes.simple() // then what is not sent is not remembered either, and can be asked for afterwards
	again := s.run.window != nil && !onlyKey && s.pull.SeenSinceCommit(s.keyTime(d.at), d.key)
	if onlyKey {
		var seen bool
		seen, err = s.seen(d.at, d.key)
		send, kind = !seen, kindNew
	} else {
		send, kind, err = s.decide(d.at, d.key)
	}
	if send || err != nil {
		return send, kind, err
	}
	if s.run.window != nil && onlyKey {
		again = s.pull.SeenSinceCommit(s.keyTime(d.at), d.key)
	}
	s.counted(d.at, again, 0, 0)
	return false, kind, nil
}

// leaveOut counts a record that the script wants no event of, unless err is why there is none.
func (s *sender) leaveOut(err error) error {
	if err == nil {
		s.pull.Stats.LeftOut++
	}
	return err
}

// stage stages an event; d is the draft that it was made of, nil if there is none.
func (s *sender) stage(at time.Time, d *draft, body []byte, stage func(*engine.Table, time.Time, []byte) error) error {
	if observe := s.pull.Env().Observe; observe != nil {
		s.row = s.row[:0]
		if d != nil {
			s.row = s.doc(d).appendTo(s.row)
		}
		observe(s.row, s.table.table, at, body)
	}
	before := s.pull.Stats.Events
	err := stage(s.table.table, at, body)
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
