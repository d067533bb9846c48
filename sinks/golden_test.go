package sinks

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// messageTraces are n times the event of case 03, as in the cases with gzip.
func messageTraces(n int) []engine.Event {
	table := &engine.Table{Tag: messageTrace.tag, Host: messageTrace.host, Priority: messageTrace.priority}
	return slices.Repeat([]engine.Event{{Table: table, Time: messageTrace.time, Body: []byte(traceEvent)}}, n)
}

// A stretch is a gzip member, or frames between members.
type stretch struct {
	header string // of a member: its first ten bytes
	text   string // what it holds
}

// stretches cuts a stream at its members.
func stretches(t *testing.T, stream []byte) (all []stretch) {
	t.Helper()
	for len(stream) > 0 {
		if !bytes.HasPrefix(stream, []byte{0x1f, 0x8b}) {
			frame, rest, ok := bytes.Cut(stream, lineFeed)
			if !ok {
				t.Fatalf("a frame has no end: %q", frame)
			}
			all, stream = append(all, stretch{text: string(frame) + "\n"}), rest
			continue
		}
		from := bytes.NewReader(stream)
		z, err := gzip.NewReader(from)
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false)
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		all, stream = append(all, stretch{string(stream[:10]), string(text)}), stream[len(stream)-from.Len():]
	}
	return all
}

// What is compared: which frames are in which member or between them, byte for byte, and the headers of
// the members, of ten bytes. What stands between header and the checksum is up to who compresses.
func TestGzipIsThatOfDevosClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		size   int
		epochs []zipped
	}{
		{"08_zip_three_events", 19500, []zipped{{true, 3}}},
		{"09_zip_small_buffer_two_members", 400, []zipped{{true, 5}}},
		{"10_plain_gzip_plain_same_connection", 19500, []zipped{{false, 1}, {true, 1}, {false, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := stretches(t, golden(t, c.name))
			port, streams := recorder(t)
			sink := open(t, "syslog", "", map[string]any{"address": "127.0.0.1", "port": port, "confirmation": "window"}).(*epochs)
			sink.zip = zipper{size: c.size, level: 6}
			for _, epoch := range c.epochs {
				sink.zip.threshold = map[bool]float64{true: -1, false: 1.1}[epoch.on]
				if err := sink.Send(t.Context(), messageTraces(epoch.events)); err != nil {
					t.Fatal(err)
				}
				if err := sink.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := sink.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := stretches(t, <-streams); !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q", got, want)
			}
		})
	}
}

type zipped struct {
	on     bool
	events int
}

// recorder takes connections, one after the other, and gives what came on each when it has ended, which it answers.
func recorder(t *testing.T) (port int, streams <-chan []byte) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	all := make(chan []byte, 16)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			stream, _ := io.ReadAll(conn)
			all <- stream
			conn.Close()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port, all
}

// The frames of a look-up, made of its tags and messages alone, of which the headers of the table and
// the row are Devo's own notation.
func TestLookupIsThatOfDevosClient(t *testing.T) {
	t.Parallel()
	const (
		list    = "1700000000.0_Golden_Lookup"
		columns = `[{"KEY":{"type":"str","key":true}},{"COL"Q":{"type":"str"}},{"N":{"type":"int"}}]`
	)
	var got []byte
	f := framer{host: "golden-host"}
	for _, m := range []struct{ tag, message string }{
		{"control.Golden_Lookup.INC", list + "|START|" + columns},
		{"data.Golden_Lookup", list + `|"k1","a "quoted" ü",5`},
		{"data.Golden_Lookup.DELETE", list + `|"k2"`},
		{"control.Golden_Lookup.INC", list + "|END|" + columns},
	} {
		got = f.append(got, &engine.Event{Table: &engine.Table{Tag: "my.lookup." + m.tag, Priority: 14}, Body: []byte(m.message)})
	}
	if want := golden(t, "13_lookup_inc"); !bytes.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// A session of RELP, as Devo's client for Node has it. What differs on purpose: the name of the software; the
// length of an event, which that client counts in units of UTF-16 and RELP in bytes; the date, whose form is that of Devo's
// other clients; a line feed ends the last offer, too; close has no data. Transactions, commands, their order and the events are the same.
func TestRelpSessionIsThatOfDevosClient(t *testing.T) {
	t.Parallel()
	want := string(golden(t, "relp_session_client_side"))
	for _, difference := range [][2]string{
		{"1 open 83 ", "1 open 54 "},
		{"relp_software=@devo/nodejs-sdk,3.1.0,http://devo.com\ncommands=syslog\n", "relp_software=starling\ncommands=syslog\n\n"},
		{"2026-11-23T04:20:41.989Z", "2026-11-23 04:20:41.989"},
		{" syslog 59 ", " syslog 58 "},
		{" syslog 69 ", " syslog 69 "}, // a byte less for the date, one more for the letter that has two
		{"close 3 bye\n", "close 0\n"},
	} {
		if !strings.Contains(want, difference[0]) {
			t.Fatalf("there is no %q", difference[0])
		}
		want = strings.ReplaceAll(want, difference[0], difference[1])
	}
	table := &engine.Table{Tag: "my.app.test", Host: "golden-host", Priority: 13}
	var events []engine.Event
	for _, body := range []string{"hello", `{"a":"ü","n":1}`, "l1\nl2"} {
		events = append(events, engine.Event{Table: table, Time: time.Date(2026, 11, 23, 4, 20, 41, 989e6, time.UTC), Body: []byte(body)})
	}
	receiver := sinktest.NewRelpReceiver(t, nil)
	port, streams := tap(t, receiver)
	sink := open(t, "relp", "", map[string]any{"address": "127.0.0.1", "port": port, "type": "TCP"})
	if err := offer(t.Context(), sink, events); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if got := string(<-streams); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// tap joins one connection with a receiver, and gives what the client sent on it when it has ended.
func tap(t *testing.T, r *sinktest.Receiver) (port int, streams <-chan []byte) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	sent := make(chan []byte, 1)
	go func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", addressOf(r.Address()))
		if err != nil {
			return
		}
		defer server.Close()
		go func() { _, _ = io.Copy(client, server) }()
		var stream bytes.Buffer
		_, _ = io.Copy(server, bufio.NewReader(io.TeeReader(client, &stream)))
		sent <- stream.Bytes()
	}()
	return listener.Addr().(*net.TCPAddr).Port, sent
}
