package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/cmd/internal/testreport"
)

// hostileScripts reads the scripts below testdata/hostile that mean harm, by the kind of their names,
// and what their errors must say, which their first line tells.
func hostileScripts(t *testing.T, kind string) (texts, wants map[string]string) {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/" + kind + "_*.star")
	if err != nil || len(files) == 0 {
		t.Fatalf("no hostile scripts: %v", err)
	}
	texts, wants = map[string]string{}, map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, ok := strings.CutPrefix(strings.SplitN(string(text), "\n", 2)[0], "# want: ")
		if !ok {
			t.Fatalf("%s does not say what it wants", file)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".star")
		texts[name], wants[name] = string(text), want
	}
	return texts, wants
}

// longScripts are hostile scripts that are too long to keep.
func longScripts() (texts, wants map[string]string) {
	texts, wants = map[string]string{}, map[string]string{}
	add := func(name, want, text string) { texts["load_long_"+name], wants["load_long_"+name] = text, want }
	add("brackets", "excessive nesting", "x = "+strings.Repeat("(", 500_000))
	add("minus", "excessive nesting", "x = "+strings.Repeat("-", 900_000)+"1\n")
	add("not", "excessive nesting", "x = "+strings.Repeat("not ", 200_000)+"1\n")
	add("else", "excessive nesting", "x = "+strings.Repeat("1 if 1 else ", 80_000)+"1\n")
	add("lambda", "excessive nesting", "x = "+strings.Repeat("lambda: ", 100_000)+"1\n")
	add("elif", "split it up", "def pull():\n    if 1:\n        pass\n"+strings.Repeat("    elif 1:\n        pass\n", 30_000))
	add("sum", "split it up", "x = "+strings.Repeat("1+", 400_000)+"1\n")
	add("dots", "split it up", "x = x"+strings.Repeat(".a", 400_000)+"\n")
	add("calls", "split it up", "x = x"+strings.Repeat("()", 400_000)+"\n")
	add("index", "split it up", "x = x"+strings.Repeat("[0]", 300_000)+"\n")
	add("number", "no function pull", "x = "+strings.Repeat("9", 1_000_000)+"\n")
	return texts, wants
}

// hostileConfig is a configuration with a service for each script; the verb is for the services.
const hostileConfig = `globals: {name: test, id: 1}
starling:
  listen: "127.0.0.1:0"
  limits: {steps: 5000000, load_steps: 5000000, pull_timeout: 30, staged_bytes: 8MiB, script_memory: 64MiB}
outputs:
  nowhere: {type: discard}
inputs:
  hostile:
    id: 1
    enabled: true
    request_period_in_seconds: 1
    services:
      good: {script: hello, url: "%s"}
%s`

func hostileDir(t *testing.T, url string, scripts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	services := ""
	for _, name := range slices.Sorted(maps.Keys(scripts)) {
		services += "      " + name + ": {}\n"
		writeText(t, filepath.Join(dir, "scripts", name+".star"), scripts[name])
	}
	writeText(t, filepath.Join(dir, "scripts", "hello.star"), helloScript)
	writeText(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf(hostileConfig, url, services))
	return dir
}

// maxHostileRSS is how much memory a process may use at most while hostile scripts run, in MiB. The watch of memory has to get a
// processor before it can end anybody, and what eleven scripts are given meanwhile is the machine's business: in some runs on two
// processors it was 420 MiB at most, in others 2,100.
const maxHostileRSS = 3072

// TestHostileScriptsThatLoad loads scripts that mean harm before they have pulled: each gets an error
// that says what it did.
func TestHostileScriptsThatLoad(t *testing.T) {
	t.Parallel()
	scripts, wants := hostileScripts(t, "load")
	long, longWants := longScripts()
	maps.Copy(scripts, long)
	maps.Copy(wants, longWants)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "starling", "check")
	cmd.Dir = hostileDir(t, "http://127.0.0.1:1", scripts)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitWrong {
		t.Fatalf("got %v, want exit code %d:\n%.2000s", err, exitWrong, out)
	}
	for name, want := range wants {
		re := regexp.MustCompile(`(?m)^\S*/scripts/` + name + `\.star:.*` + regexp.QuoteMeta(want))
		if !re.Match(out) {
			t.Errorf("%s: no line that names it and says %q in:\n%s", name, want, linesWith(string(out), name))
		}
	}
	used := cmd.ProcessState
	t.Logf("%d scripts, %d MiB, %v of processor time", len(wants), mostMemory(used), used.UserTime()+used.SystemTime())
	if len(out) > 1<<20 {
		t.Errorf("%d bytes of output", len(out))
	}
}

