package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// openChild is a process that opens the store in dir, says how that went, and keeps it open until its
// input ends.
func openChild(dir string) {
	s, err := OpenStore(dir, 1<<20)
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	s.Close()
}

// startOpenChild starts it, as another user if uid is not 0, and returns what it said.
func startOpenChild(t *testing.T, program, dir string, uid uint32) string {
	t.Helper()
	c := exec.Command(program)
	c.Env = append(os.Environ(), "STARLING_OPEN_DIR="+dir)
	if uid != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	in, err1 := c.StdinPipe()
	out, err2 := c.StdoutPipe()
	c.Stderr = os.Stderr
	if err := errors.Join(err1, err2, c.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestTwoProcessesOnOneStateDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if said := startOpenChild(t, program, dir, 0); said != "open" {
		t.Fatal(said)
	}
	_, err1 := OpenStore(dir, 1)
	_, err2 := Inspect(dir)
	_, err3 := Repair(dir)
	for i, err := range []error{err1, err2, err3} {
		if err == nil || !strings.Contains(err.Error(), "another process has it open, number ") {
			t.Errorf("%d: got %v", i, err)
		}
	}
}

// TestStateDirectoryOfAnotherUser opens directories and files that may not be used. As root, which may
// use everything, it does so in a process of another user.
func TestStateDirectoryOfAnotherUser(t *testing.T) {
	t.Parallel()
	base, err := os.MkdirTemp("", "starling-state") // unlike t.TempDir, others can get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	program, uid := publicProgram(t, base), uint32(0)
	if os.Geteuid() == 0 {
		uid = 65534
	}
	state := func(name string, directory, files os.FileMode) string {
		dir := filepath.Join(base, name)
		s := openStore(t, dir)
		s.Close()
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, n := range names {
			if err := errors.Join(os.Chmod(n, files), chown(n, uid)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Chmod(dir, directory), chown(dir, uid)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o700) })
		return dir
	}
	if said := startOpenChild(t, program, state("own", 0o700, 0o600), uid); said != "open" {
		t.Errorf("a directory of its own: %s", said)
	}
	refused := map[string]string{
		"read-only directory": state("readonly", 0o500, 0o600),
		"unreadable files":    state("files", 0o700, 0o000),
		"read-only files":     state("readonlyfiles", 0o700, 0o400),
	}
	if uid != 0 {
		dir := state("foreign", 0o700, 0o600)
		if err := os.Chown(dir, 0, 0); err != nil {
			t.Fatal(err)
		}
		refused["a directory of root"] = dir
	}
	for what, dir := range refused {
		said := startOpenChild(t, program, dir, uid)
		for _, word := range []string{dir, "permission denied", "chown -R"} {
			if !strings.Contains(said, word) {
				t.Errorf("%s: no %q in %s", what, word, said)
			}
		}
	}
}

func chown(name string, uid uint32) error {
	if uid == 0 {
		return nil
	}
	return os.Chown(name, int(uid), int(uid))
}

// publicProgram puts this program where other users can run it.
func publicProgram(t *testing.T, base string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(base, "program")
	data, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(public, data, 0o755)
	}
	if err = errors.Join(err, os.Chmod(base, 0o755)); err != nil {
		t.Fatal(err)
	}
	return public
}

// A child that was forked while the database was open holds its lock until it runs its own program.
func TestLockThatOutlivesItsOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	let := make(chan struct{})
	defer func() { <-let }() // before d is closed
	time.AfterFunc(lockPatience/20, func() {
		defer close(let)
		syscall.Flock(int(d.Fd()), syscall.LOCK_UN)
	})
	db, err := openBadger(dir)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
}
