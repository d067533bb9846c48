package builtins

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A sent is all that can be seen of a devo.send.
type sent struct {
	result, err, log string
	events           []engine.Event
	observed         []string
	stats            engine.PullStats
}

// sendAll sends pages in one pull, which commits after each, and tells what came of it.
func sendAll(t *testing.T, drafters int, script string, limits func(*engine.Limits), pages ...string) (all sent) {
	t.Helper()
	globals := starEval(t, script)
	globals.Freeze()
	env := testEnv(t)
	if limits != nil {
		limits(&env.Limits)
	}
	var log bytes.Buffer
	env.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	env.Observe = func(row []byte, table *engine.Table, _ time.Time, body []byte) {
		all.observed = append(all.observed, fmt.Sprintf("%s %s %s", table.Tag, row, body))
	}
	env.Clock = &engine.Clock{Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Wait: func(time.Duration) {}}
	pull := engine.NewPull(t.Context(), env, "test/1/batch")
	thread := pull.NewThread("pull")
	thread.SetLocal(draftersLocal, drafters)
	for i, page := range pages {
		records, err := NewDocument([]byte(page))
		if err != nil {
			t.Fatal(err)
		}
		v, err := starlark.Call(thread, globals["send"], starlark.Tuple{records}, nil)
		all.result += fmt.Sprint(v, " ")
		if err != nil {
			all.err += err.Error() + "\n"
		}
		events, err := pull.Staged()
		if err != nil {
			t.Fatal(err)
		}
		all.events = append(all.events, events...)
		if i < len(pages)-1 {
			if err := pull.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	all.log, all.stats = log.String(), pull.Stats
	return all
}

// batchTables are tables of which no function of the script decides.
const batchTables = `
event = fields.map({
    "n": field("n").int(),
    "window": fields.when(field("w").present(), devo.window_start), # which fails, as there is none
}, rest = fields.keep, where = ~field("id").eq(0))
tables = {
    "keyed": devo.table("my.app.keyed", event, time = field("at").time(), key = [field("id"), field("part")], id = "@event_id"),
    "first": devo.table("my.app.first", event, key = field("id"), changes = "first"),
    "plain": devo.table("my.app.plain", event, time = field("at").time(), id = "@event_id"),
    "as it came": devo.table("my.app.came"),
}
`

// batchPages are pages of rows of all kinds: sent before in the page or another one, left out, without a time or a key,
// too large, of many hours, no records at all.
func batchPages(random *rand.Rand, failing string) (pages []string) {
	for range 3 {
		var rows []string
		for range 1000 {
			id := random.IntN(1500)
			row := fmt.Sprintf(`{"id":%d,"part":%d,"at":"2026-01-%02dT%02d:00:00Z","n":%d}`, id, id%2, 1+id%3, id%24, id)
			switch random.IntN(40) {
			case 0:
				row = fmt.Sprintf(`{"id":%d,"n":"many"}`, id)
			case 1:
				row = fmt.Sprintf(`{ "id" : %d , "at":"soon"}`, id)
			case 2:
				row = fmt.Sprintf(`{"n":%d}`, id)
			case 3:
				row = fmt.Sprintf(`{"id":%d,"x":"%s"}`, id, strings.Repeat("x", 5000))
			case 4:
				row = fmt.Sprintf(`"text %d"`, id)
			case 5:
				row = fmt.Sprintf(`{"id":1,"id":%d,"\u0041":"\u007f"}`, id)
			case 6:
				row = `{}`
			}
			rows = append(rows, row)
		}
		pages = append(pages, "["+strings.Join(rows, ",")+"]")
	}
	rows := strings.Split(pages[2], ",{")
	rows = append(rows[:700], append([]string{failing}, rows[700:]...)...)
	pages[2] = strings.Join(rows, ",{")
	return pages
}

// A page gives the same as its rows one by one, and as a list that the script has looked into, however many goroutines
// draft it.
func TestAPageIsSentLikeItsRows(t *testing.T) {
	t.Parallel()
	const page = "def send(page):\n    return "
	ways := []string{
		`[devo.send(tables[k], page) for k in KEYS]`,
		`[devo.send(tables[k], list(page)) for k in KEYS]`,
		`[page[17], page[700], [devo.send(tables[k], page) for k in KEYS]][2]`,
	}
	for name, failing := range map[string]string{
		"all are sent":     `"id":7777}`,
		"one is a list":    `"id":7777},[7]`,
		"one has no event": `"id":7777,"w":1}`,
		"one is too large": `"id":7777,"x":"` + strings.Repeat("y", 20_000) + `"}`,
	} {
		for _, oversized := range []engine.Oversized{engine.Cut, engine.SetAside, engine.Fail} {
			for _, table := range []string{"keyed", "first", "plain", "as it came"} {
				pages := batchPages(rand.New(rand.NewPCG(1, 2)), failing)
				limits := func(l *engine.Limits) {
					l.EventBytes, l.Oversized = 4000, oversized
					if oversized == engine.Fail {
						l.EventBytes = 10_000
					}
				}
				want := sendAll(t, 1, batchTables+page+strings.ReplaceAll(ways[1], "KEYS", fmt.Sprintf("[%q]", table)), limits, pages...)
				if want.stats.Rows < 2700 || want.stats.Events < 800 {
					t.Fatalf("%s: %+v", table, want.stats)
				}
				for i, way := range append(ways, ways[0], ways[0]) {
					got := sendAll(t, []int{1, 1, 2, 2, 8}[i], batchTables+page+strings.ReplaceAll(way, "KEYS", fmt.Sprintf("[%q]", table)), limits, pages...)
					if !reflect.DeepEqual(got, want) {
						t.Errorf("%s, %s, %s: %s\ngives %s %s %s %+v\nwant  %s %s %s %+v", name, oversized, table, way,
							got.result, got.err, got.log, got.stats, want.result, want.err, want.log, want.stats)
					}
				}
			}
		}
	}
}

// What does not convert in the event of a row is told of only if the row is sent.
func TestARowThatIsNotSentDoesNotComplain(t *testing.T) {
	t.Parallel()
	const script = `
table = devo.table("my.app.test", fields.map({"n": field("n").int(), "m": field("m").int()}), key = field("id"))
def send(page):
    return devo.send(table, page)
`
	if got := sendAll(t, 1, script, nil, `[{"id":1,"n":1},{"id":1,"n":"x"}]`); got.log != "" || got.stats.Skipped != 1 {
		t.Errorf("%+v: %s", got.stats, got.log)
	}
	got := sendAll(t, 1, script, nil, `[{"id":1,"n":1},{"id":1,"n":"x"},{"id":2,"m":"x"},{"id":3,"n":"x"}]`)
	if want := `expression="field(\"m\").int()"`; strings.Count(got.log, "\n") != 1 || !strings.Contains(got.log, want) {
		t.Errorf("want one line that has %s: %s", want, got.log)
	}
}

// A row at which a pull is cancelled, or something panics, ends all goroutines that draft the page before devo.send returns.
// Rows before it are staged.
func TestWhoDraftsAPageEndsWithIt(t *testing.T) {
	t.Parallel()
	reason := errors.New("the pull must end")
	for _, drafters := range []int{1, 2, 8} {
		for _, how := range []string{"cancelled", "panic"} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				globals := starEval(t, `
table = devo.table("my.app.test", fields.map({"id": field("id").int()}))
def send(page):
    return devo.send(table, page)
`)
				var drafted atomic.Int64
				steps := globals["table"].(*devoTable).program.steps
				for i := range steps {
					if one := steps[i].one; one != nil {
						e := *steps[i].expression
						e.one = func(r *run, c cell) cell {
							if n, _ := strconv.Atoi(c.text); n > 5000 {
								time.Sleep(time.Millisecond) // of the bubble's clock, which stands while anybody runs
							}
							drafted.Add(1)
							if c.text == "5000" && how == "cancelled" {
								cancel(reason)
							} else if c.text == "5000" {
								panic(reason)
							}
							return one(r, c)
						}
						steps[i].expression = &e
					}
				}
				page, err := NewDocument([]byte("[" + strings.TrimSuffix(manyRows(20_000), ",") + "]"))
				if err != nil {
					t.Fatal(err)
				}
				pull := engine.NewPull(ctx, testEnv(t), "test/1/end")
				thread := pull.NewThread("pull")
				thread.SetLocal(draftersLocal, drafters)
				defer func() {
					if got := cmp.Or[any](recover(), err); got != reason && !errors.Is(err, reason) {
						t.Errorf("%d, %s: ended with %v", drafters, how, got)
					}
					n := drafted.Load()
					time.Sleep(time.Hour)
					if drafted.Load() != n {
						t.Errorf("%d, %s: somebody goes on", drafters, how)
					}
					if e := pull.Stats.Events; how == "panic" && e != 5000 || e > 5000+contextEvery {
						t.Errorf("%d, %s: %d events", drafters, how, e)
					}
				}()
				_, err = starlark.Call(thread, globals["send"], starlark.Tuple{page}, nil)
			})
		}
	}
}

