package sinks

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/engine"
	"starling/sinks/sinktest"
)

// A receiver that never closes is killed ten times, each time when it has stopped reading and its kernel
// holds all that it can. What it had read is in its file.
func TestMuteReceiverThatIsKilled(t *testing.T) {
	t.Parallel()
	const (
		kills     = 10
		perEpoch  = 100
		lineBytes = 800
		replay    = 1 << 20
	)
	events := sinktest.Events(0, 35_000)
	for i := range events {
		events[i].Body = fmt.Appendf(events[i].Body, "%*s", lineBytes-60-len(events[i].Body)%700, "")
	}
	listener := smallListener(t)
	path := filepath.Join(t.TempDir(), "received")
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	number, _ := strconv.Atoi(port)
	sink := open(t, "syslog", "", map[string]any{"address": host, "port": number, "confirmation": "window", "replay_window": replay}).(*epochs)
	sink.window.age = time.Hour // only bytes count

	muteAfter := 3 << 20
	receiver := startMute(t, listener, path, muteAfter)
	killed, unread := 0, 0
	for rest := events; len(rest) > 0; {
		confirmed, err := deliver(t, sink, rest, perEpoch)
		rest = rest[min(confirmed*perEpoch, len(rest)):]
		if err == nil {
			break
		}
		if killed++; killed > kills {
			t.Fatalf("a receiver in order failed: %v", err)
		}
		unread += <-receiver // it was killed with so many
		if killed == kills {
			muteAfter = 1 << 40
		}
		receiver = startMute(t, listener, path, muteAfter)
	}
	if killed != kills || unread < kills*64<<10 {
		t.Errorf("%d kills with %d bytes unread: the test proves less than it says", killed, unread)
	}
	repeated := wantAllLines(t, path, events)
	t.Logf("%d kills with %d bytes unread in all: 0 of %d events missing, %d repeated", killed, unread, len(events), repeated)
	if most := kills * (replay/lineBytes + perEpoch); repeated > most {
		t.Errorf("%d events repeated, want at most %d: a window and an epoch for each kill", repeated, most)
	}
}

// deliver offers the events as the engine does, until all are confirmed or something fails, and returns
// how many epochs were.
func deliver(t *testing.T, sink *epochs, events []engine.Event, perEpoch int) (confirmed int, err error) {
	before := sink.Confirmed()
	for len(events) > 0 && err == nil {
		n := min(perEpoch, len(events))
		if err = sink.Send(t.Context(), events[:n]); err == nil {
			err = sink.Flush(t.Context())
		}
		events = events[n:]
	}
	if err == nil {
		sink.window.age = 200 * time.Millisecond // nothing more comes
		err = sink.Settle(t.Context())
	}
	return int(sink.Confirmed() - before), err
}

// smallListener listens for connections whose kernel holds about half a MiB unread.
func smallListener(t *testing.T) *net.TCPListener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := onSocket(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 256<<10) }); err != nil {
		t.Fatal(err)
	}
	return listener.(*net.TCPListener)
}

// startMute starts a process that receives for the listener, writes the lines that it has read to a
// file, and reads no more after so many bytes. When its kernel holds all that it can, it is killed, and
// how many bytes that was comes through the channel.
func startMute(t *testing.T, listener *net.TCPListener, path string, after int) <-chan int {
	t.Helper()
	socket, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", muteVariable, after), "MUTE_FILE="+path)
	cmd.ExtraFiles = []*os.File{socket}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	unread := make(chan int, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		line, _ := bufio.NewReader(out).ReadString('\n')
		n, _ := strconv.Atoi(strings.TrimSpace(line))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		unread <- n
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	return unread
}

const muteVariable = "STARLING_TEST_MUTE_AFTER"

func TestMain(m *testing.M) {
	if after, err := strconv.Atoi(os.Getenv(muteVariable)); err == nil {
		fmt.Fprintln(os.Stderr, receiveMute(after, os.Getenv("MUTE_FILE")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// receiveMute is the other process. It answers no end of a connection.
func receiveMute(after int, path string) error {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(lineFeed); err != nil { // the one before may have died within a line
		return err
	}
	var pending []byte
	buf := make([]byte, 16<<10)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		pending = pending[:0]
		for {
			n, err := conn.Read(buf)
			if err == io.EOF {
				select {} // it does not answer, and waits to be killed
			}
			if err != nil {
				break // reset: the next connection
			}
			pending = append(pending, buf[:n]...)
			if end := bytes.LastIndexByte(pending, '\n') + 1; end > 0 {
				if _, err := file.Write(pending[:end]); err != nil {
					return err
				}
				pending = append(pending[:0], pending[end:]...)
			}
			if after -= n; after <= 0 {
				fmt.Println(waitUntilFull(conn.(*net.TCPConn)))
				select {}
			}
		}
	}
}

// waitUntilFull returns how many bytes the kernel holds when their number has stopped growing.
func waitUntilFull(conn *net.TCPConn) (n int) {
	for same, last := 0, -1; same < 20; last = n {
		_ = withSocket(conn, func(fd int) (err error) {
			n, err = unix.IoctlGetInt(fd, unix.SIOCINQ)
			return err
		})
		if same++; n != last {
			same = 0
		}
		time.Sleep(5 * time.Millisecond)
	}
	return n
}
