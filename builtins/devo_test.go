package builtins

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// callStar calls a function of a script on a thread of the pull.
func callStar(t testing.TB, pull *engine.Pull, fn starlark.Value, args ...starlark.Value) (starlark.Value, error) {
	t.Helper()
	return starlark.Call(pull.NewThread(t.Name()), fn, args, nil)
}

func TestSendCountsWhatItDid(t *testing.T) {
	t.Parallel()
	send := starEval(t, `
table = devo.table("my.app.test", fields.map({"id": field("id")}, where = ~field("id").eq(0)), key = field("id"))
def send(records):
    return devo.send(table, records)
`)["send"]
	env := testEnv(t)
	pull := engine.NewPull(t.Context(), env, "test/1/count")
	records, err := NewDocument([]byte(`[{"id":1},{"id":0},{"id":1},{"id":2}]`))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := callStar(t, pull, send, records); err != nil || n != starlark.MakeInt(2) {
		t.Fatalf("got %v, %v, want 2 events", n, err)
	}
	if s := pull.Stats; s.Rows != 4 || s.Events != 2 || s.Skipped != 1 {
		t.Errorf("got %d rows, %d events, %d skipped, want 4, 2, 1", s.Rows, s.Events, s.Skipped)
	}
	if err := pull.Commit(); err != nil {
		t.Fatal(err)
	}
	next := engine.NewPull(t.Context(), env, "test/1/count")
	if n, err := callStar(t, next, send, records); err != nil || n != starlark.MakeInt(0) {
		t.Errorf("after the commit: got %v, %v, want 0 events", n, err)
	}
	other := engine.NewPull(t.Context(), env, "test/1/other")
	if n, err := callStar(t, other, send, records); err != nil || n != starlark.MakeInt(2) {
		t.Errorf("another collector: got %v, %v, want 2 events", n, err)
	}
}

func TestCountersAddUp(t *testing.T) {
	t.Parallel()
	globals := starEval(t, `
mapped = devo.table("my.app.mapped", fields.map({"id": field("id"), "text": field("text")}, where = ~field("id").eq(0)), key = field("id"))
def event(record):
    return None if record["id"] == 3 else record
called = devo.table("my.app.called", event)
def send(records):
    return devo.send(mapped, records) + devo.send(called, records) + devo.send(called, ["a text"])
`)
	rows := `[{"id":0},{"id":1},{"id":1},{"id":2,"text":"` + strings.Repeat("x", 2000) + `"},{"id":3}]`
	for how, want := range map[engine.Oversized]engine.PullStats{
		engine.Cut:      {Rows: 11, Events: 8, Skipped: 1, LeftOut: 2, Cut: 2},
		engine.SetAside: {Rows: 11, Events: 6, Skipped: 1, LeftOut: 2, SetAside: 2},
	} {
		env := testEnv(t)
		env.Limits.EventBytes, env.Limits.Oversized = 1024, how
		pull := engine.NewPull(t.Context(), env, "test/1/add")
		records, err := NewDocument([]byte(rows))
		if err != nil {
			t.Fatal(err)
		}
		n, err := callStar(t, pull, globals["send"], records)
		if err != nil || n != starlark.MakeInt64(want.Events) {
			t.Fatalf("%s: got %v, %v, want %d events", how, n, err, want.Events)
		}
		s := pull.Stats
		if s.Rows != s.Events+s.Skipped+s.LeftOut+s.SetAside {
			t.Errorf("%s: the counters do not add up: %+v", how, s)
		}
		want.Bytes = s.Bytes
		if s != want {
			t.Errorf("%s: got %+v, want %+v", how, s, want)
		}
		if err := pull.Commit(); err != nil {
			t.Fatal(err)
		}
		if events := env.Store.Backlog("").Chunks; events == 0 {
			t.Errorf("%s: nothing was committed", how)
		}
	}
}

func TestSendAtLoadTimeSaysWhereItBelongs(t *testing.T) {
	t.Parallel()
	load := &engine.Load{Env: testEnv(t)}
	_, err := starlark.ExecFileOptions(testOptions, load.NewThread("load"), "load.star", `devo.send(devo.table("a.b"), [])`, testPredeclared())
	if err == nil || !strings.Contains(err.Error(), "devo.send: can only be used while a pull runs") {
		t.Errorf("got %v", err)
	}
}

