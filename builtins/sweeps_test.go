package builtins

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A lateRow is a row of an API that shows it some time after it happened.
type lateRow struct {
	ID      int
	At      time.Time
	Visible time.Time
}

// A sweepWorld is an API with late rows, one collector with checkpoint.sweeps, and what came of it.
type sweepWorld struct {
	t       *testing.T
	seed    uint64
	r       *rand.Rand
	env     *engine.Env
	keeps   time.Duration
	settles time.Duration
	rows    []lateRow
	broken  float64 // share of sweeps that fail
	asked   []string
	sent    map[int]int
	pending []int
	cursors map[string]time.Time
	now     time.Time
}

const sweepScript = `
table = devo.table("my.app.test.row", time = field("at").time(), key = field("id"))

def pull():
    for w in checkpoint.sweeps("1h", settles = "5h", first = "1d", keeps = "30h", fresh = %s, overlap = "30m", rescan = "2h", rescan_every = "20m", page_rows = 20):
        rows = ask(w.start, w.end, w.lane)
        if rows == False:
            w.gap()
            continue
        if rows == None:
            w.fail("it broke")
            continue
        devo.send(table, rows, window = w)
        note()
        checkpoint.commit(w)
        committed()
`

func (w *sweepWorld) predeclared() starlark.StringDict {
	d := testPredeclared()
	builtin := func(name string, f func(p *engine.Pull, args starlark.Tuple) (starlark.Value, error)) {
		d[name] = starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			p, err := engine.PullOf(thread)
			if err != nil {
				return nil, err
			}
			return f(p, args)
		})
	}
	builtin("ask", w.ask)
	builtin("note", func(p *engine.Pull, _ starlark.Tuple) (starlark.Value, error) {
		w.pending = nil
		events, err := p.Staged()
		for _, e := range events {
			var row lateRow
			if err == nil {
				err = json.Unmarshal(e.Body, &row)
			}
			w.pending = append(w.pending, row.ID)
		}
		return starlark.None, err
	})
	builtin("committed", func(p *engine.Pull, _ starlark.Tuple) (starlark.Value, error) {
		for _, id := range w.pending {
			w.sent[id]++
		}
		w.pending = nil
		return starlark.None, w.check(p)
	})
	return d
}

func (w *sweepWorld) sleep(d time.Duration) { w.now = w.now.Add(d) }

func (w *sweepWorld) ask(p *engine.Pull, args starlark.Tuple) (starlark.Value, error) {
	start, end, lane := args[0].(Time).t, args[1].(Time).t, string(args[2].(starlark.String))
	now := w.now
	if len(w.asked) > 200000 {
		return nil, fmt.Errorf("asked too often")
	}
	w.asked = append(w.asked, fmt.Sprintf("%s %s %s-%s", now.Format("02T15:04:05"), lane, start.Format("02T15:04:05"), end.Format("02T15:04:05")))
	if end.After(now) || !start.Before(end) {
		return nil, fmt.Errorf("asked for %v to %v at %v", start, end, now)
	}
	heard := p.APIClock().Heard()
	p.APIClock().Note(now, now, now, now)
	if start.Before(now.Add(-w.keeps)) {
		if !heard {
			return starlark.False, nil
		}
		return nil, fmt.Errorf("asked for %v, which is not kept any more at %v", start, now)
	}
	w.sleep(time.Duration(1+w.r.IntN(20)) * time.Second)
	if w.r.Float64() < w.broken {
		if w.r.IntN(3) == 0 {
			return nil, &engine.Error{Code: engine.CodeUpstream, Err: fmt.Errorf("killed")}
		}
		return starlark.None, nil
	}
	var rows []map[string]any
	for _, row := range w.rows {
		if !row.At.Before(start) && !row.At.After(end) && !row.Visible.After(now) { // closed at both ends
			rows = append(rows, map[string]any{"id": row.ID, "at": row.At.Format(time.RFC3339Nano)})
		}
	}
	w.r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	p.Stats.Pages += int64(1 + len(rows)/20)
	text, err := json.Marshal(rows)
	if rows == nil {
		text = []byte("[]")
	}
	if err != nil {
		return nil, err
	}
	return NewDocument(text)
}

// check holds what is said to be settled against the rows of the API.
func (w *sweepWorld) check(p *engine.Pull) error {
	before := w.cursors["window"]
	for _, name := range []string{"window", "fresh"} {
		at, err := timeCursor(p, name)
		if err != nil {
			return err
		}
		if at.Before(w.cursors[name]) {
			return fmt.Errorf("the cursor %s moved back from %v to %v", name, w.cursors[name], at)
		}
		w.cursors[name] = at
	}
	if !w.cursors["window"].After(before) {
		return nil
	}
	c, err := p.Coverage(before, time.Time{})
	if err != nil {
		return err
	}
	for _, s := range c.Spans {
		switch {
		case s.State == engine.SpanSettled && s.To.After(w.now.Add(-w.settles)):
			return fmt.Errorf("%v to %v is settled at %v", s.From, s.To, w.now)
		case s.State == engine.SpanSettled:
			for _, row := range w.rows {
				if !row.At.Before(s.From) && row.At.Before(s.To) && w.sent[row.ID] == 0 {
					return fmt.Errorf("%v to %v is settled without row %d of %v, visible %v", s.From, s.To, row.ID, row.At, row.Visible)
				}
			}
		case s.State == engine.SpanGap && s.To.After(w.now.Add(-w.keeps+time.Second)):
			return fmt.Errorf("a gap to %v at %v, although the API keeps %v", s.To, w.now, w.keeps)
		}
	}
	return nil
}

