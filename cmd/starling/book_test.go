package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// triedElsewhere are the pages that are not run from top to bottom, and the tests that try what they say.
var triedElsewhere = map[string]string{
	"devo.md":              "TestDevoIsCurrent", // of devo.yaml, whose rows TestDevoTable tries
	"duo.md":               "TestConfigurationsOfServicesAreInOrder",
	"entra.md":             "TestConfigurationsOfServicesAreInOrder",
	"github.md":            "TestConfigurationsOfServicesAreInOrder",
	"okta.md":              "TestConfigurationsOfServicesAreInOrder",
	"errors.md":            "TestErrorsAreCurrent",
	"kubernetes/README.md": ".ci/run",
	"recordings.md":        "TestCommandsOfDocumentsAreRun",
	"office365.md":         "TestCommandsOfDocumentsAreRun", // and TestConfigurationsOfServicesAreInOrder
	"moving-from-devo.md":  "TestCommandsOfDocumentsAreRun",
	"new-collector.md":     "TestCommandsOfDocumentsAreRun",
	"testing.md":           "TestCommandsOfDocumentsAreRun",
}

// exampleAddress is where the example API is in the book; each page gets a port of its own.
const exampleAddress = "127.0.0.1:8088"

func bookPages(t *testing.T) []string {
	t.Helper()
	var pages []string
	err := filepath.WalkDir("../../docs", func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			name, _ := filepath.Rel("../../docs", path)
			pages = append(pages, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages in docs/, %v", len(pages), err)
	}
	return pages
}

// TestBook runs each page of docs/ from top to bottom in an empty folder, as a reader would.
func TestBook(t *testing.T) {
	t.Parallel()
	for _, name := range bookPages(t) {
		if triedElsewhere[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := repositoryFile(t, "docs/"+name)
			if strings.Contains(text, exampleAddress) {
				text = strings.ReplaceAll(text, exampleAddress, freeAddress(t))
			}
			blocks, err := blocksOf(text)
			if err != nil {
				t.Fatalf("docs/%s: %v", name, err)
			}
			r := &reader{dir: t.TempDir(), env: os.Environ()}
			for _, b := range blocks {
				r.do(t, name, b)
			}
		})
	}
}

