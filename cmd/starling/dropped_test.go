package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nobody listens where the output goes, and there is room for few events.
func TestStateListShowsWhatWasDropped(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"value":[{"name":"%s%s"}]}`, rand.Text(), strings.Repeat(rand.Text(), 20))
	}))
	t.Cleanup(server.Close)
	dir := helloDir(t, "127.0.0.1:0", "down: {type: syslog, config: {address: 127.0.0.1, port: 1}}", server.URL)
	edit(t, filepath.Join(dir, "config.yaml"), "starling:\n", "starling:\n  limits: {outbox_bytes: 1KiB, outbox_full: drop_oldest}\n")
	p := startRun(t, dir)
	until(t, "something is dropped", func() bool { return p.status().Sinks[0].Dropped.Events > 0 })
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGTERM) // at once
	p.exitCode(2 * time.Minute)

	out, err := exec.Command("starling", "state", "list", "--state", filepath.Join(dir, "state")).CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^  dropped because the outbox was full: [1-9]\d* events of chunks \d+ to \d+, committed from \S+Z to \S+Z$`).Match(out) {
		t.Errorf("state list: got %v %s", err, out)
	}
	out, err = exec.Command("starling", "state", "list", "--json", "--state", filepath.Join(dir, "state")).CombinedOutput()
	var l stateListing
	if err != nil || json.Unmarshal(out, &l) != nil || l.Sinks["down"].Dropped == nil || l.Sinks["down"].Dropped.Events == 0 {
		t.Errorf("state list --json: got %v %s", err, out)
	}
}
