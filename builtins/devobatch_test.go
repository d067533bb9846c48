package builtins

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
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
func sendAll(t *testing.T, script string, limits func(*engine.Limits), pages ...string) (all sent) {
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

// A page gives the same as its rows one by one, and as a list that the script has looked into.
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
				want := sendAll(t, batchTables+page+strings.ReplaceAll(ways[1], "KEYS", fmt.Sprintf("[%q]", table)), limits, pages...)
				if want.stats.Rows < 2700 || want.stats.Events < 800 {
					t.Fatalf("%s: %+v", table, want.stats)
				}
				for _, way := range ways {
					got := sendAll(t, batchTables+page+strings.ReplaceAll(way, "KEYS", fmt.Sprintf("[%q]", table)), limits, pages...)
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
	if got := sendAll(t, script, nil, `[{"id":1,"n":1},{"id":1,"n":"x"}]`); got.log != "" || got.stats.Skipped != 1 {
		t.Errorf("%+v: %s", got.stats, got.log)
	}
	got := sendAll(t, script, nil, `[{"id":1,"n":1},{"id":1,"n":"x"},{"id":2,"m":"x"},{"id":3,"n":"x"}]`)
	if want := `expression="field(\"m\").int()"`; strings.Count(got.log, "\n") != 1 || !strings.Contains(got.log, want) {
		t.Errorf("want one line that has %s: %s", want, got.log)
	}
}