// A list can be long, and the pull can end in the middle of it: by the engine, or because its time is up.
func TestSendEndsWithThePull(t *testing.T) {
	t.Parallel()
	reason := errors.New("the pull's time is up")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	ending, end := context.WithCancelCause(t.Context())
	defer end(nil)
	timeout, stop := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, reason)
	defer stop()
	for name, ctx := range map[string]context.Context{"before": ended, "cancelled": ending, "deadline": timeout} {
		for _, list := range []string{"records", "dicts", "texts"} {
			rows, middle := 0, 1000
			event := starlark.NewBuiltin("event", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
				if rows++; rows == middle {
					if name == "cancelled" {
						end(reason)
					}
					<-ctx.Done()
				}
				return args[0], nil
			})
			globals := starEval(t, `
def texts():
    return ["x"] * 2000
def dicts():
    return [{"a": 1}] * 2000
def records():
    return json.decode("[" + "{}," * 2000 + "{}]")
def send(list, event):
    return devo.send(devo.table("my.app.test", event), list)
`)
			pull := engine.NewPull(ctx, testEnv(t), "test/1/end")
			records, err := callStar(t, pull, globals[list])
			if err != nil {
				t.Fatal(err)
			}
			if list == "texts" { // which no function sees
				<-ctx.Done()
			}
			if _, err := callStar(t, pull, globals["send"], records, event); !errors.Is(err, reason) {
				t.Errorf("%s, %s: got %v, want %v", name, list, err, reason)
			}
			if n := int(pull.Stats.Events); n > middle+contextEvery {
				t.Errorf("%s, %s: staged %d events, the pull ended at %d", name, list, n, middle)
			}
			if name == "cancelled" && list == "records" && pull.Stats.Events < int64(middle) {
				t.Errorf("it ended before the middle: at %d", pull.Stats.Events)
			}
		}
	}
}

func TestAFailingFunctionOfTheScriptIsShownWhereItFails(t *testing.T) {
	t.Parallel()
	globals := starEval(t, `
def bad(v):
    return v.nothing

by_field = devo.table("my.app.test", fields.map({"a": field("a").call(bad)}))
by_event = devo.table("my.app.test", bad)
by_time = devo.table("my.app.test", time = bad)

def send(table, records):
    return devo.send(table, records)
`)
	records, err := NewDocument([]byte(`[{"a":"x"}]`))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"by_field", "by_event", "by_time"} {
		pull := engine.NewPull(t.Context(), testEnv(t), "test/1/"+name)
		_, err := callStar(t, pull, globals["send"], globals[name], records)
		if e, ok := errors.AsType[*starlark.EvalError](err); !ok || !strings.Contains(e.Backtrace(), "test.star:3:13: in bad") {
			t.Errorf("%s: got %v", name, backtrace(err))
		}
	}
}

