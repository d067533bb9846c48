package sinks

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

func openRelp(t testing.TB, r *sinktest.Receiver, more map[string]any) *relp {
	t.Helper()
	host, port := r.Address()
	values := map[string]any{"address": host, "port": port, "type": "TCP"}
	for key, value := range more {
		values[key] = value
	}
	return open(t, "relp", "", values).(*relp)
}

func TestRelpKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		r := sinktest.NewRelpReceiver(t, nil)
		return networkFixture(openRelp(t, r, nil), r)
	})
}

func TestRelpOverTLSKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		d := &devoSide{authority: sinktest.NewAuthority(t, "domain CA"), dir: t.TempDir()}
		d.Receiver = sinktest.NewRelpReceiver(t, sinktest.ServerConfig(t, d.authority.Issue(t, devoServer), d.authority))
		d.writeCredential(t, sinktest.Identity{Name: "client"}, d.authority)
		return networkFixture(open(t, "relp", d.dir, d.config(nil)), d.Receiver)
	})
}

func TestRelpFaultsAreNeverAcknowledged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault sinktest.Fault
		want  string // in the error; empty where the kernel decides what it is
	}{
		{"reset within an epoch", sinktest.Fault{ResetAt: 300_000}, ""},
		{"closed within an epoch", sinktest.Fault{CloseAt: 300_000}, ""},
		{"ends the session within an epoch", sinktest.Fault{ServerClose: 1700}, "the receiver ended the session"},
		{"reads nothing", sinktest.Fault{Mute: true}, "the receiver did not answer within 300ms (if the receiver is slow, raise confirm_timeout)"},
		{"reads everything and answers nothing", sinktest.Fault{Silent: true}, "the receiver did not answer within 300ms"},
		{"refuses one", sinktest.Fault{Refuse: `"number": 2345,`},
			`the event is refused: event for test.sink.suite of 2022-12-21 13:17:16.750, `},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			receiver := sinktest.NewRelpReceiver(t, nil)
			sink := openRelp(t, receiver, nil)
			events := sinktest.Events(0, 5000)
			if err := offer(t.Context(), sink, events[:1000]); err != nil {
				t.Fatal(err)
			}
			receiver.Break(c.fault)
			if c.fault.Mute || c.fault.Silent {
				sink.patience = 300 * time.Millisecond
			}
			err := offer(t.Context(), sink, events[1000:])
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
			if r, ok := errors.AsType[*engine.Refused](err); ok != (c.fault.Refuse != "") || ok && r.Index != 1345 {
				t.Errorf("got refused %v", r)
			}
			if code := engine.CodeOf(err, ""); code != engine.CodeSink {
				t.Errorf("got code %q", code)
			}
			receiver.Mend()
			sink.patience = 30 * time.Second
			if err := offer(t.Context(), sink, events[1000:]); err != nil {
				t.Fatalf("the next offer: %v", err)
			}
			wantEverything(t, receiver.Bodies(), events)
		})
	}
}

func TestRelpSessionLastsOverEpochs(t *testing.T) {
	t.Parallel()
	receiver := sinktest.NewRelpReceiver(t, nil)
	sink := openRelp(t, receiver, map[string]any{"window": 3})
	wantSessions := func(want int) {
		t.Helper()
		if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
			t.Fatal(err)
		}
		if n := receiver.Connections(); n != want {
			t.Fatalf("got %d sessions, want %d", n, want)
		}
	}
	for range 5 {
		wantSessions(1)
	}
	// One that the receiver ends in between is no failure, and one that has had its time is renewed.
	receiver.Break(sinktest.Fault{ServerClose: 60})
	wantSessions(1)
	<-sink.session.ended
	receiver.Mend()
	wantSessions(2)
	sink.session.made = time.Now().Add(-maxAge - time.Second)
	wantSessions(3)
	// Transactions begin anew.
	sink.session.last = lastTransaction - 5
	wantSessions(3)
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	for receiver.Open() > 0 { // ends with the test's time
		runtime.Gosched()
	}
}

