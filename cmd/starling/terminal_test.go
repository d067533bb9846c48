package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/engine"
)

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestPullEndsWhenNobodyTakesTheEvents(t *testing.T) {
	t.Parallel()
	_, url := newGreetings(t)
	dir := helloDir(t, "off", "nowhere: {type: discard}", url)
	var errs strings.Builder
	code := run(t.Context(), []string{"pull", "hello", "--config", filepath.Join(dir, "config.yaml")}, program{stdout: fullDisk{}, stderr: &errs, getenv: os.Getenv})
	if want := "write the events: no space left on device"; code != exitOther || !strings.Contains(errs.String(), want) {
		t.Errorf("got %d %s, want %d %s", code, errs.String(), exitOther, want)
	}
}

func TestLinesOfEvents(t *testing.T) {
	t.Parallel()
	table := &engine.Table{Tag: "my.app.x"}
	at := time.Date(2026, 5, 1, 2, 3, 4, 5e6, time.UTC)
	for _, c := range []struct {
		format string
		bold   bool
		event  engine.Event
		want   string
	}{
		{"text", false, engine.Event{Table: table, Time: at, Body: []byte("b")}, "my.app.x  2026-05-01T02:03:04.005Z  b"},
		{"text", true, engine.Event{Table: table, Body: []byte("b")}, "\x1b[1mmy.app.x\x1b[0m  -  b"},
		{"json", true, engine.Event{Table: table, Body: []byte(`<"`)}, `{"tag":"my.app.x","body":"<\""}`},
		{"body", true, engine.Event{Table: table, Body: []byte("b")}, "b"},
	} {
		if got := lineFormats[c.format](c.event, c.bold); got != c.want {
			t.Errorf("%s: got %q, want %q", c.format, got, c.want)
		}
	}
}