// TestPagesTriedElsewhereAre holds that the tests of triedElsewhere are there, in files that name the page.
func TestPagesTriedElsewhereAre(t *testing.T) {
	t.Parallel()
	var files []string
	for _, packages := range []string{"cmd/starling", "cmd/internal/reference"} {
		found, err := filepath.Glob("../../" + packages + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for page, test := range triedElsewhere {
		name, where := strings.TrimSuffix(page, "README.md"), repositoryFile(t, ".ci/run")
		if test != ".ci/run" {
			where = ""
			for _, file := range files {
				if text := repositoryFile(t, strings.TrimPrefix(filepath.ToSlash(file), "../../")); strings.Contains(text, "\nfunc "+test+"(") {
					where = text
				}
			}
		}
		if !strings.Contains(where, name) {
			t.Errorf("docs/%s: there is no %s that has it", page, test)
		}
	}
}

// TestWhatIsNotRunIsSaid holds that docs/README.md has a row for each page with a block that is not run, with the reason, or with a
// command of another program, and no row more.
func TestWhatIsNotRunIsSaid(t *testing.T) {
	t.Parallel()
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| \[[^]]*\]\((\S+)\) \| (.*) \|$`).FindAllStringSubmatch(repositoryFile(t, "docs/README.md"), -1) {
		rows[m[1]] = m[2]
	}
	said := map[string]bool{}
	for _, name := range bookPages(t) {
		text := repositoryFile(t, "docs/"+name)
		for _, m := range regexp.MustCompile(`(?m)^<!-- not run: (.+) -->$`).FindAllStringSubmatch(text, -1) {
			said[name] = true
			if !strings.Contains(rows[name], m[1]) {
				t.Errorf("docs/README.md does not say of docs/%s what is not run: %s", name, m[1])
			}
		}
		text = regexp.MustCompile("(?s)\n```.*?\n```\n").ReplaceAllString(text, "\n")
		for _, m := range regexp.MustCompile(`(?m)^(?: {4}| {7})([a-z]+) `).FindAllStringSubmatch(text, -1) {
			if documentCommand.MatchString(m[0]) { // TestCommandsOfDocumentsAreRun has it
				continue
			}
			said[name] = true
			if !strings.Contains(rows[name], "`"+m[1]+"`") {
				t.Errorf("docs/README.md does not say that %s of docs/%s is not run", m[1], name)
			}
		}
	}
	for name := range rows {
		if !said[name] {
			t.Errorf("docs/README.md says that something of docs/%s is not run, and all is", name)
		}
	}
}

// TestBookLinks holds that docs/README.md leads to every page, and every link to a file.
func TestBookLinks(t *testing.T) {
	t.Parallel()
	links := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	listed := map[string]bool{"README.md": true}
	for _, name := range bookPages(t) {
		for _, m := range links.FindAllStringSubmatch(repositoryFile(t, "docs/"+name), -1) {
			target := filepath.Join("docs", filepath.Dir(name), m[1])
			if _, err := os.Stat(filepath.Join("../..", target)); err != nil {
				t.Errorf("docs/%s leads to %s, which is not there", name, m[1])
			}
			if name == "README.md" {
				listed[m[1]] = true
			}
		}
	}
	for _, name := range bookPages(t) {
		if !listed[name] {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A reader does what a page says.
type reader struct {
	dir string
	env []string
	// shown is what the last command in the background prints, and seen how much of it the page has shown.
	shown *lockedBuffer
	seen  int
}

func (r *reader) do(t *testing.T, page string, b fence) {
	t.Helper()
	switch {
	case b.notRun != "":
	case b.value("file") != "":
		if b.language == "json" && !json.Valid([]byte(b.text)) {
			t.Errorf("docs/%s:%d: no JSON", page, b.line)
		}
		put(t, filepath.Join(r.dir, b.value("file")), b.text)
	case b.value("in") != "":
		text, err := os.ReadFile(filepath.Join(r.dir, b.value("in")))
		if err != nil || !strings.Contains(string(text), b.text) {
			t.Fatalf("docs/%s:%d: %s does not have this (%v):\n%s", page, b.line, b.value("in"), err, text)
		}
	case b.is("prints") && r.shown != nil:
		r.wait(t, page, b, "what goes on in the background ", b.text)
	case b.language == "console":
		commands, err := commandsOf(b.text)
		if err != nil || len(commands) == 0 {
			t.Fatalf("docs/%s:%d: %d commands, %v", page, b.line, len(commands), err)
		}
		for i, c := range commands {
			r.command(t, page, b, c, i == len(commands)-1)
		}
	default:
		t.Fatalf("docs/%s:%d: nothing runs this block; say what it is behind its language, or why it is not run above it", page, b.line)
	}
}

func (r *reader) command(t *testing.T, page string, b fence, c command, last bool) {
	t.Helper()
	if value, ok := strings.CutPrefix(c.line, "export "); ok {
		r.env = append(r.env, strings.TrimSpace(value))
		return
	}
	wants := pattern(c.prints)
	if last && b.is("background") {
		r.background(t, page, b, c)
		return
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		out, err := r.shell(t.Context(), c.line).CombinedOutput()
		good := (err != nil) == (last && b.is("fails")) && (c.prints == "" || wants.Match(out))
		if good {
			return
		}
		if !b.is("until") || time.Now().After(deadline) {
			t.Fatalf("docs/%s:%d: $ %s(%v) prints\n%s\nwant\n%s", page, b.line, c.line, err, out, c.prints)
		}
	}
}

func (r *reader) shell(ctx context.Context, line string) *exec.Cmd {
	c := exec.CommandContext(ctx, "sh", "-c", line)
	c.Dir, c.Env = r.dir, r.env
	return c
}

// background starts a command, which gets the signal of Ctrl-C when the page ends, and waits until it has printed what the page shows.
func (r *reader) background(t *testing.T, page string, b fence, c command) {
	t.Helper()
	r.shown, r.seen = &lockedBuffer{}, 0
	p := r.shell(context.WithoutCancel(t.Context()), "exec "+c.line)
	p.Stdout, p.Stderr = r.shown, r.shown
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Wait() }()
	t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGINT)
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Errorf("docs/%s:%d: $ %sdoes not end on Ctrl-C", page, b.line, c.line)
			_ = p.Process.Kill()
		}
	})
	r.wait(t, page, b, "$ "+c.line, c.prints)
}

// wait waits until what goes on in the background has printed this, behind what was seen of it before.
func (r *reader) wait(t *testing.T, page string, b fence, what, prints string) {
	t.Helper()
	wants := pattern(prints)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out := r.shown.String()
		if wants.MatchString(out[r.seen:]) {
			r.seen = len(out)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("docs/%s:%d: %sprints\n%s\nwant\n%s", page, b.line, what, out[r.seen:], prints)
		}
	}
}
