package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"starling/cmd/internal/cases"
	"starling/engine"
)

// clockScript puts the time into every event, so that a clock that is not replayed exactly shows, while pages are asked for ahead.
const clockScript = `
api = http.client(config.url("url"), retry = http.retry(times = 2, backoff = "5ms"))
table = devo.table("my.app.clock", lambda r: {"n": r["n"], "now": str(time.now()), "api": str(api.now())})

def pull():
    for page in api.pages("/rows", next = http.offset("from", 500)):
        devo.send(table, page["value"])
        api.get("/detail", params = {"of": len(page["value"])})
        checkpoint.set("at", time.now())
        checkpoint.commit()
`

// unevenAPI has n rows, fails now and then, and takes its time.
func unevenAPI(n int) http.Handler {
	var asked atomic.Int64
	rows := rowsAPI(n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%4 == 0 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		if r.URL.Path == "/detail" {
			fmt.Fprint(w, "{}")
			return
		}
		rows.ServeHTTP(w, r)
	})
}

// recordOnce records a pull of a script on the real clock.
func recordOnce(t *testing.T, script string, api http.Handler, limit int64) *engine.Tape {
	t.Helper()
	server := httptest.NewServer(api)
	defer server.Close()
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf(helloConfig, "off", "out: {type: discard}", server.URL))
	writeText(t, filepath.Join(dir, "scripts", "hello.star"), script)
	config, err := engine.LoadConfig(filepath.Join(dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := &program{stdout: os.Stderr, getenv: func(string) string { return "" }, redactor: &engine.Redactor{}}
	var tape *engine.Tape
	o := p.engineOptions(slog.New(slog.DiscardHandler))
	o.Recorder = &engine.Recorder{Limit: func() int64 { return limit }, Keep: func(t *engine.Tape) { tape = t }}
	if _, err := engine.PullOnce(t.Context(), config, "hello", o, engine.Once{Fresh: true}); err != nil {
		t.Fatal(err)
	}
	return tape
}

func TestTheClockIsReplayed(t *testing.T) {
	t.Parallel()
	tape := recordOnce(t, clockScript, unevenAPI(2600), 1<<30)
	c, err := cases.Make(t.Context(), tape, cases.Options{Library: scriptLibrary("")})
	if err != nil || len(c.Notes) > 0 {
		t.Fatalf("%v %v", err, c.Notes)
	}
	if tape.Stats.Retries == 0 || tape.Stats.Events != 2600 || len(tape.Commits) < 6 {
		t.Errorf("the pull was too easy: %+v", tape.Stats)
	}
	for range 3 {
		played, err := engine.Replay{Library: scriptLibrary(""), Sources: tape.Sources, Tape: tape}.Run(t.Context())
		if err != nil || played.Err != nil {
			t.Fatal(err, played.Err)
		}
		if string(played.Sum) != string(tape.Sum) || len(played.Unasked) > 0 {
			t.Errorf("a replay gives other events than the pull: %+v, want %+v", played.Stats, tape.Stats)
		}
	}
}

func TestARecordingThatIsCutOffSaysSo(t *testing.T) {
	t.Parallel()
	tape := recordOnce(t, devScript, rowsAPI(2600), 200_000)
	c, err := cases.Make(t.Context(), tape, cases.Options{Library: scriptLibrary("")})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := cases.Read(c.Bytes()); err != nil || !again.Tape.Cut || !strings.Contains(strings.Join(again.Notes, " "), "it is not whole") || len(again.Tape.Exchanges) != 1 {
		t.Fatalf("%v, %d exchanges: %v", err, len(again.Tape.Exchanges), again.Notes)
	}
	checked, err := cases.Check(context.Background(), c, scriptLibrary(""), tape.Sources, "")
	if err != nil || len(checked.Differences) > 0 || checked.Played.Err == nil || !strings.Contains(checked.Played.Err.Error(), "the recording ends here") {
		t.Errorf("%v: %+v, ended with %v", err, checked.Differences, checked.Played.Err)
	}
}

func TestFailedPullsAreRecordedAndTheNewestKept(t *testing.T) {
	t.Parallel()
	api, url := newGreetings(t)
	dir := helloDir(t, "127.0.0.1:0", "out: {type: discard}", url)
	edit(t, filepath.Join(dir, "config.yaml"), "log: {level: debug}", "log: {level: debug}\n  recordings: {folder: recordings, keep: 2}")
	files := func() []string {
		list, _ := filepath.Glob(filepath.Join(dir, "recordings", "*.case"))
		return list
	}
	var log lockedBuffer
	c := exec.Command("starling", "run")
	c.Dir, c.Stdout, c.Stderr = dir, &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	until(t, "a pull has ended well", func() bool { return strings.Contains(log.String(), "outcome=ok") })
	if got := files(); len(got) > 0 {
		t.Errorf("a pull that went well was recorded: %v", got)
	}
	api.down.Store(true)
	until(t, "three pulls were recorded", func() bool { return strings.Count(log.String(), "the pull was recorded") >= 3 })
	c.Process.Signal(syscall.SIGTERM)
	c.Wait()
	got := files()
	if len(got) != 2 {
		t.Errorf("there are %v", got)
	}
	for _, file := range got {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	}
	replay := exec.Command("starling", "replay", "recordings")
	replay.Dir = dir
	if out, err := replay.CombinedOutput(); err != nil || !strings.Contains(string(out), "ok ") {
		t.Errorf("%v\n%s", err, out)
	}
}
