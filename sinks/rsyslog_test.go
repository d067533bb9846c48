package sinks

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
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

// rsyslog is a receiver that others wrote, with two TLS libraries that others wrote.
const rsyslogConf = `
global(workDirectory="DIR" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off"
       defaultNetstreamDriverCAFile="DIR/certs/chain.crt"
       defaultNetstreamDriverCertFile="DIR/server.crt" defaultNetstreamDriverKeyFile="DIR/server.key")
module(load="imtcp" streamDriver.name="DRIVER" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="DIR/port")
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="DIR/received" template="raw")
`

func TestRsyslogReceivesEverythingIntact(t *testing.T) {
	rsyslogd := findRsyslog(t)
	for _, c := range []struct {
		driver  string
		counted bool
		confirm string // rsyslog's gtls driver never sends close_notify as a server
		events  int
	}{
		{driver: "ossl", confirm: closeNotify, events: 100_000},
		{driver: "gtls", confirm: fin, events: 100_000},
		{driver: "ossl", confirm: auto, events: 10_000, counted: true},
	} {
		t.Run(fmt.Sprintf("%s,counted=%v", c.driver, c.counted), func(t *testing.T) {
			t.Parallel()
			d := &devoSide{authority: sinktest.NewAuthority(t, "domain CA"), dir: t.TempDir()}
			d.writeCredential(t, sinktest.Identity{Name: "client"}, d.authority)
			d.authority.Issue(t, devoServer).Write(t, d.dir, "server")
			port := startRsyslog(t, rsyslogd, d.dir, c.driver)
			sink := open(t, "devo_platform", d.dir, map[string]any{"address": "127.0.0.1", "port": port, "multiline": c.counted,
				"chain": "chain.crt", "cert": "client.crt", "key": "client.key", "confirmation": c.confirm, "confirm_timeout": 60})
			events := variedEvents(c.events)
			for epoch := range slices.Chunk(events, 7001) {
				if err := offer(t.Context(), sink, epoch); err != nil {
					t.Fatal(err)
				}
			}
			wantReceived(t, filepath.Join(d.dir, "received"), events)
		})
	}
}

const (
	rsyslogPlainConf = `
global(workDirectory="DIR" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off")
INPUT
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="DIR/received" template="raw")
`
	inputPtcp = `module(load="imptcp")
input(type="imptcp" address="ADDRESS" port="20514" supportOctetCountedFraming="on")`
)

func TestRsyslogReceivesOctetCountingAndRELPIntact(t *testing.T) {
	rsyslogd := findRsyslog(t)
	for i, c := range []struct {
		name, kind, input string
		values            map[string]any
	}{
		{"TCP with octet counting", "syslog", inputPtcp, map[string]any{"multiline": true, "confirmation": fin}},
		{"RELP", "relp", inputRelp, map[string]any{"type": "TCP", "window": 5000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, address := t.TempDir(), fmt.Sprintf("127.%d.%d.%d", 11+i, os.Getpid()>>8&0xff, 1+os.Getpid()&0x7f)
			config := strings.Replace(rsyslogPlainConf, "INPUT", c.input, 1)
			waitForPort(t, runRsyslog(t, rsyslogd, dir, strings.NewReplacer("ADDRESS", address, "DIR", dir).Replace(config)), address, 20514)
			values := map[string]any{"address": address, "port": 20514, "confirm_timeout": 60}
			maps.Copy(values, c.values)
			sink, events := open(t, c.kind, "", values), variedEvents(100_000)
			for epoch := range slices.Chunk(events, 7001) {
				if err := offer(t.Context(), sink, epoch); err != nil {
					t.Fatal(err)
				}
			}
			wantReceived(t, filepath.Join(dir, "received"), events)
		})
	}
}

func findRsyslog(t *testing.T) string {
	t.Helper()
	return findServer(t, "rsyslogd", "the packages rsyslog, rsyslog-openssl, rsyslog-gnutls and rsyslog-relp")
}

func startRsyslog(t *testing.T, rsyslogd, dir, driver string) (port int) {
	t.Helper()
	ended := runRsyslog(t, rsyslogd, dir, strings.NewReplacer("DIR", dir, "DRIVER", driver).Replace(rsyslogConf)).ended
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); {
		text, err := os.ReadFile(filepath.Join(dir, "port"))
		if port, err2 := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && err2 == nil {
			return port
		}
		select {
		case <-ended:
			t.Fatal("rsyslogd ended")
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatal("rsyslogd does not listen")
	return 0
}

func runRsyslog(t *testing.T, rsyslogd, dir, config string) *server {
	t.Helper()
	conf := filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(conf, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, "pid")) // of one that was killed
	return runServer(t, rsyslogd, "-n", "-f", conf, "-i", filepath.Join(dir, "pid"))
}

// variedEvents returns events with bodies of JSON such as mail systems write them: unique, of many
// lengths, in many scripts.
func variedEvents(n int) []engine.Event {
	random := rand.New(rand.NewPCG(1, 2))
	scripts := []string{"Re: ", "Prüfung ", "Ελληνικά ", "Счёт №", "日本語の件名 ", "עברית ", "العربية ", "🍍👩‍👩‍👧 ", `\"quoted\" `, `\\\\share\\x `, "\u2028\u0085", "  "}
	table := &engine.Table{Tag: "cloud.office365.messagetracing", Priority: engine.DefaultPriority}
	events := make([]engine.Event, n)
	for i := range events {
		var subject strings.Builder
		for range random.IntN(30) {
			subject.WriteString(scripts[random.IntN(len(scripts))])
		}
		if i%5000 == 1 {
			subject.WriteString(strings.Repeat("long ", 12_000))
		}
		events[i] = engine.Event{Table: table, Time: time.UnixMilli(1_671_628_634_405 + int64(i)*7).UTC(),
			Body: fmt.Appendf(nil, `{"Number": %d, "Subject": "%s", "Size": %d}`, i, subject.String(), random.Int64())}
	}
	return events
}

// wantReceived compares the file that rsyslog writes with the events, as sets of frames, when it has
// as many lines: rsyslog closes a connection when it has read it, and writes soon after.
func wantReceived(t *testing.T, path string, events []engine.Event) {
	t.Helper()
	var text []byte
	for until := time.Now().Add(time.Minute); bytes.Count(text, lineFeed) < len(events) && time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		text, _ = os.ReadFile(path)
	}
	frames := framer{host: "test-host"}
	want := make(map[string]bool, len(events))
	for i := range events {
		want[string(frames.append(nil, &events[i]))] = true
	}
	lines := 0
	for line := range bytes.Lines(text) {
		lines++
		if !want[string(line)] {
			t.Fatalf("line %d is no event, or one that was there before: %.300q", lines, line)
		}
		delete(want, string(line))
	}
	if len(want) > 0 {
		t.Fatalf("%d of %d events are missing", len(want), len(events))
	}
}
