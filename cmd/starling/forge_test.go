package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"starling/engine"
)

// forgery is what an API can write into its answers to have a log, or whoever reads it, believe more
// than was logged.
const forgery = "a\ntime=2026-01-01T00:00:00.000Z level=INFO msg=FORGED\r\n{\"level\":\"INFO\",\"msg\":\"FORGED\"}\r\x1b[2K\x1b]0;title\a\u0085FORGED\u2028FORGED\u2029\u202eDEGROF\u2066\x00\u009b2K\xff"

// misleads reports whether r does something where it is shown.
func misleads(r rune) bool {
	return unicode.IsControl(r) && r != '\n' || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

func TestLogsAreNotForged(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log := slog.New(newHandler(&out, format, slog.LevelInfo, &engine.Redactor{})).With("with", forgery)
		log.Info(forgery, "value", forgery, forgery, "key", "error", &engine.Error{Op: forgery})
		checkLines(t, format, out.String(), 1)
	}
}

// checkLines fails if a log has more records than were logged, or has in it what misleads.
func checkLines(t *testing.T, format, text string, records int) {
	t.Helper()
	for line := range strings.Lines(text) {
		switch {
		case strings.ContainsFunc(line, misleads) && format == "text":
			t.Errorf("%s: %q misleads", format, line)
		case strings.ContainsFunc(line, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) || r < ' ' && r != '\n' || r == '\u2028' }):
			t.Errorf("%s: %q misleads", format, line)
		case strings.HasPrefix(line, "    | "):
		case format == "json" && !json.Valid([]byte(line)):
			t.Errorf("not JSON: %q", line)
		case strings.HasPrefix(line, "time=") || format == "json":
			records--
		default:
			t.Errorf("%s: %q is no record", format, line)
		}
	}
	if records != 0 {
		t.Errorf("%s: %d records too few or too many in\n%s", format, records, text)
	}
}

// TestAnswersDoNotForgeWhatPeopleRead runs a pull whose API answers with a forgery, which the script
// logs, prints, and fails with.
func TestAnswersDoNotForgeWhatPeopleRead(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadRequest)
		}
		text, _ := json.Marshal(map[string]string{"message": forgery})
		w.Write(text)
	}))
	defer api.Close()
	for _, end := range []string{"fail(text)", "{}[text]", `api.get("/bad")`} {
		dir := helloDir(t, "127.0.0.1:0", "nowhere: {type: discard}", api.URL)
		writeText(t, filepath.Join(dir, "scripts", "hello.star"), `
api = http.client(config.url("url"), retry = http.retry(times = 0))
def pull():
    text = api.get("/")["message"]
    print(text)
    log.warn(text, value = text, **{text: text})
    `+end+"\n")
		c := exec.Command("starling", "pull", "hello", "--fresh")
		c.Dir = dir
		out, _ := c.CombinedOutput()
		if !bytes.Contains(out, []byte("FORGED")) {
			t.Errorf("%s: the test looks at nothing: %s", end, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.ContainsFunc(strings.ReplaceAll(line, "\t", ""), misleads) {
				t.Errorf("%s: %q misleads", end, line)
			}
		}
	}
}

// TestStateIsForItsOwnerOnly starts the program with a umask that would leave everything open.
func TestStateIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	_, url := newGreetings(t)
	dir := helloDir(t, "127.0.0.1:0", "events: {type: file, config: {path: events.log}}", url)
	self, err := exec.LookPath("starling")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-c", "umask 0; exec \"$0\" pull hello --commit", self)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(dir, "state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has the mode %o", path, mode)
		}
		return nil
	})
	if err != nil || files < 4 {
		t.Errorf("%d files, %v", files, err)
	}
	info, err := os.Stat(filepath.Join(dir, "events.log"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the events: %v, %v", info, err)
	}
}
