package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"starling/engine"
)

// terminal is a sink that shows events to a person, or to the next program in a pipe.
type terminal struct {
	out   io.Writer
	line  func(e engine.Event, bold bool) string
	bold  bool
	limit int                     // 0 means none
	stop  context.CancelCauseFunc // called when out takes no more, or no more is wanted

	count, shown int
	err          error
}

var _ engine.Sink = (*terminal)(nil)

// errEnough ends a pull of which only the first events are wanted.
var errEnough = errors.New("as many events as asked for")

func (t *terminal) Send(_ context.Context, events []engine.Event) error {
	for _, e := range events {
		t.count++
		if t.limit > 0 && t.shown == t.limit {
			t.stop(errEnough)
			continue
		}
		t.shown++
		if _, err := io.WriteString(t.out, t.line(e, t.bold)+"\n"); err != nil {
			t.err = err
			t.stop(err)
			return err
		}
	}
	return nil
}

// Flush has nothing to do: Send has written everything, and failed for good if that was not possible.
func (t *terminal) Flush(context.Context) error { return t.err }

// Close leaves the terminal open; it is not the sink's.
func (t *terminal) Close() error { return nil }

// lineFormats are the forms in which an event is shown.
var lineFormats = map[string]func(e engine.Event, bold bool) string{
	"body": func(e engine.Event, _ bool) string { return string(e.Body) },
	"json": jsonLine,
	"text": func(e engine.Event, bold bool) string {
		tag := e.Table.Tag
		if bold {
			tag = "\x1b[1m" + tag + "\x1b[0m"
		}
		return fmt.Sprintf("%s  %s  %s", tag, timeText(e.Time, "-"), e.Body)
	},
}

// jsonLine shows the body as a string, because that is what is delivered: it need not be JSON.
func jsonLine(e engine.Event, _ bool) string {
	var line strings.Builder
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Tag  string `json:"tag"`
		Time string `json:"time,omitempty"`
		Body string `json:"body"`
	}{e.Table.Tag, timeText(e.Time, ""), string(e.Body)})
	if err != nil {
		return err.Error() // strings can always be encoded
	}
	return strings.TrimSuffix(line.String(), "\n")
}

func timeText(at time.Time, unknown string) string {
	if at.IsZero() {
		return unknown
	}
	return at.Format("2006-01-02T15:04:05.000Z07:00")
}

// isTerminal reports whether a person looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// colours reports whether what is printed may be coloured: on a terminal, unless somebody does not want it.
func (p *program) colours() bool {
	return isTerminal(p.stdout) && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb"
}