// TestHostileScriptsThatTest runs tests that mean harm: the command ends by itself, with an error for
// each that says what it did. What they want is a regular expression, since on a busy machine a test's
// time can be up before its memory is.
func TestHostileScriptsThatTest(t *testing.T) {
	t.Parallel()
	texts, wants := hostileScripts(t, "test")
	dir := t.TempDir()
	for name, text := range texts {
		writeText(t, filepath.Join(dir, name+".star"), "def pull():\n    pass\n")
		writeText(t, filepath.Join(dir, name+"_test.star"), text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "starling", "test", "--scripts", dir, "--json")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitWrong {
		t.Fatalf("got %v, want exit code %d:\n%.2000s", err, exitWrong, out)
	}
	var files []testreport.File
	if err := json.Unmarshal(out, &files); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, got := strings.TrimSuffix(f.File, "_test.star"), f.Error
		for _, test := range f.Tests {
			got += test.Error
		}
		if want, ok := wants[name]; !ok || !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: got %.1000q, want %q", name, got, want)
		}
		delete(wants, name)
	}
	if len(wants) > 0 {
		t.Errorf("nothing is told of %v", wants)
	}
	used := cmd.ProcessState
	t.Logf("%d files, %d MiB, %v of processor time", len(files), mostMemory(used), used.UserTime()+used.SystemTime())
}

func linesWith(text, part string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			found = append(found, line[:min(len(line), 500)])
		}
	}
	return strings.Join(found, "\n")
}

// TestHostileScriptsThatPull runs scripts that mean harm beside one that does not, a few in a process:
// each gets an error that says what it did, the process goes on, and so does the good one.
func TestHostileScriptsThatPull(t *testing.T) {
	t.Parallel()
	scripts, wants := hostileScripts(t, "pull")
	_, url := newGreetings(t)
	names := slices.Sorted(maps.Keys(scripts))
	if raceDetector { // which makes them several times slower, so that a part must do
		names = every(5, 0, names)
	}
	highest := 0
	// Neighbours are alike, so a process gets scripts from all over the list.
	const processes = 10
	for i := range processes {
		highest = max(highest, runHostile(t, url, every(processes, i, names), scripts, wants))
	}
	t.Logf("%d of %d scripts, at most %d MiB", len(names), len(wants), highest)
	if highest > maxHostileRSS && !raceDetector {
		t.Errorf("a process used %d MiB, want at most %d", highest, maxHostileRSS)
	}
}

// every returns every n-th name, from the i-th on.
func every(n, i int, names []string) (some []string) {
	for ; i < len(names); i += n {
		some = append(some, names[i])
	}
	return some
}

func runHostile(t *testing.T, url string, names []string, scripts, wants map[string]string) (rss int) {
	t.Helper()
	some := map[string]string{}
	for _, name := range names {
		some[name] = scripts[name]
	}
	began := time.Now()
	p := startRun(t, hostileDir(t, url, some))
	missing, got := map[string]bool{}, map[string]string{}
	for _, name := range names {
		missing[name] = true
	}
	var good int64
	deadline := time.Now().Add(2 * time.Minute)
	for ; len(missing) > 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-p.done:
			t.Fatalf("the process ended: %v\n%.3000s", err, p.log.String())
		default:
		}
		for _, c := range p.status().Collectors {
			name := strings.TrimPrefix(c.Collector, "hostile/1/")
			if name == "good" {
				good = c.Pulls
			} else if c.LastError != "" {
				got[name] = c.LastError
				if strings.Contains(c.LastError, wants[name]) {
					delete(missing, name)
				}
			}
		}
	}
	for name := range missing {
		t.Errorf("%s: got %.1000q, want %q", name, got[name], wants[name])
	}
	until(t, "the good collector pulls again", func() bool {
		for _, c := range p.status().Collectors {
			if c.Collector == "hostile/1/good" {
				return c.Pulls > good && c.LastError == ""
			}
		}
		return false
	})
	for name, text := range got {
		if len(text) > 20_000 {
			t.Errorf("%s: an error of %d bytes", name, len(text))
		}
	}
	rss = highestRSS(t, p.cmd.Process.Pid)
	p.cmd.Process.Kill()
	<-p.done
	used := p.cmd.ProcessState
	t.Logf("%d MiB, %v, %v of processor time: %s", rss, time.Since(began).Round(time.Millisecond),
		(used.UserTime() + used.SystemTime()).Round(time.Millisecond), strings.Join(names, " "))
	return rss
}

// highestRSS is the most memory that a process had, in MiB.
func highestRSS(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("no VmHWM: %v", err)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n >> 10
}
