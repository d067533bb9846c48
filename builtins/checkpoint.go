package builtins

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// newCheckpoint makes the module checkpoint: the durable place of cursors. What get returns was
// committed; what set and seen note becomes durable with the next commit, together with the events
// sent before it, or not at all.
func newCheckpoint() *starlarkstruct.Module {
	return module("checkpoint", map[string]builtinFunc{
		"get":                checkpointGet,
		"set":                checkpointSet,
		"commit":             checkpointCommit,
		"windows":            checkpointWindows,
		"sweeps":             checkpointSweeps,
		"seen":               checkpointSeen,
		"reset_when_changed": checkpointReset,
	})
}

func checkpointGet(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var fallback starlark.Value = starlark.None
	if err := unpack(b, args, kwargs, 2, "name", &name, "default?", &fallback); err != nil {
		return nil, err
	}
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, err
	}
	text, ok, err := p.Cursor(name)
	if err != nil || !ok {
		return fallback, err
	}
	v, err := NewDocument(text)
	if err != nil {
		return nil, fmt.Errorf("%s: cursor %q: %w (repair it with starling state set)", b.Name(), name, err)
	}
	return v, nil
}

func checkpointSet(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var value starlark.Value
	if err := unpack(b, args, kwargs, 2, "name", &name, "value", &value); err != nil {
		return nil, err
	}
	if slices.Contains([]string{"", engine.WindowCursor, freshCursor, engine.SweepsCursor, engine.BackfillCursor, engine.BackfillDoneCursor}, name) {
		return nil, fmt.Errorf("%s: the name %q is taken or empty, choose another one", b.Name(), name)
	}
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, err
	}
	if value == starlark.None {
		p.SetCursor(name, nil)
		return starlark.None, nil
	}
	text, err := appendJSON(nil, value)
	if err != nil {
		return nil, fmt.Errorf("%s: cursor %q: %w", b.Name(), name, err)
	}
	p.SetCursor(name, text)
	return starlark.None, nil
}

func checkpointCommit(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var what starlark.Value = starlark.None
	if err := unpack(b, args, kwargs, 1, "window?", &what); err != nil {
		return nil, err
	}
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, err
	}
	switch w := what.(type) {
	case starlark.NoneType:
	case *window:
		if err := w.close(p); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
	case *sweep:
		if err := w.commit(p); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		return starlark.None, nil
	default:
		return nil, fmt.Errorf("%s: got %s, want a window of checkpoint.windows or checkpoint.sweeps, or nothing", b.Name(), what.Type())
	}
	return starlark.None, p.Commit()
}

func checkpointSeen(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	var at starlark.Value = starlark.None
	if err := unpack(b, args, kwargs, 2, "key", &key, "at?", &at); err != nil {
		return nil, err
	}
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, err
	}
	var when time.Time
	if at != starlark.None {
		if when, err = timeArg(at); err != nil {
			return nil, fmt.Errorf("%s: at: %w", b.Name(), err)
		}
	}
	sum := sha256.Sum256([]byte(key))
	seen, err := p.Seen(when, engine.Key(sum[:]))
	return starlark.Bool(seen), err
}

// checkpointReset forgets everything when a value differs from the one that the last commit knew. The
// first time there is nothing to differ from.
func checkpointReset(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var value starlark.Value
	if err := unpack(b, args, kwargs, 2, "name", &name, "value", &value); err != nil {
		return nil, err
	}
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, err
	}
	text, err := appendJSON(nil, value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	was, known, err := p.Cursor(name)
	if err != nil {
		return nil, err
	}
	switch {
	case known && string(was) == string(text):
		return starlark.False, nil
	case known:
		p.Logger().Warn("state is forgotten, the pull starts from the beginning", "because", name, "was", string(was), "is", string(text))
		p.Wipe()
	}
	p.SetCursor(name, text)
	return starlark.Bool(known), nil
}

// checkpointWindows plans the time ranges that a pull asks for.
func checkpointWindows(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var size, delay, first, keeps, overlap starlark.Value
	if err := unpack(b, args, kwargs, 1, "size", &size, "delay", &delay, "first", &first, "keeps?", &keeps, "overlap?", &overlap); err != nil {
		return nil, err
	}
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, err
	}
	w := &windows{pull: p, thread: thread, name: b.Name()}
	for _, a := range []struct {
		name  string
		value starlark.Value
		into  *time.Duration
	}{{"size", size, &w.size}, {"delay", delay, &w.delay}, {"first", first, &w.first}, {"keeps", keeps, &w.keeps}, {"overlap", overlap, &w.overlap}} {
		if a.value == nil || a.value == starlark.None {
			continue
		}
		if *a.into, err = durationArg(a.value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", b.Name(), a.name, err)
		}
		if *a.into < 0 {
			return nil, fmt.Errorf("%s: %s: got %v, want a duration that is not negative", b.Name(), a.name, a.value)
		}
	}
	if w.size < time.Second {
		return nil, fmt.Errorf("%s: size: got %v, want a second or more", b.Name(), size)
	}
	return w, nil
}

// windows iterates over the time ranges between the last committed one and now less the delay. Every
// window has to be committed before the next one is made, so that no range is passed over.
type windows struct {
	pull    *engine.Pull
	thread  *starlark.Thread
	name    string
	size    time.Duration
	delay   time.Duration
	first   time.Duration // how far back the very first window starts
	keeps   time.Duration // how far back the API can be asked at all; 0 means without end
	overlap time.Duration // how much of the time before a window is asked for again
}

