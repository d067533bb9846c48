package sinks

import (
	"bytes"
	"fmt"
	"maps"
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

// Without a queue rsyslog answers, and reads the end of a stream, when it has written what came before:
// what it has confirmed outlives its process.
const rsyslogKilledConf = `
global(workDirectory="DIR" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off"
       defaultNetstreamDriverCAFile="DIR/certs/chain.crt"
       defaultNetstreamDriverCertFile="DIR/server.crt" defaultNetstreamDriverKeyFile="DIR/server.key")
main_queue(queue.type="Direct")
INPUT
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="DIR/received" template="raw" ioBufferSize="1m")
`

const (
	inputRelp = `module(load="imrelp")
input(type="imrelp" address="ADDRESS" port="20514" maxDataSize="256k")`
	inputRelpTLS = `module(load="imrelp" tls.tlslib="openssl")
input(type="imrelp" address="ADDRESS" port="20514" maxDataSize="256k" tls="on" tls.authMode="certvalid"
      tls.caCert="DIR/certs/chain.crt" tls.myCert="DIR/server.crt" tls.myPrivKey="DIR/server.key")`
	inputTLS = `module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" address="ADDRESS" port="20514")`
)

func TestRsyslogThatIsKilled(t *testing.T) {
	rsyslogd := findRsyslog(t)
	for i, c := range []struct {
		name, kind, input string
		values            map[string]any
	}{
		{"RELP", "relp", inputRelp, map[string]any{"type": "TCP"}},
		{"RELP over TLS", "relp", inputRelpTLS, map[string]any{"chain": "chain.crt", "cert": "client.crt", "key": "client.key"}},
		{"TLS", "devo_platform", inputTLS, map[string]any{"chain": "chain.crt", "cert": "client.crt", "key": "client.key", "confirmation": closeNotify}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := &devoSide{authority: sinktest.NewAuthority(t, "domain CA"), dir: t.TempDir()}
			d.writeCredential(t, sinktest.Identity{Name: "client"}, d.authority)
			d.authority.Issue(t, devoServer).Write(t, d.dir, "server")
			// An address of its own, so that the port is still free when rsyslog comes back.
			address := fmt.Sprintf("127.%d.%d.%d", 1+i, os.Getpid()>>8&0xff, 1+os.Getpid()&0x7f)
			config := strings.Replace(rsyslogKilledConf, "INPUT", c.input, 1)
			config = strings.NewReplacer("ADDRESS", address, "DIR", d.dir).Replace(config)
			start := func() *server {
				r := runRsyslog(t, rsyslogd, d.dir, config)
				waitForPort(t, r, address, 20514)
				return r
			}
			receiver := start()
			values := map[string]any{"address": address, "port": 20514, "confirm_timeout": 120}
			maps.Copy(values, c.values)
			sink := open(t, c.kind, d.dir, values)
			events, received := variedEvents(5000), filepath.Join(d.dir, "received")
			const kills = 3
			killed, failed := 0, 0
			var dead chan struct{} // nil after the last kill
			var due int            // lines after which it is killed
			killLater := func() {
				lines := (killed + 1) * len(events) / (kills + 1)
				due, dead = lines, make(chan struct{})
				go func() {
					defer close(dead)
					waitForLines(t, received, lines)
					receiver.kill()
				}()
			}
			killLater()
			confirmed := 0
			for epoch := range slices.Chunk(events, 500) {
				if killed < kills && confirmed >= due+len(epoch) {
					<-dead // a busy machine kills late
				}
				for err := offer(t.Context(), sink, epoch); err != nil; err = offer(t.Context(), sink, epoch) {
					select {
					case <-dead:
					case <-time.After(5 * time.Second): // one that has just begun may fail too; nobody offered would wait for ever
						if failed++; failed > 3 {
							t.Fatalf("a receiver in order failed: %v", err)
						}
						t.Logf("a receiver in order failed: %v", err)
						continue
					}
					dead = nil
					killed++
					receiver = start()
					if killed < kills {
						killLater()
					}
				}
				confirmed += len(epoch)
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
func waitForPort(t *testing.T, r *server, address string, port int) {
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
