package sinks

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// Without a queue rsyslog answers when it has written: what it has answered outlives its process.
const rsyslogRelpConf = `
global(workDirectory="DIR" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off")
module(load="imrelp" tls.tlslib="openssl")
main_queue(queue.type="Direct")
input(type="imrelp" address="ADDRESS" port="PORT" maxDataSize="256k" TLS)
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="DIR/received" template="raw" ioBufferSize="1m")
`

const rsyslogRelpTLS = `tls="on" tls.authMode="certvalid" tls.caCert="DIR/certs/chain.crt" tls.myCert="DIR/server.crt" tls.myPrivKey="DIR/server.key"`

func TestRelpToRsyslogThatIsKilled(t *testing.T) {
	rsyslogd := findRsyslog(t)
	for i, kind := range []string{"TCP", "SSL"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := &devoSide{authority: sinktest.NewAuthority(t, "domain CA"), dir: t.TempDir()}
			d.writeCredential(t, sinktest.Identity{Name: "client"}, d.authority)
			d.authority.Issue(t, devoServer).Write(t, d.dir, "server")
			// An address of its own, so that the port is still free when rsyslog comes back.
			address, port := fmt.Sprintf("127.%d.%d.%d", 1+i, os.Getpid()>>8&0xff, 1+os.Getpid()&0x7f), 20514
			secure, values := "", map[string]any{"address": address, "port": port, "type": kind, "confirm_timeout": 120}
			if kind == "SSL" {
				secure = rsyslogRelpTLS
				values["chain"], values["cert"], values["key"] = "chain.crt", "client.crt", "client.key"
			}
			config := strings.NewReplacer("TLS", secure, "ADDRESS", address, "PORT", fmt.Sprint(port)).Replace(rsyslogRelpConf)
			config = strings.ReplaceAll(config, "DIR", d.dir)
			receiver := runRsyslog(t, rsyslogd, d.dir, config)
			waitForPort(t, receiver, address, port)

			sink := open(t, "relp", d.dir, values)
			events, received := variedEvents(5000), filepath.Join(d.dir, "received")
			const kills = 3
			killed := 0
			killAt := make(chan struct{})
			killLater := func() {
				lines := (killed + 1) * len(events) / (kills + 1)
				go func() {
					defer close(killAt)
					waitForLines(t, received, lines)
					receiver.kill()
				}()
			}
			killLater()
			for epoch := range slices.Chunk(events, 500) {
				for offer(t.Context(), sink, epoch) != nil {
					<-killAt
					if killed++; killed > kills {
						t.Fatal("a receiver in order failed")
					}
					receiver = runRsyslog(t, rsyslogd, d.dir, config)
					waitForPort(t, receiver, address, port)
					if killAt = make(chan struct{}); killed < kills {
						killLater()
					}
				}
			}
			if killed != kills {
				t.Errorf("%d kills, want %d: the test proves less than it says", killed, kills)
			}
			repeated := wantAllLines(t, received, events)
			t.Logf("%d kills: 0 of %d events missing, %d repeated", killed, len(events), repeated)
		})
	}
}

// waitForPort waits until the receiver takes connections.
func waitForPort(t *testing.T, r *rsyslog, address string, port int) {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-r.ended:
			t.Fatal("rsyslogd ended")
		case <-t.Context().Done():
			t.Fatal("rsyslogd does not listen")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// waitForLines waits until the file has at least n lines, or the test ends.
func waitForLines(t *testing.T, path string, n int) {
	for t.Context().Err() == nil {
		if text, _ := os.ReadFile(path); bytes.Count(text, lineFeed) >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// wantAllLines fails unless every event is a line of the file, and returns how many lines are there again.
func wantAllLines(t *testing.T, path string, events []engine.Event) (repeated int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range bytes.Lines(text) {
		if seen[string(line)]++; seen[string(line)] > 1 {
			repeated++
		}
	}
	frames := framer{host: "test-host"}
	missing := 0
	for i := range events {
		if seen[string(frames.append(nil, &events[i]))] == 0 {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d events are missing", missing, len(events))
	}
	return repeated
}
