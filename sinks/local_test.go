package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/engine"
	"starling/sinks/sinktest"
)

// breakable is a writer that can be made to fail in the midst of a write.
type breakable struct {
	bytes.Buffer
	broken bool
}

func (b *breakable) Write(p []byte) (int, error) {
	if b.broken {
		return 0, syscall.EPIPE
	}
	return b.Buffer.Write(p)
}

func TestConsoleKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, format string
		bodies       func(t *testing.T, text string) []string
	}{{"console", "devo", devoBodies}, {"stdout", "body", bodyLines}} {
		t.Run(c.format, func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				out := &breakable{}
				sink, err := New(engine.Output{Name: "out_1", Type: c.kind, Config: engine.NewSection("", "", map[string]any{"format": c.format})}, testEnv(out))
				if err != nil {
					t.Fatal(err)
				}
				return sinktest.Fixture{Sink: sink, Bodies: func() []string { return c.bodies(t, out.String()) },
					Break: func() { out.broken = true }, Mend: func() { out.broken = false }}
			})
		})
	}
}

func bodyLines(_ *testing.T, text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func devoBodies(t *testing.T, text string) []string {
	var bodies []string
	for _, line := range bodyLines(t, text) {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("line %.200q: %v", line, err)
		}
		bodies = append(bodies, got["message_content"].(string))
	}
	return bodies
}

