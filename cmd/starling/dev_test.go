package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/cmd/internal/dev"
)

const devScript = `
api = http.client(config.url("url"), retry = http.retry(times = 0))
event = fields.map({"who": field("name").lower(), "size": field("n")})
table = devo.table("my.app.hello", event, key = [field("n")])

def pull():
    for page in api.pages("/rows", next = http.offset("from", 500)):
        devo.send(table, page["value"])
    checkpoint.set("latest", 1)
`

// rowsAPI has n rows, 500 on a page.
func rowsAPI(n int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := 0
		fmt.Sscan(r.URL.Query().Get("from"), &from)
		var rows []string
		for i := from; i < min(from+500, n); i++ {
			rows = append(rows, fmt.Sprintf(`{"name":"Ada %d","n":%d,"text":"%s"}`, i, i, strings.Repeat("x", 300)))
		}
		fmt.Fprintf(w, `{"value":[%s]}`, strings.Join(rows, ","))
	})
}

// A devLoop is starling dev on a recording, and the script that is saved.
type devLoop struct {
	t      testing.TB
	script string
	lines  *bufio.Reader
}

func newDevLoop(t testing.TB, rows int, arguments ...string) *devLoop {
	t.Helper()
	api := httptest.NewServer(rowsAPI(rows))
	defer api.Close()
	dir := t.TempDir()
	config := fmt.Sprintf(helloConfig, "off", "out: {type: discard}", api.URL)
	script := filepath.Join(dir, "scripts", "hello.star")
	for file, text := range map[string]string{"config.yaml": config, "scripts/hello.star": devScript} {
		if err := os.MkdirAll(filepath.Join(dir, "scripts"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record := exec.Command("starling", "pull", "hello", "--record", "hello.case", "--limit", "0", "--log-level", "error")
	record.Dir = dir
	if out, err := record.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%.2000s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, "starling", append([]string{"dev", "scripts/hello.star", "--recording", "hello.case"}, arguments...)...)
	c.Dir = dir
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); c.Wait() })
	return &devLoop{t, script, bufio.NewReaderSize(out, 1<<20)}
}

func (l *devLoop) save(text string) {
	l.t.Helper()
	if err := os.WriteFile(l.script, []byte(text), 0o600); err != nil { // first empty, then written: as some editors do
		l.t.Fatal(err)
	}
}

func (l *devLoop) result() (r dev.Result) {
	l.t.Helper()
	line, err := l.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		l.t.Fatalf("%v: %.500s", err, line)
	}
	return r
}

func TestDevShowsWhatASaveChanges(t *testing.T) {
	t.Parallel()
	l := newDevLoop(t, 3, "--json", "--first", "1")
	r := l.result()
	if !r.OK || r.Stats.Rows != 3 || r.Stats.Events != 3 || len(r.Requests) == 0 || r.Requests[0].From != "recording" || !r.Changes.First {
		t.Errorf("first: %+v", r)
	}
	if len(r.First) != 1 || !strings.Contains(r.First[0].Row, `"name":"Ada 0"`) || r.First[0].Event != `{"who":"ada 0","size":0}` {
		t.Errorf("got the pairs %+v", r.First)
	}
	if string(r.After["latest"]) != "1" || r.Before["latest"] != nil {
		t.Errorf("checkpoint %s, before %s", r.After, r.Before)
	}
	l.save(strings.Replace(devScript, ".lower()", ".upper()", 1))
	if r = l.result(); !r.OK || r.Changes.Added != 3 || r.Changes.Removed != 3 || !strings.Contains(r.Changes.Diff, `+my.app.hello - {"who":"ADA 0","size":0}`) {
		t.Errorf("edited: %+v", r)
	}
	l.save(devScript + "\nx = nothing\n")
	if r = l.result(); r.OK || r.Problem == nil || r.Problem.Line != 11 || r.Problem.Column != 5 || !strings.HasSuffix(r.Problem.File, "hello.star") || !strings.Contains(r.Problem.Message, "undefined: nothing") {
		t.Errorf("broken: %+v", r.Problem)
	}
	l.save(strings.Replace(devScript, ".lower()", ".upper()", 1) + "# mended\n")
	if r = l.result(); !r.OK || r.Changes.First || r.Changes.Diff != "" {
		t.Errorf("the result before the mistake was forgotten: %+v", r.Changes)
	}
	l.save(strings.Replace(devScript, `"/rows"`, `"/other"`, 1))
	if r = l.result(); r.OK || r.Problem == nil || r.Problem.Line != 7 || r.Requests[0].From != "nowhere" {
		t.Errorf("a request that is not recorded: %+v %+v", r.Problem, r.Requests)
	}
}

// TestSaveToResult measures it with a recording of 5,000 rows, if STARLING_SAVES says how many saves.
func TestSaveToResult(t *testing.T) {
	saves := 0
	fmt.Sscan(os.Getenv("STARLING_SAVES"), &saves)
	if saves == 0 {
		t.Skip("STARLING_SAVES is not set")
	}
	l := newDevLoop(t, 5000, "--json")
	if r := l.result(); !r.OK || r.Stats.Rows != 5000 {
		t.Fatalf("%+v", r)
	}
	var took []time.Duration
	for i := range saves {
		began := time.Now()
		l.save(fmt.Sprintf("%s# %d\n", strings.Replace(devScript, `"who"`, fmt.Sprintf(`"who%d"`, i%2), 1), i))
		if r := l.result(); !r.OK || r.Changes.Added != 5000 {
			t.Fatalf("%+v", r.Changes)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("from save to result, 5,000 rows, %d saves: median %v, 95th percentile %v, longest %v", saves, took[len(took)/2], took[len(took)*95/100], took[len(took)-1])
}