func TestRelpWindow(t *testing.T) {
	t.Parallel()
	receiver := sinktest.NewRelpReceiver(t, nil)
	sink := openRelp(t, receiver, map[string]any{"window": 7})
	if err := offer(t.Context(), sink, sinktest.Events(0, 1)); err != nil {
		t.Fatal(err)
	}
	receiver.Break(sinktest.Fault{Silent: true})
	sink.patience = 300 * time.Millisecond
	if err := sink.Send(t.Context(), sinktest.Events(1, 6)); err != nil {
		t.Errorf("6 events do not fill a window of 7: %v", err)
	}
	if err := sink.Send(t.Context(), sinktest.Events(7, 1)); !errors.Is(err, errNoReply) {
		t.Errorf("got %v for the seventh without an answer", err)
	}
}

func TestRelpReceiverSpeaksSomethingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ answer, want string }{
		{"", "the receiver closed the connection by itself"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "the receiver does not speak RELP"},
		{"1 rsp 6 500 no\n", "the receiver refused the session: 500"},
		{"2 rsp 6 200 OK\n", "it answered 2, which was not asked"},
		{"1 open 6 200 OK\n", "the receiver does not speak RELP: it answered with"},
		{"1 rsp 70000 x", "it sent a number over 65536"},
		{"1 rsp 24 200 OK\ncommands=eventlog\n", "the receiver takes no events"},
	} {
		port := plainServer(t, 10, c.answer)
		sink := open(t, "relp", "", map[string]any{"address": "127.0.0.1", "port": port, "type": "TCP"})
		err := offer(t.Context(), sink, sinktest.Events(0, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.answer, err, c.want)
		}
	}
}

func FuzzRelpAnswers(f *testing.F) {
	for _, seed := range []string{"1 rsp 6 200 OK\n", "2 rsp 92 200 OK\nrelp_version=0\n", "0 serverclose 0\n", "3 rsp 0 \n", "999999999 rsp 3 500\n",
		"1 rsp 99999999999999999999 x", " ", "1  ", "1 rsp", "x rsp 0\n", "1 rsp 3 200 \n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bufio.NewReader(bytes.NewReader(stream))
		for {
			f, err := readRelp(r)
			if err != nil {
				if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errNotRelp) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if len(f.data) > maxAnswer || len(f.data) > len(stream) || f.transaction > lastTransaction {
				t.Fatalf("got %d, %d bytes from %d", f.transaction, len(f.data), len(stream))
			}
			again, err := readRelp(bufio.NewReader(bytes.NewReader(appendRelp(nil, f.transaction, f.command, string(f.data)))))
			if err != nil || again.transaction != f.transaction || again.command != f.command || !bytes.Equal(again.data, f.data) {
				t.Fatalf("got %v, %v when written and read again, want %v", again, err, f)
			}
			if code, text, _, err := f.status(); err == nil && (code < 100 || code > 999 || len(text) > 1000) {
				t.Fatalf("got status %d %q", code, text)
			}
		}
	})
}

func TestRelpFramesCountBytes(t *testing.T) {
	t.Parallel()
	frames := framer{host: "h", lineFeeds: true}
	table := &engine.Table{Tag: "my.app.test", Priority: 14}
	for body, want := range map[string]string{ // the header has 35 bytes
		"plain":    "7 syslog 40 <14>Jan  1 00:00:00 h my.app.test: plain\n",
		"Grüße\n":  "7 syslog 42 <14>Jan  1 00:00:00 h my.app.test: Grüße\n",
		"one\ntwo": "7 syslog 42 <14>Jan  1 00:00:00 h my.app.test: one\ntwo\n",
		"":         "7 syslog 35 <14>Jan  1 00:00:00 h my.app.test: \n",
	} {
		got := appendRelpEvent(nil, 7, frames.append(nil, &engine.Event{Table: table, Body: []byte(body)}))
		if string(got) != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
	}
}