func TestConsoleLinesAreDevos(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	sink, err := New(engine.Output{Name: "c", Type: "console", Config: engine.NewSection("", "", map[string]any{"destination": "stdout"})}, testEnv(&out))
	if err != nil {
		t.Fatal(err)
	}
	table := &engine.Table{Tag: "my.app.test"}
	err = offer(t.Context(), sink, []engine.Event{
		{Table: table, Time: messageTrace.time, Body: []byte(`{"a": "<ü>"}`)},
		{Table: table, Body: []byte("no time")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"message_timestamp":"2022-12-21 13:17:14.405","message_tag":"my.app.test","message_content":"{\"a\": \"<ü>\"}"}
{"message_timestamp":null,"message_tag":"my.app.test","message_content":"no time"}
`
	if out.String() != want {
		t.Errorf("got\n%s want\n%s", out.String(), want)
	}
}

func TestConsoleTellsThatNobodyReads(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader.Close()
	sink, err := New(engine.Output{Name: "c", Type: "console", Config: engine.NewSection("", "", nil)}, testEnv(writer))
	if err != nil {
		t.Fatal(err)
	}
	err = offer(t.Context(), sink, sinktest.Events(0, 1))
	if !errors.Is(err, syscall.EPIPE) || engine.CodeOf(err, "") != engine.CodeSink {
		t.Errorf("got %v, want EPIPE", err)
	}
}

func TestFileKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format string
		bodies func(t *testing.T, text string) []string
	}{{"body", bodyLines}, {"devo", devoBodies}, {"frame", frameBodies}} {
		t.Run(c.format, func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				path := filepath.Join(t.TempDir(), "events.log")
				sink := open(t, "file", "", map[string]any{"path": path, "format": c.format}).(*file)
				return sinktest.Fixture{Sink: sink, Bodies: func() []string { return c.bodies(t, readFile(t, path)) },
					// A descriptor that is closed fails every call, as a disk does that is gone.
					Break: func() { breakFile(t, sink, path) }, Mend: func() { mendFile(t, path) }}
			})
		})
	}
}

func frameBodies(t *testing.T, text string) []string {
	bodies := bodyLines(t, text)
	for i, line := range bodies {
		if !strings.HasPrefix(line, "<14>2022-12-21 13:17:14.") && !strings.HasPrefix(line, "<14>2022-12-21 13:17:") {
			t.Fatalf("no frame: %.200q", line)
		}
		_, bodies[i], _ = strings.Cut(line, " test-host test.sink.suite: ")
	}
	return bodies
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// breakFile makes the open file fail, and opening it again too: a folder stands in its place.
func breakFile(t *testing.T, sink *file, path string) {
	t.Helper()
	if sink.file != nil {
		sink.file.Close()
	}
	if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
}

func mendFile(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
		t.Fatal(err)
	}
}

func openFile(t *testing.T, path string) *file {
	t.Helper()
	return open(t, "file", "", map[string]any{"path": path}).(*file)
}

func TestFailedEpochIsCutOffTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.log")
	sink := openFile(t, path)
	if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, path)
	if err := sink.Send(t.Context(), sinktest.Events(10, 5000)); err != nil {
		t.Fatal(err)
	}
	if len(readFile(t, path)) == len(before) {
		t.Fatal("nothing is written before Flush; the test proves nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sink.Flush(ctx); err == nil {
		t.Fatal("no error")
	}
	if readFile(t, path) != before {
		t.Error("the failed epoch is still there")
	}
	if err := sink.Send(t.Context(), sinktest.Events(10, 5000)); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if readFile(t, path) != before {
		t.Error("what was not flushed is there after Close, and will come again")
	}
}

func TestFileIsForItsOwnerAndAppendedTo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.log")
	for i := range 2 {
		if err := offer(t.Context(), openFile(t, path), sinktest.Events(i*10, 10)); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v", info.Mode(), err)
	}
	if n := strings.Count(readFile(t, path), "\n"); n != 20 {
		t.Errorf("got %d lines, want 20", n)
	}
}

func TestLineThatACrashLeftIsEnded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.log")
	if err := os.WriteFile(path, []byte("whole\nhal"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := offer(t.Context(), openFile(t, path), []engine.Event{{Table: &engine.Table{}, Body: []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path); got != "whole\nhal\nnew\n" {
		t.Errorf("got %q", got)
	}
}

func TestFileIsFollowedByNameWhenRotated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.log")
	sink := openFile(t, path)
	for i, rotate := range []func() error{
		func() error { return nil },
		func() error { return os.Rename(path, path+".1") },
		func() error { return os.Truncate(path, 0) },
		func() error { return os.Remove(path) },
	} {
		if err := rotate(); err != nil {
			t.Fatal(err)
		}
		events := sinktest.Events(i*10, 10)
		if err := offer(t.Context(), sink, events); err != nil {
			t.Fatal(err)
		}
		got := bodyLines(t, readFile(t, path))
		if len(got) != 10 || got[0] != string(events[0].Body) {
			t.Errorf("rotation %d: got %d lines, the first is %.100q", i, len(got), got[0])
		}
	}
	if n := strings.Count(readFile(t, path+".1"), "\n"); n != 10 {
		t.Errorf("the renamed file has %d lines, want 10", n)
	}
}

func TestFileOnAFullDisk(t *testing.T) {
	t.Parallel()
	// A limit on the size of the process's files would hit other tests, so a device that is always full stands in.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "events.log")
	sink := openFile(t, path)
	if err := sink.Send(t.Context(), sinktest.Events(0, 10)); err != nil {
		t.Fatal(err)
	}
	sink.file.Close()
	sink.file = full
	if err := sink.Flush(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
		t.Fatal(err)
	}
	wantEverything(t, bodyLines(t, readFile(t, path)), sinktest.Events(0, 10))
}

func TestFileIsAcknowledgedByTheDisk(t *testing.T) {
	t.Parallel()
	// A pipe takes writes and refuses fsync.
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	sink := openFile(t, filepath.Join(t.TempDir(), "events.log"))
	if err := sink.Send(t.Context(), sinktest.Events(0, 10)); err != nil {
		t.Fatal(err)
	}
	sink.file.Close()
	sink.file = writer
	if err := sink.Flush(t.Context()); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("got %v, want the error of fsync", err)
	}
}

func TestFileRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, offer(t.Context(), openFile(t, pipe), sinktest.Events(0, 1)), pipe+" is no regular file", "type console")
	_, err := New(engine.Output{Name: "f", Type: "file", Config: engine.NewSection("", dir, map[string]any{"path": "absent/events.log"})}, testEnv(nil))
	wantError(t, err, "directory of the file must exist", filepath.Join(dir, "absent"))
}

func TestDiscardKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		return sinktest.Fixture{Sink: open(t, "discard", "", nil)}
	})
}

func TestDiscardSaysHowMuch(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	env := Env{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	sink, err := New(engine.Output{Name: "d", Type: "discard", Config: engine.NewSection("", "", nil)}, env)
	if err != nil {
		t.Fatal(err)
	}
	events := []engine.Event{{Body: []byte("12345")}, {Body: []byte("123")}}
	if err := errors.Join(offer(t.Context(), sink, events), sink.Send(t.Context(), events), sink.Close(), sink.Close()); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); strings.Count(got, "events=2 bytes=8") != 1 || strings.Count(got, "\n") != 1 {
		t.Errorf("got log %q, want one line with what was acknowledged", got)
	}
}

func TestUnknownTypeIsToldWithWhatIsKnown(t *testing.T) {
	t.Parallel()
	for name, near := range map[string]string{"devo": "", "devo_plattform": "devo_platform", "Syslog": "syslog", "stdot": "stdout"} {
		_, err := New(engine.Output{Name: "o", Type: name, Place: "c.yaml:3:4: outputs.o.type"}, Env{})
		wantError(t, err, "c.yaml:3:4: outputs.o.type: CollectorConfigurationException [CODE:0014] Error in configuration, cause: \"unknown type", "known types are console, devo_http, devo_platform, discard, file, http, in_house_relay, kafka, nats, relay, relp, sidecar, stdout, syslog")
		if near != "" {
			wantError(t, err, `did you mean "`+near+`"?`)
		}
	}
}

func TestConfigurationIsReadStrictly(t *testing.T) {
	t.Parallel()
	d := newDevoSide(t, devoServer, false)
	for _, c := range []struct {
		name, kind string
		config     map[string]any
		want       []string // nothing: accepted
	}{
		{"all keys of Devo's collectors", "devo_platform", d.config(map[string]any{
			"connecting_retries": 5, "connecting_initial_wait_in_seconds": 2, "connecting_max_wait_in_seconds": 60,
			"sending_timeout": 5, "sending_retries": 5, "sending_initial_wait_in_seconds": 2, "sending_max_wait_in_seconds": 60,
			"period_sender_stats_in_seconds": 300, "threshold_for_using_gzip_in_transport_layer": 1.1, "compression_level": 6,
			"compression_buffer_in_bytes": 51200, "concurrent_connections": 1}), nil},
		{"names of the job file", "relay", map[string]any{"url": "collector-us.devo.io", "chain_loc": "chain.crt", "cert_loc": "client.crt", "key_loc": "client.key"}, nil},
		{"both names", "relay", d.config(map[string]any{"chain_loc": "chain.crt"}), []string{"chain_loc: is another name of chain, which is set too: keep one of them"}},
		{"misspelt key", "devo_platform", d.config(map[string]any{"adress": "x"}), []string{"adress", "did you mean", "address"}},
		{"too many connections", "devo_platform", d.config(map[string]any{"concurrent_connections": 17}), []string{"concurrent_connections", "1 to 16"}},
		{"gzip out of range", "relay", d.config(map[string]any{"threshold_for_using_gzip_in_transport_layer": 1.2, "compression_level": 0,
			"compression_buffer_in_bytes": 10485761}), []string{"from -1 to 1.1", "from 1 to 9", "from 1 to 10485760"}},
		{"gzip where nobody knows it", "in_house_relay", map[string]any{"address": "::1", "port": 13000, "compression_level": 6}, []string{"compression_level", "unknown key"}},
		{"lifetime out of range", "devo_platform", d.config(map[string]any{"connection_max_age": 0, "connection_max_idle": "2h"}),
			[]string{"connection_max_age", "connection_max_idle", "1h0m0s"}},
		{"other transport", "devo_platform", d.config(map[string]any{"type": "TCP"}), []string{"type", "SSL"}},
		{"port in the address", "devo_platform", d.config(map[string]any{"address": "collector-us.devo.io:443"}), []string{"address", "the port has its own key"}},
		{"URL as address", "syslog", map[string]any{"address": "https://x", "port": 1}, []string{"want a host name"}},
		{"no port", "syslog", map[string]any{"address": "127.0.0.1"}, []string{"port", "is missing"}},
		{"bad port", "syslog", map[string]any{"address": "127.0.0.1", "port": 70000}, []string{"1 to 65535"}},
		{"no address", "in_house_relay", map[string]any{"port": 13000}, []string{"address", "data is missing"}},
		{"all keys of syslog", "sidecar", map[string]any{"address": "::1", "port": 13000, "hostname": "h", "multiline": true,
			"concurrent_connections": 4, "period_sender_stats_in_seconds": 300, "confirm_timeout": 5, "connection_max_age": "30m", "connection_max_idle": 25}, nil},
		{"bad destination", "console", map[string]any{"destination": "stderr"}, []string{"destination"}},
		{"bad format", "console", map[string]any{"format": "xml"}, []string{"format", "devo, body"}},
		{"file without path", "file", map[string]any{}, []string{"path", "data is missing"}},
		{"what becomes of rotated files, without rotation", "file", map[string]any{"path": "x", "keep": 3, "compress": true},
			[]string{"keep: is for files that rotated; set rotate_bytes or rotate_every too", "compress: is for files"}},
		{"rotates at each event", "file", map[string]any{"path": "x", "rotate_bytes": 1}, []string{"rotate_bytes: got 1, want a size from 1024"}},
		{"all keys of file", "file", map[string]any{"path": "x", "rotate_bytes": "1GiB", "rotate_every": "24h", "keep": 7, "compress": true}, nil},
		{"all keys of kafka", "kafka", map[string]any{"brokers": "a.example:9092, b.example:9092", "topic": "events", "record_key": "none", "format": "devo",
			"compression": "lz4", "max_event_bytes": "512KiB", "type": "SSL", "chain": "chain.crt", "cert": "client.crt", "key": "client.key",
			"sasl": "scram-sha-256", "user": "u", "password": "p", "confirm_timeout": 60}, nil},
		{"kafka without anything", "kafka", nil, []string{"brokers: CollectorConfigurationException [CODE:0006]", "topic: CollectorConfigurationException [CODE:0006]"}},
		{"URL as broker", "kafka", map[string]any{"brokers": "kafka://a.example:9092", "topic": "t"}, []string{"brokers: want host:port, several separated by commas"}},
		{"broker without port", "kafka", map[string]any{"brokers": "a.example", "topic": "t"}, []string{`brokers: want host:port, several separated by commas, got "a.example"`}},
		{"readable password of kafka", "kafka", map[string]any{"brokers": "a.example:9092", "topic": "t", "type": "TCP", "sasl": "plain", "user": "u", "password": "p"},
			[]string{"sasl: is plain, and with type: TCP anybody on the way can read the password"}},
		{"password of kafka without sasl", "kafka", map[string]any{"brokers": "a.example:9092", "topic": "t", "password": "p"}, []string{"password: is nothing without sasl"}},
		{"certificates without TLS", "kafka", map[string]any{"brokers": "a.example:9092", "topic": "t", "type": "TCP", "chain": "chain.crt"}, []string{"chain: is nothing with type: TCP"}},
		{"all keys of nats", "nats", map[string]any{"servers": "a.example:4222,b.example:4222", "subject": "events.mail", "format": "frame", "deduplicate": true,
			"window": 10, "max_event_bytes": "1MB", "type": "SSL", "chain": "chain.crt", "cert": "client.crt", "key": "client.key", "user": "u", "password": "p", "confirm_timeout": 5}, nil},
		{"nats without anything", "nats", nil, []string{"servers: CollectorConfigurationException [CODE:0006]", "subject: CollectorConfigurationException [CODE:0006]"}},
		{"wildcard as subject", "nats", map[string]any{"servers": "a.example:4222", "subject": "events.>"}, []string{"subject: want a subject such as events.mail, without wildcards"}},
		{"empty word in the subject", "nats", map[string]any{"servers": "a.example:4222", "subject": "events..mail"}, []string{"subject: want a subject such as"}},
		{"two ways to sign in to nats", "nats", map[string]any{"servers": "a.example:4222", "subject": "e", "user": "u", "password": "p", "token": "t"}, []string{"token: is one way to sign in too many"}},
		{"password of nats without user", "nats", map[string]any{"servers": "a.example:4222", "subject": "e", "password": "p"}, []string{"password: user and password belong together"}},
		{"readable token of nats", "nats", map[string]any{"servers": "a.example:4222", "subject": "e", "type": "TCP", "token": "t"}, []string{"token: can be read by anybody on the way with type: TCP"}},
		{"no credentials of nats", "nats", map[string]any{"servers": "a.example:4222", "subject": "e", "creds": "chain.crt"}, []string{"chain.crt is no credentials file of NATS"}},
		{"discard with a key", "discard", map[string]any{"path": "x"}, []string{"path"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(engine.Output{Name: "o", Type: c.kind, Config: engine.NewSection("", d.dir, c.config)}, testEnv(nil))
			if len(c.want) > 0 {
				wantError(t, err, c.want...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHostname(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config map[string]any
		table  string
		want   string
	}{
		{nil, "", "test-host"},
		{map[string]any{"hostname": "named"}, "", "named"},
		{map[string]any{"hostname": "named"}, "of-table", "of-table"},
	} {
		receiver := sinktest.NewReceiver(t, nil, false)
		host, port := receiver.Address()
		config := map[string]any{"address": host, "port": port}
		for key, value := range c.config {
			config[key] = value
		}
		event := engine.Event{Table: &engine.Table{Tag: "a.b", Host: c.table, Priority: 14}, Time: time.UnixMilli(0), Body: []byte("x")}
		if err := offer(t.Context(), open(t, "syslog", "", config), []engine.Event{event}); err != nil {
			t.Fatal(err)
		}
		if got, want := receiver.Frames(), "<14>1970-01-01 00:00:00.000 "+c.want+" a.b: x"; len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestOutputsOfLookupsAreRefusedWithWhatTookTheirPlace(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lookup", "lookup_senders"} {
		_, err := New(engine.Output{Name: "o", Type: name, Place: "c.yaml:3:4: outputs.o.type"}, Env{})
		wantError(t, err, "c.yaml:3:4: outputs.o.type: \""+name+"\": Devo has discontinued lookups", "Lookups REST API")
	}
}