func (w *windows) String() string        { return "checkpoint.windows" }
func (w *windows) Type() string          { return "windows" }
func (w *windows) Freeze()               {}
func (w *windows) Truth() starlark.Bool  { return true }
func (w *windows) Hash() (uint32, error) { return 0, errors.New("unhashable: windows") }

// Iterate plans up to the present moment. What becomes due while the loop runs is for the next pull:
// otherwise a slow API would be asked for ever smaller windows without an end.
func (w *windows) Iterate() starlark.Iterator {
	return &windowIterator{windows: w, until: w.due()}
}

// due is up to when a range is complete by now. Where the answers of the API say that this machine's
// clock is wrong, theirs counts.
func (w *windows) due() time.Time {
	return w.pull.APINow().Add(-w.delay).Truncate(time.Second)
}

type windowIterator struct {
	*windows
	until time.Time
	last  *window
}

func (*windowIterator) Done() {}

func (it *windowIterator) Next(v *starlark.Value) bool {
	next, err := it.next()
	if err != nil {
		engine.FailIterator(it.thread, fmt.Errorf("%s: %w", it.name, err))
		return false
	}
	if next == nil {
		return false
	}
	it.last = next
	*v = next
	return true
}

// enough is the share of a pull's time after which no further window is begun.
const enough = 0.8

func (it *windowIterator) next() (*window, error) {
	if it.last != nil && !it.last.committed {
		return nil, fmt.Errorf("%v was not committed: call checkpoint.commit(window) when all of it is sent", it.last)
	}
	now := it.pull.Now()
	if deadline, ok := it.pull.Deadline(); ok && it.last != nil {
		begun := it.pull.Started()
		if now.Sub(begun) > time.Duration(float64(deadline.Sub(begun))*enough) {
			return nil, nil
		}
	}
	now = it.pull.APINow()
	if due := it.due(); due.Before(it.until) {
		it.until = due // the first answers have told
	}
	start, err := it.start(now)
	if err != nil {
		return nil, err
	}
	end := it.until
	if start.Add(it.size).Before(end) {
		end = start.Add(it.size)
	}
	if end.Sub(start) < time.Second {
		return nil, it.begin(start)
	}
	ask := start.Add(-it.overlap)
	if floor := it.floor(now); ask.Before(floor) {
		ask = floor
	}
	return &window{windows: it.windows, start: ask, from: start, end: end, asked: now}, nil
}

// begin keeps where the very first window is to start. Where nothing that far back is due yet, the
// start would move along with the clock otherwise, and no window would ever be due.
func (it *windowIterator) begin(start time.Time) error {
	if _, ok, err := it.pull.Cursor(engine.WindowCursor); ok || err != nil {
		return err
	}
	text, err := json.Marshal(start)
	if err == nil {
		it.pull.SetCursor(engine.WindowCursor, text)
	}
	return err
}

// floor is the oldest moment that the API can be asked for.
func (it *windowIterator) floor(now time.Time) time.Time {
	if it.keeps == 0 {
		return time.Time{}
	}
	return now.Add(-it.keeps).Truncate(time.Second)
}

// start is where the last committed window ended, or the beginning of what is wanted.
func (it *windowIterator) start(now time.Time) (time.Time, error) {
	text, ok, err := it.pull.Cursor(engine.WindowCursor)
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		start := now.Add(-it.first).Truncate(time.Second)
		if floor := it.floor(now); start.Before(floor) {
			start = floor
		}
		return start, nil
	}
	var at time.Time
	if err := json.Unmarshal(text, &at); err != nil {
		return time.Time{}, fmt.Errorf("the cursor %q is no time: %w (repair it with starling state set, or start over with starling state reset)", engine.WindowCursor, err)
	}
	if floor := it.floor(now); at.Before(floor) {
		tooOld(it.pull, at.UTC(), floor)
		return floor, nil
	}
	return at.UTC(), nil
}

// window is one time range. In a script it has start and end.
type window struct {
	windows          *windows
	start, from, end time.Time // start is from less the overlap
	asked            time.Time
	committed        bool
}

func (w *window) String() string {
	return fmt.Sprintf("window %s to %s", w.from.Format(time.RFC3339), w.end.Format(time.RFC3339))
}
func (w *window) Type() string          { return "window" }
func (w *window) Freeze()               {}
func (w *window) Truth() starlark.Bool  { return true }
func (w *window) Hash() (uint32, error) { return 0, errors.New("unhashable: window") }
func (w *window) AttrNames() []string   { return []string{"end", "start"} }

func (w *window) Attr(name string) (starlark.Value, error) {
	switch name {
	case "start":
		return Time{w.start}, nil
	case "end":
		return Time{w.end}, nil
	}
	return nil, nil
}

// close stages that the window is done. Keys of rows that no later window can meet are forgotten. What
// was not over yet, as the answers meanwhile have told, is asked for again.
func (w *window) close(p *engine.Pull) error {
	end := w.end
	if due := w.windows.due(); due.Before(end) {
		end = due
		if end.Before(w.from) {
			end = w.from
		}
	}
	text, err := json.Marshal(end)
	if err != nil {
		return err
	}
	p.SetCursor(engine.WindowCursor, text)
	p.ForgetBefore(w.start.Add(-time.Hour))
	if end.After(w.from) {
		p.Mark(engine.Mark{From: w.from, To: end, State: engine.SpanSettled, Swept: w.asked})
	}
	w.committed = true
	return nil
}

// pullFor returns the pull of thread, or an error that names the builtin.
func pullFor(thread *starlark.Thread, b *starlark.Builtin) (*engine.Pull, error) {
	p, err := engine.PullOf(thread)
	if err != nil {
		return nil, fmt.Errorf("%s %w", b.Name(), err)
	}
	return p, nil
}