// TestSweepsMissNothing draws schedules of late rows, failures, restarts and pauses.
func TestSweepsMissNothing(t *testing.T) {
	for seed := range uint64(8) {
		runSweeps(t, seed)
	}
}

func runSweeps(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 99))
	fresh := `"5m"`
	if seed%4 == 3 {
		fresh = "None"
	}
	w := &sweepWorld{t: t, seed: seed, r: r, env: testEnv(t), keeps: 30 * time.Hour, settles: 5 * time.Hour, sent: map[int]int{}, cursors: map[string]time.Time{}}
	w.broken = []float64{0, 0.02, 0.2}[r.IntN(3)]
	begin := time.Date(2026, 11, 1, 7, 30, 0, 0, time.UTC)
	w.now = begin
	w.env.Clock = &engine.Clock{Now: func() time.Time { return w.now }, Wait: w.sleep}
	const days = 3
	count := []int{20, 300, 1500}[r.IntN(3)]
	for id := range count {
		at := begin.Add(-26*time.Hour + time.Duration(r.Int64N(int64((days*24+26)*time.Hour)))).Truncate(time.Millisecond)
		if r.IntN(3) == 0 {
			at = at.Truncate(time.Minute) // on the bounds of windows
		}
		late := time.Duration(r.Int64N(int64(10 * time.Minute)))
		switch r.IntN(12) {
		case 0:
			late = time.Duration(r.Int64N(int64(w.settles)))
		case 1:
			late = w.settles - time.Second
		}
		w.rows = append(w.rows, lateRow{id, at, at.Add(late)})
	}
	script, err := starlark.ExecFileOptions(testOptions, &starlark.Thread{}, "sweeps.star", fmt.Sprintf(sweepScript, fresh), w.predeclared())
	if err != nil {
		t.Fatal(err)
	}
	paused := 0
	for w.now.Sub(begin) < days*24*time.Hour {
		w.pull(script["pull"])
		switch n := r.IntN(200); {
		case n == 0 && paused < 3:
			paused++
			w.sleep(time.Duration(r.Int64N(int64(36 * time.Hour))))
		case n < 10: // killed: what is in memory is gone
			w.env.Shared = &engine.Shared{}
		}
		w.sleep(time.Duration(30+r.IntN(600)) * time.Second)
	}
	w.broken = 0
	for range 40 { // in peace, everything becomes settled
		w.sleep(30 * time.Minute)
		w.pull(script["pull"])
	}
	w.finish(begin, begin.Add(days*24*time.Hour))
}

func (w *sweepWorld) pull(fn starlark.Value) {
	w.t.Helper()
	p := engine.NewPull(w.t.Context(), w.env, "in/1/svc")
	_, err := starlark.Call(p.NewThread("pull"), fn, nil, nil)
	if err != nil && !strings.Contains(err.Error(), "it broke") && !strings.Contains(err.Error(), "killed") {
		w.t.Fatalf("seed %d: %v\nlast asked:\n%s", w.seed, err, strings.Join(w.asked[max(0, len(w.asked)-8):], "\n"))
	}
	if err == nil {
		if err := p.Commit(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// finish looks at everything at the end.
func (w *sweepWorld) finish(begin, end time.Time) {
	c, err := w.env.Store.Coverage("in/1/svc", begin.Add(-24*time.Hour), end)
	if err != nil {
		w.t.Fatal(err)
	}
	var gaps []engine.CoveredSpan
	at := begin.Add(-24 * time.Hour)
	for _, s := range c.Spans {
		if !s.From.Equal(at) || s.State != engine.SpanSettled && s.State != engine.SpanGap {
			w.t.Fatalf("seed %d: at %v the ledger says %+v", w.seed, at, s)
		}
		if at = s.To; s.State == engine.SpanGap {
			gaps = append(gaps, s)
		}
	}
	if at.Before(end) {
		w.t.Fatalf("seed %d: nothing is known from %v on", w.seed, at)
	}
	for _, row := range w.rows {
		inGap := slices.ContainsFunc(gaps, func(g engine.CoveredSpan) bool { return !row.At.Before(g.From) && row.At.Before(g.To) })
		n := w.sent[row.ID]
		outside := row.At.Before(begin.Add(-24 * time.Hour))
		if n > 1 || n == 0 && !inGap && !outside {
			w.t.Errorf("seed %d: row %d of %v (visible %v) was sent %d times; gaps %v", w.seed, row.ID, row.At, row.Visible, n, gaps)
		}
	}
	var events int64
	for _, h := range c.Hours {
		events += h.Events
	}
	if total := len(w.sent); events > int64(total) || events < int64(total)-int64(len(w.rows)/10)-1 {
		w.t.Errorf("seed %d: the ledger counts %d events of %d", w.seed, events, total)
	}
}
