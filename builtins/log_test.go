package builtins

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"starling/engine"
)

// logLines runs the body of a function while a pull runs and returns the lines it logs, as JSON gives them.
func logLines(t *testing.T, env *engine.Env, level slog.Level, body string, predeclared starlark.StringDict) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	env.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
	names := All()
	for name, v := range predeclared {
		names[name] = v
	}
	source := "def main():\n    " + strings.ReplaceAll(body, "\n", "\n    ") + "\n"
	globals, err := starlark.ExecFileOptions(testOptions, &starlark.Thread{}, "m.star", source, names)
	if err != nil {
		t.Fatal(err)
	}
	thread := engine.NewPull(context.Background(), env, "in/1/service").NewThread("main")
	if _, err := starlark.Call(thread, globals["main"], nil, nil); err != nil {
		t.Fatal(err)
	}
	return jsonLines(t, out.Bytes())
}

func jsonLines(t *testing.T, text []byte) (lines []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, v)
	}
	return lines
}

func TestLogLinesSayWhereTheyAreFrom(t *testing.T) {
	t.Parallel()
	body := `log.info("window done", rows = 3, share = 0.5, last = True, at_end = time.parse("2026-01-02"), left = None, big = 1 << 70)
log.warn({"a": 1})`
	lines := logLines(t, testEnv(t), slog.LevelInfo, body, nil)
	if len(lines) != 2 {
		t.Fatalf("got %d lines, want 2", len(lines))
	}
	want := map[string]any{"level": "INFO", "msg": "window done", "collector": "in/1/service", "at": "m.star:2:13",
		"rows": 3.0, "share": 0.5, "last": true, "at_end": "2026-01-02T00:00:00Z", "left": "None", "big": "1180591620717411303424"}
	for key, v := range want {
		if lines[0][key] != v {
			t.Errorf("%s: got %v, want %v", key, lines[0][key], v)
		}
	}
	if lines[1]["msg"] != `{"a": 1}` || lines[1]["level"] != "WARN" || lines[1]["at"] != "m.star:3:13" {
		t.Errorf("got %v", lines[1])
	}
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	body := "log.debug('d')\nlog.info('i')\nlog.warn('w')\nlog.error('e')"
	for level, want := range map[slog.Level]string{slog.LevelDebug: "diwe", slog.LevelWarn: "we"} {
		got := ""
		for _, line := range logLines(t, testEnv(t), level, body, nil) {
			got += line["msg"].(string)
		}
		if got != want {
			t.Errorf("at %v: got %q, want %q", level, got, want)
		}
	}
}

func TestLogNeverShowsSecrets(t *testing.T) {
	t.Parallel()
	const text = "hunter2-hunter2"
	env := testEnv(t)
	env.Redactor.Add(text)
	body := `log.info("message with %s, %s" % (secret, copy), secret = secret, copy = copy, inside = [secret, copy], deep = {"a": copy})
log.info(secret)
log.info("x" * 4090 + copy)
log.info("attribute names", **{copy: 1})`
	lines := logLines(t, env, slog.LevelInfo, body, starlark.StringDict{"secret": engine.NewSecret(text), "copy": starlark.String(text)})
	if len(lines) != 4 {
		t.Fatalf("got %d lines, want 4", len(lines))
	}
	shown := fmt.Sprint(lines)
	if strings.Contains(shown, "hunter2") {
		t.Errorf("the secret shows: %s", shown)
	}
	if got := lines[0]["msg"]; got != "message with ****SANITIZED****, ****SANITIZED****" {
		t.Errorf("got %q", got)
	}
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	env.Limits.LogLinesPerPull = 3
	body := "for i in range(10):\n    log.debug('not written and not counted')\n    log.info('line', i = i)"
	lines := logLines(t, env, slog.LevelInfo, body, nil)
	if len(lines) != 4 { // three, and one that says so
		t.Fatalf("got %d lines, want 4: %v", len(lines), lines)
	}
	if lines[2]["i"] != 2.0 || lines[3]["level"] != "WARN" || lines[3]["limit"] != 3.0 {
		t.Errorf("got %v, then %v", lines[2], lines[3])
	}

	lines = logLines(t, testEnv(t), slog.LevelInfo, `log.info("é" * 3000, v = "é" * 3000, **{"k%d" % i: i for i in range(40)})`, nil)
	if got, want := lines[0]["msg"], strings.Repeat("é", 2048)+"…"; got != want || lines[0]["v"] != want {
		t.Errorf("got %d bytes, want %d", len(got.(string)), len(want))
	}
	if lines[0]["k30"] != 30.0 || lines[0]["k31"] != nil || lines[0]["attributes_left_out"] != 9.0 {
		t.Errorf("got %v", lines[0])
	}
}

func TestLogAtTheTopLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	env := testEnv(t)
	env.Logger = slog.New(slog.NewJSONHandler(&out, nil))
	env.Limits.LogLinesPerPull = 2
	load := &engine.Load{Env: env, Collector: "in/1/service"}
	source := "[log.info('hello', n = n) for n in range(5)]"
	if _, err := starlark.ExecFileOptions(testOptions, load.NewThread("m.star"), "m.star", source, All()); err != nil {
		t.Fatal(err)
	}
	lines := jsonLines(t, out.Bytes())
	if len(lines) != 2 || lines[1]["n"] != 1.0 || lines[1]["collector"] != "in/1/service" || lines[1]["at"] != "m.star:1:10" {
		t.Errorf("got %v", lines)
	}
	_, err := starlark.ExecFileOptions(testOptions, &starlark.Thread{}, "m.star", "log.info()", All())
	if err == nil || !strings.HasPrefix(err.Error(), "log.info: got 0 arguments, want 1") {
		t.Errorf("got %v", err)
	}
}

func TestClockAtTheTopLevel(t *testing.T) {
	t.Parallel()
	load := &engine.Load{Env: testEnv(t), Collector: "in/1/service"}
	_, err := starlark.ExecFileOptions(testOptions, load.NewThread("m.star"), "m.star", "time.now()", All())
	if err == nil || !strings.Contains(err.Error(), "time.now") || !strings.Contains(err.Error(), "move the call into pull()") {
		t.Errorf("got %v, want an error that says where to call it", err)
	}
}

func TestHMACTakesASecretButNoOtherDoes(t *testing.T) {
	t.Parallel()
	names := All()
	names["secret"] = engine.NewSecret("Jefe")
	run := func(source string) (starlark.Value, error) {
		globals, err := starlark.ExecFileOptions(testOptions, &starlark.Thread{}, "m.star", "x = "+source, names)
		return globals["x"], err
	}
	// RFC 4231, test case 2.
	const want = `"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"`
	if got, err := run(`hash.hmac_sha256(secret, "what do ya want for nothing?")`); err != nil || got.String() != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
	for _, source := range []string{"hash.sha256(secret)", "hash.hmac_sha256('k', secret)", "base64.encode(secret)", "re.find('.*', secret)", "time.parse(secret)"} {
		if got, err := run(source); err == nil || !strings.Contains(err.Error(), "got secret, want") {
			t.Errorf("%s: got %v, %v, want an error", source, got, err)
		}
	}
}