func TestAnEventThatIsTooLargeSaysWhich(t *testing.T) {
	t.Parallel()
	send := starEval(t, `
def send(records):
    return devo.send(devo.table("my.app.test"), records)
`)["send"]
	env := testEnv(t)
	env.Limits.EventBytes = 10
	pull := engine.NewPull(t.Context(), env, "test/1/large")
	records, err := NewDocument([]byte(`[{"a":"x"},{"a":"0123456789"}]`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = callStar(t, pull, send, records)
	if engine.CodeOf(err, "") != engine.CodeTooLarge || !strings.Contains(err.Error(), "devo.send: records[1]: ") {
		t.Errorf("got %v", err)
	}
}

func TestTheLogTellsOnceWhatDoesNotConvert(t *testing.T) {
	t.Parallel()
	send := starEval(t, `
table = devo.table("my.app.test", fields.map({"at": field("At").time().ms()}))
def send(records):
    devo.send(table, records)
    devo.send(table, records)
`)["send"]
	var log bytes.Buffer
	env := testEnv(t)
	env.Logger = slog.New(slog.NewTextHandler(&log, nil))
	pull := engine.NewPull(t.Context(), env, "test/1/log")
	records, err := NewDocument([]byte(`[{"At":"soon"},{"At":"later"}]`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := callStar(t, pull, send, records); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "do not convert"); n != 1 {
		t.Errorf("got %d lines, want 1: %s", n, &log)
	}
	if want := `expression="field(\"At\").time()"`; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not name %s: %s", want, &log)
	}
}

// The hash is what the store keeps for days: a change would send everything of those days again.
func TestKeysStayTheSameFromVersionToVersion(t *testing.T) {
	t.Parallel()
	table := starEval(t, `t = devo.table("my.app.test", key = [field("a"), field("b")])`)["t"].(*devoTable)
	s := newDrafter(table, &starlark.Thread{}, nil)
	s.run.read(jsonOf(t, `{"b":7,"a":"x"}`))
	got, ok := s.fieldKey()
	// Kind 1, tag and values with their lengths, each value after a 1.
	if want := s.hash([]byte("\x01\x0bmy.app.test\x01\x01x\x01\x017")); !ok || got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestTheSameRecordHasTheSameID(t *testing.T) {
	t.Parallel()
	globals := starEval(t, `
event = fields.map({"pull": devo.pulling_id, "n": field("n")}, nulls = "drop")
keyed = devo.table("my.app.keyed", event, key = [field("n")], id = "@event_id")
plain = devo.table("my.app.plain", event, id = "@event_id")
other = devo.table("my.app.other", event, id = "@event_id")
called = devo.table("my.app.called", lambda record: {}, id = "id")
def send(records):
    for t in [keyed, plain, other, called]:
        devo.send(t, records)
    devo.send(plain, "a text")
`)
	env := testEnv(t)
	ids := func(collector, rows string) (found []string) {
		pull := engine.NewPull(t.Context(), env, collector)
		records, err := NewDocument([]byte(rows))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := callStar(t, pull, globals["send"], records); err != nil {
			t.Fatal(err)
		}
		events, err := pull.Staged()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			var fields map[string]any
			if err := json.Unmarshal(e.Body, &fields); err != nil {
				if string(e.Body) != "a text" {
					t.Errorf("%s: %v", e.Body, err)
				}
				continue
			}
			id, _ := cmp.Or(fields["@event_id"], fields["id"]).(string)
			if len(id) != 32 || fields["n"] == nil && e.Table.Tag != "my.app.called" {
				t.Errorf("%s: got the id %q", e.Body, id)
			}
			found = append(found, id)
		}
		return found
	}
	first := ids("test/1/id", `[{"n":1,"x":1}]`)
	time.Sleep(2 * time.Millisecond) // another pulling_id
	if again := ids("test/1/id", `[{"n":1,"x":1}]`); !slices.Equal(first, again) {
		t.Errorf("the next pull gives %q, not %q", again, first)
	}
	if all := slices.Concat(first, ids("test/1/another", `[{"n":1,"x":1}]`), ids("test/1/id", `[{"n":2,"x":1}]`)); len(all) != 12 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 12 {
		t.Errorf("collector, table and record do not all count: %q", all)
	}
	changed := ids("test/1/id", `[{"n":1,"x":2}]`)
	if changed[0] != first[0] || changed[1] == first[1] {
		t.Errorf("with a key only the key counts, without one the record: %q and %q", changed, first)
	}
}

func BenchmarkSend(b *testing.B)       { benchmarkSend(b, "") }
func BenchmarkSendWithID(b *testing.B) { benchmarkSend(b, `, id = "@event_id"`) }

func benchmarkSend(b *testing.B, id string) {
	globals := starEval(b, messageTraceMap+`
table = devo.table("cloud.office365.messagetracing", event, time = received`+id+`)
def send(records):
    return devo.send(table, records)
`)
	const records = 1000
	page := benchmarkPage(records)
	env := testEnv(b)
	for b.Loop() {
		pull := engine.NewPull(b.Context(), env, "bench/1/send")
		doc, err := NewDocument(page)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := callStar(b, pull, globals["send"], doc.(*Record).lookup("value")); err != nil || n != starlark.MakeInt(records) {
			b.Fatal(n, err)
		}
	}
	perRecord(b, records)
}