func manyRows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":%d},`, i)
	}
	return b.String()
}

// A page is sent the same from within a function that is called for a record of another one.
func TestAPageIsSentWithinAnother(t *testing.T) {
	t.Parallel()
	const script = batchTables + `
def send(page):
    outer = devo.table("my.app.outer", lambda record: {"id": record["id"], "sent": devo.send(tables["keyed"], page)})
    return devo.send(outer, json.decode('[{"id":1},{"id":2}]'))
`
	pages := batchPages(rand.New(rand.NewPCG(3, 4)), `"id":7777}`)
	want := sendAll(t, 1, script, nil, pages...)
	if want.err != "" || want.stats.Rows != 3*2+2*3001 {
		t.Fatalf("%s %+v", want.err, want.stats)
	}
	for _, drafters := range []int{2, 8} {
		if got := sendAll(t, drafters, script, nil, pages...); !reflect.DeepEqual(got, want) {
			t.Errorf("%d: gives %s %s %s %+v\nwant  %s %s %+v", drafters, got.result, got.err, got.log, got.stats, want.result, want.log, want.stats)
		}
	}
}

// A large row leaves no memory behind that is kept for the next page.
func TestALargeRowLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	globals := starEval(t, `
table = devo.table("my.app.test", fields.map({"id": field("id"), "l": field("x").lower().first(3), "m": field("y").at("z")}, rest = fields.keep), key = field("id"))
def send(page):
    return devo.send(table, page)
`)
	for _, drafters := range []int{1, 2} {
		pull := engine.NewPull(t.Context(), testEnv(t), "test/1/x")
		thread := pull.NewThread("pull")
		thread.SetLocal(draftersLocal, drafters)
		page := `[{"id":-1,"x":"` + strings.Repeat("X", 4<<20) + `","y":{` + strings.Repeat(`"a":1,`, 1<<18) + `"z":1}},` + strings.TrimSuffix(manyRows(5*batchRows+3), ",") + "]"
		doc, err := NewDocument([]byte(page))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := starlark.Call(thread, globals["send"], starlark.Tuple{doc}, nil); err != nil {
			t.Fatal(err)
		}
		d := thread.Local(fmt.Sprintf("starling.devo.%p", globals["table"])).(*desk)
		for _, b := range d.batches {
			if bodies := slices.ContainsFunc(b.drafts[:cap(b.drafts)], func(d draft) bool { return d.body != nil }); bodies || cap(b.text) > 2*batchBytes {
				t.Errorf("%d drafters: a batch keeps bodies: %v, and %d bytes", drafters, bodies, cap(b.text))
			}
		}
		for _, w := range append(d.helpers, d.own) {
			if most := max(cap(w.text), cap(w.hashed), cap(w.run.letters), bytesPerNode*cap(w.run.inner)); most > 2*batchBytes {
				t.Errorf("%d drafters: one keeps %d bytes", drafters, most)
			}
		}
	}
}
