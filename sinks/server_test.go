package sinks

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// A server is a program of others that runs as a process of its own. It ends with the test, or is killed.
type server struct {
	process *os.Process
	ended   chan struct{}
	output  *bytes.Buffer // for who has seen it end
}

// findServer returns where a program is. It skips the test where it is nowhere; in CI there must be one.
func findServer(t testing.TB, name, packages string) string {
	t.Helper()
	for _, file := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(file); err == nil {
			return path
		}
	}
	reason := "no " + name + "; install " + packages
	if os.Getenv("CI") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

func runServer(t testing.TB, program string, args ...string) *server {
	t.Helper()
	s := &server{ended: make(chan struct{}), output: &bytes.Buffer{}}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	go func() { _ = cmd.Wait(); close(s.ended) }()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("%s: %s", program, s.output.String())
		}
	})
	return s
}

func (s *server) kill() {
	_ = s.process.Kill()
	<-s.ended
}
