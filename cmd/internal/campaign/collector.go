package campaign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	patience   = 2 * time.Minute // how long something may take that takes no time on an idle machine
	standstill = 3 * time.Minute // how long nothing may come: an output that failed waits for 75 s at most
)

// A collector is a starling that runs.
type collector struct {
	cmd     *exec.Cmd
	log     *lastLines
	started chan struct{} // closed when it has said so; from then on it listens to signals
	ended   chan struct{}
}

// startCollector starts `starling run`.
func startCollector(ctx context.Context, program, config string) (*collector, error) {
	c := &collector{started: make(chan struct{}), ended: make(chan struct{})}
	c.log = &lastLines{seen: sync.OnceFunc(func() { close(c.started) }), want: []byte("msg=started ")}
	c.cmd = exec.CommandContext(ctx, program, "run", "--config", config)
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = c.cmd.Wait() // ProcessState says more
		close(c.ended)
	}()
	return c, nil
}

// ready waits until it has started.
func (c *collector) ready() error {
	select {
	case <-c.started:
		return nil
	case <-c.ended:
		return c.died()
	case <-time.After(patience):
		return fmt.Errorf("the collector has not started after %v:\n%s", patience, c.log)
	}
}

// alive returns an error if it ended by itself.
func (c *collector) alive() error {
	select {
	case <-c.ended:
		return c.died()
	default:
		return nil
	}
}

func (c *collector) died() error {
	return fmt.Errorf("the collector ended by itself, %s:\n%s", c.cmd.ProcessState, c.log)
}

// kill ends it by SIGKILL.
func (c *collector) kill() error {
	if err := c.alive(); err != nil {
		return err
	}
	_ = c.cmd.Process.Kill() // it may have ended just now
	<-c.ended
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		return c.died()
	}
	return c.sane()
}

// stop ends it in order.
func (c *collector) stop() error {
	if err := c.ready(); err != nil {
		return err
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the collector: %w", err)
	}
	select {
	case <-c.ended:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		return fmt.Errorf("the collector has not stopped %v after SIGTERM:\n%s", patience, c.log)
	}
	if !c.cmd.ProcessState.Success() {
		return fmt.Errorf("the collector stopped with %s:\n%s", c.cmd.ProcessState, c.log)
	}
	return c.sane()
}

// hangup has it read everything again.
func (c *collector) hangup() error {
	if err := c.ready(); err != nil {
		return err
	}
	return c.cmd.Process.Signal(syscall.SIGHUP)
}

// discard ends it in whatever state it is.
func (c *collector) discard() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// sane looks in the log for what must never be there.
func (c *collector) sane() error {
	for _, bad := range []string{"DATA RACE", "panic: ", "fatal error: "} {
		if after := c.log.after(bad); after != "" {
			return errors.New("the log of the collector says " + after)
		}
	}
	return nil
}

// lastLines keeps the end of a log, and calls seen, if there is one, when the text want comes.
type lastLines struct {
	want []byte
	seen func()

	mu   sync.Mutex
	text []byte
}

const (
	keepLog = 1 << 20
	showLog = 8 << 10
)

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := max(0, len(l.text)-len(l.want))
	l.text = append(l.text, p...)
	if l.seen != nil && bytes.Contains(l.text[fresh:], l.want) {
		l.seen()
	}
	if len(l.text) > 2*keepLog {
		l.text = append(l.text[:0], l.text[len(l.text)-keepLog:]...)
	}
	return len(p), nil
}

// String returns the end that an error may show.
func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text[max(0, len(l.text)-showLog):])
}

// after returns what follows a text, or nothing if the text is not there.
func (l *lastLines) after(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := bytes.Index(l.text, []byte(text))
	if i < 0 {
		return ""
	}
	return string(l.text[i:min(len(l.text), i+showLog)])
}

// count returns how often a text is there.
func (l *lastLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text, []byte(text))
}
