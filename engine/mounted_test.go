//go:build linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// mount binds a file of the folder outside to its place, as docker run --volume FILE:FILE does.
func (w *world) mount(name string) (outside string) {
	w.t.Helper()
	outside, inside := filepath.Join(w.t.TempDir(), filepath.Base(name)), filepath.Join(w.dir, name)
	text, err := os.ReadFile(inside)
	if err := errors.Join(err, os.WriteFile(outside, text, 0o600)); err != nil {
		w.t.Fatal(err)
	}
	if err := syscall.Mount(outside, inside, "", syscall.MS_BIND, ""); err != nil {
		text := fmt.Sprintf("a file that is mounted by itself needs root and mount: %v", err)
		if os.Getenv("STARLING_NO_SKIP") != "" {
			w.t.Fatal(text)
		}
		w.t.Skip(text)
	}
	w.t.Cleanup(func() { syscall.Unmount(inside, syscall.MNT_DETACH) })
	return outside
}

func TestFilesThatAreMountedByThemselves(t *testing.T) {
	t.Parallel()
	greet := "greeting = setting(\"greeting\")\ndef pull():\n    send(\"%s: \" + greeting)\n"
	w := newWorld(t, fmt.Sprintf(greet, "first"))
	configText := strings.Replace(worldConfig, "hello: {}", "hello: {greeting: \"${file:greeting}\"}", 1)
	w.write("config.yaml", configText)
	w.write("greeting", "one")
	config, script, greeting := w.mount("config.yaml"), w.mount("scripts/hello.star"), w.mount("greeting")
	w.start()
	edit := func(name, text, want string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil { // in place
			t.Fatal(err)
		}
		w.sink("out").until(t, want, func(got []string) bool { return slices.Contains(got, want) })
	}
	edit(script, fmt.Sprintf(greet, "second"), "second: one")
	edit(greeting, "two", "second: two")
	edit(config, strings.Replace(configText, "${file:greeting}", "three", 1), "second: three")
	if err := os.WriteFile(script, []byte("def pull(:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.until("the refusal", func(Status) bool { return strings.Contains(w.log.String(), "hello.star:1:") })
	edit(script, fmt.Sprintf(greet, "third"), "third: three")

	if strings.Contains(w.log.String(), "mounted by itself") {
		t.Errorf("an edit in place was taken for a file that was replaced:\n%s", w.log)
	}
	for _, name := range []string{config, script} {
		if err := errors.Join(os.WriteFile(name+"~", []byte("nonsense"), 0o600), os.Rename(name+"~", name)); err != nil {
			t.Fatal(err)
		}
		inside := map[string]string{config: "config.yaml", script: "hello.star"}[name]
		w.until("the word on "+inside, func(Status) bool {
			return strings.Contains(w.log.String(), "restart the container") && strings.Contains(w.log.String(), inside+"\n")
		})
	}
	n := len(w.sink("out").until(t, "an event", has(1)))
	w.sink("out").until(t, "the old files going on", has(n+2)) // with looks in between
	if got := strings.Count(w.log.String(), "mounted by itself"); got != 2 {
		t.Errorf("it was said %d times, want once of each of 2 files:\n%s", got, w.log)
	}
}
