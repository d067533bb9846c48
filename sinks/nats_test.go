package sinks

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"starling/engine"
	"starling/sinks/sinktest"
)

// natsServer is a process that runs nats-server with JetStream, files in a folder of the test.
type natsServer struct {
	*server
	dir, address, config string
}

// newNATSServer starts a server. The more is added to its configuration.
func newNATSServer(t testing.TB, more string) *natsServer {
	t.Helper()
	return newNATSServerAt(t, freeAddress(t), more)
}

// freeAddress returns an address of its own, so that the port is still free when a server comes back to it.
func freeAddress(t testing.TB) string {
	t.Helper()
	now := time.Now().UnixNano() / 1e3
	free, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 100+os.Getpid()%100, 1+now%250, 1+now/250%250))
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	return free.Addr().String()
}

func newNATSServerAt(t testing.TB, address, more string) *natsServer {
	t.Helper()
	s := &natsServer{dir: t.TempDir(), address: address}
	s.config = filepath.Join(s.dir, "nats.conf")
	sinktest.WriteFile(t, s.config, fmt.Appendf(nil, "listen: %q\nserver_name: test\nmax_payload: 8MB\n%s\n", address, more))
	s.start(t)
	return s
}

func newJetStreamServer(t testing.TB, more string) *natsServer {
	return newNATSServer(t, fmt.Sprintf("jetstream: {store_dir: %q}\n%s", t.TempDir(), more))
}

func (s *natsServer) start(t testing.TB) {
	t.Helper()
	s.server = runServer(t, findNATS(t), "-c", s.config)
	for {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if err == nil {
			return
		}
		select {
		case <-s.ended:
			t.Fatal("nats-server ended")
		case <-t.Context().Done():
			t.Fatal("nats-server does not listen")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func findNATS(t testing.TB) string {
	t.Helper()
	return findServer(t, "nats-server", "the package nats-server")
}

const (
	natsSubjectOfTest = "events.test"
	eventStream       = "EVENTS"
)

// stream is a client that looks into the stream.
type stream struct {
	conn *nats.Conn
	js   nats.JetStreamContext
}

func (s *natsServer) stream(t testing.TB, options ...nats.Option) stream {
	t.Helper()
	// A server that has come back opens its streams a moment after its port.
	options = append(options, nats.Timeout(10*time.Second))
	conn, err := nats.Connect("nats://"+s.address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := conn.JetStream(nats.MaxWait(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return stream{conn, js}
}

func (s stream) add(t testing.TB, config *nats.StreamConfig) stream {
	t.Helper()
	config.Name, config.Subjects, config.Storage = eventStream, []string{"events.>"}, nats.FileStorage
	if _, err := s.js.AddStream(config); err != nil {
		t.Fatal(err)
	}
	return s
}

// messages returns what the stream holds, in order.
func (s stream) messages(t testing.TB, name string) (all []*nats.Msg) {
	t.Helper()
	info, err := s.js.StreamInfo(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs == 0 {
		return nil
	}
	sub, err := s.js.SubscribeSync(info.Config.Subjects[0], nats.OrderedConsumer())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for range info.State.Msgs {
		m, err := sub.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func (s stream) bodies(t testing.TB, name string) (bodies []string) {
	for _, m := range s.messages(t, name) {
		bodies = append(bodies, string(m.Data))
	}
	return bodies
}

func openNATS(t testing.TB, address string, more map[string]any) *jetStream {
	t.Helper()
	values := map[string]any{"servers": address, "subject": natsSubjectOfTest, "type": "TCP"}
	maps.Copy(values, more)
	return open(t, "nats", "", values).(*jetStream)
}

func TestNATSKeepsWhatSinksPromise(t *testing.T) {
	findNATS(t)
	t.Parallel()
	server := newJetStreamServer(t, "accounts: {A: {jetstream: enabled, users: [{user: u, password: p}]}}\nno_auth_user: u") // one for all: a process is dear
	var number atomic.Int32
	admin := server.stream(t)
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		name := fmt.Sprintf("S%d", number.Add(1))
		if _, err := admin.js.AddStream(&nats.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Storage: nats.FileStorage}); err != nil {
			t.Fatal(err)
		}
		link := newFaultyLink(t, server.address)
		sink := openNATS(t, link.address, map[string]any{"subject": name + ".test"})
		return sinktest.Fixture{Sink: sink, Bodies: func() []string { return admin.bodies(t, name) }, Break: func() { link.net.set(networkDrops) }, Mend: func() { link.net.set(networkFine) }, Stall: func() { link.net.set(networkStalls) }}
	})
}

// faultyLink is a way to a server that can be made to fail.
type faultyLink struct {
	address string
	net     *faultyNet
}

func newFaultyLink(t testing.TB, to string) *faultyLink {
	t.Helper()
	l := &faultyLink{net: &faultyNet{}}
	listener, err := l.net.listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.address = listener.Addr().String()
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go pipe(from, to)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		l.net.set(networkFine) // closes the connections
	})
	return l
}

func pipe(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		defer from.Close()
		_, _ = io.Copy(from, to)
	}()
	_, _ = io.Copy(to, from)
}

func TestNATSReceivesEverythingIntactInOrder(t *testing.T) {
	findNATS(t)
	t.Parallel()
	server := newJetStreamServer(t, "")
	admin := server.stream(t).add(t, &nats.StreamConfig{})
	sink := openNATS(t, server.address, nil)
	events := variedEvents(manyEvents)
	for epoch := range slices.Chunk(events, 7001) {
		if err := offer(t.Context(), sink, epoch); err != nil {
			t.Fatal(err)
		}
	}
	got := admin.messages(t, eventStream)
	if len(got) != len(events) {
		t.Fatalf("got %d messages, want %d", len(got), len(events))
	}
	for i, m := range got {
		at := events[i].Time.Format(dateLayout)
		if string(m.Data) != string(events[i].Body) || m.Header["tag"][0] != events[i].Table.Tag || m.Header["time"][0] != at || m.Header.Get(nats.MsgIdHdr) != "" {
			t.Fatalf("message %d: got %v %.200q, want %s %.200q", i, m.Header, m.Data, at, events[i].Body)
		}
	}
}

// A server that is killed has what it has acknowledged: its process dies, its machine does not.
func TestNATSServerIsKilled(t *testing.T) {
	findNATS(t)
	t.Parallel()
	server := newJetStreamServer(t, "")
	server.stream(t).add(t, &nats.StreamConfig{})
	sink := openNATS(t, server.address, map[string]any{"window": 100})
	events := variedEvents(3000)
	const kills = 3
	killed := 0
	for i, epoch := range slices.Collect(slices.Chunk(events, 300)) {
		if i%3 == 1 {
			if err := sink.Send(t.Context(), epoch[:200]); err != nil {
				t.Fatal(err)
			}
			server.kill()
			killed++
			if err := offer(t.Context(), sink, epoch[200:]); err == nil {
				t.Fatal("an epoch was acknowledged by nobody")
			}
			server.start(t)
		}
		giveUp := time.Now().Add(time.Minute)
		err := offer(t.Context(), sink, epoch)
		for ; err != nil && time.Now().Before(giveUp); err = offer(t.Context(), sink, epoch) { // the stream is not open yet
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got := server.stream(t).bodies(t, eventStream)
	wantEverything(t, got, events)
	if killed != kills {
		t.Errorf("%d kills, want %d", killed, kills)
	}
	t.Logf("%d kills: 0 of %d events missing, %d repeated", killed, len(events), len(got)-len(events))
}

func TestNATSDeduplicates(t *testing.T) {
	findNATS(t)
	t.Parallel()
	server := newJetStreamServer(t, "")
	admin := server.stream(t).add(t, &nats.StreamConfig{})
	sink := openNATS(t, server.address, map[string]any{"deduplicate": true})
	events := sinktest.Events(0, 10)
	for range 2 {
		if err := offer(t.Context(), sink, events); err != nil {
			t.Fatal(err)
		}
	}
	events[0].Table = &engine.Table{Tag: "another.table"}
	events[1].Time = events[1].Time.Add(time.Millisecond)
	if err := offer(t.Context(), sink, events[:2]); err != nil {
		t.Fatal(err)
	}
	if n := len(admin.messages(t, eventStream)); n != 12 {
		t.Errorf("got %d messages, want 10 and two that differ", n)
	}
}

func TestNATSSaysWhatIsWrong(t *testing.T) {
	findNATS(t)
	t.Parallel()
	bare := newNATSServer(t, "")
	if err := offer(t.Context(), openNATS(t, bare.address, nil), nil); err != nil {
		t.Error(err)
	}
	wantError(t, offer(t.Context(), openNATS(t, bare.address, nil), sinktest.Events(0, 10)),
		"no stream listens to the subject events.test, and without one NATS acknowledges nothing", "enable JetStream", "nats stream add")

	// Somebody listens, and is no stream.
	listener := bare.stream(t)
	if _, err := listener.conn.Subscribe("events.mute", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := listener.conn.Subscribe("events.other", func(m *nats.Msg) { _ = m.Respond([]byte("+OK")) }); err != nil {
		t.Fatal(err)
	}
	if err := listener.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	sink := openNATS(t, bare.address, map[string]any{"subject": "events.mute"})
	sink.patience = 300 * time.Millisecond
	wantError(t, offer(t.Context(), sink, sinktest.Events(0, 10)), "10 messages are without an answer, and none came within 300ms")
	wantError(t, offer(t.Context(), openNATS(t, bare.address, map[string]any{"subject": "events.other"}), sinktest.Events(0, 10)),
		`what answers is no stream: "+OK"`)

	wantError(t, offer(t.Context(), openNATS(t, bare.address, map[string]any{"type": "SSL"}), sinktest.Events(0, 1)), "the server has no TLS; set type: TCP")
	wantError(t, offer(t.Context(), openNATS(t, "127.0.0.1:1", nil), sinktest.Events(0, 1)), "nobody listens there")
}

func TestNATSLimitsOfServerAndStream(t *testing.T) {
	findNATS(t)
	t.Parallel()
	server := newJetStreamServer(t, "")
	admin := server.stream(t).add(t, &nats.StreamConfig{MaxMsgSize: 5000, MaxMsgs: 20, Discard: nats.DiscardNew})
	sink := openNATS(t, server.address, nil)
	events := sinktest.Events(0, 10)
	for _, size := range []int{9 << 20, 10_000} { // over the server's limit, over the stream's
		events[7].Body = []byte(strings.Repeat("x", size))
		err := offer(t.Context(), sink, events)
		r, ok := errors.AsType[*engine.Refused](err)
		if !ok || r.Index != 7 {
			t.Fatalf("%d bytes: got %v, want event 7 refused", size, err)
		}
		if size > 8<<20 {
			events[7].Body = events[7].Body[:r.Limit]
			if _, ok := errors.AsType[*engine.Refused](offer(t.Context(), sink, events[7:8])); !ok || r.Limit < 8<<20-200 || r.Limit > 8<<20 {
				t.Errorf("got limit %d", r.Limit) // the stream's limit is smaller
			}
		}
	}
	if err := admin.js.PurgeStream(eventStream); err != nil {
		t.Fatal(err)
	}
	wantError(t, offer(t.Context(), sink, sinktest.Events(0, 30)), "the stream refuses a message: maximum messages exceeded")
	for tries := 0; ; tries++ { // what was on its way when it was refused can come after this
		if err := admin.js.PurgeStream(eventStream); err != nil {
			t.Fatal(err)
		}
		err := offer(t.Context(), sink, sinktest.Events(0, 20))
		if err == nil {
			return
		}
		if tries == 10 {
			t.Fatal(err)
		}
		wantError(t, err, "the stream refuses a message: maximum messages exceeded")
	}
}

func TestNATSSignsIn(t *testing.T) {
	findNATS(t)
	t.Parallel()
	const secret, wrong = "a pass-word of the test", "another pass-word of it"
	dir, address := t.TempDir(), freeAddress(t)
	public := writeSeed(t, dir+"/seed.nk")
	writeSeed(t, dir+"/other.nk")
	authority := sinktest.NewAuthority(t, "a CA")
	host, _, _ := net.SplitHostPort(address)
	authority.Issue(t, sinktest.Identity{Name: "server", Hosts: []string{host}}).Write(t, dir, "server")
	authority.Issue(t, sinktest.Identity{Name: "client"}).Write(t, dir, "client")
	sinktest.NewAuthority(t, "another CA").Issue(t, sinktest.Identity{Name: "client"}).Write(t, dir, "stranger")
	sinktest.WriteFile(t, dir+"/chain.crt", authority.PEM)
	secure := fmt.Sprintf("tls: {cert_file: %q, key_file: %q, ca_file: %q, verify: true}", dir+"/server.crt", dir+"/server.key", dir+"/chain.crt")
	for _, c := range []struct {
		name, config string
		right, wrong map[string]any
		want         string
	}{
		{"password", "authorization: {user: u, password: " + strconv.Quote(secret) + "}",
			map[string]any{"user": "u", "password": secret}, map[string]any{"user": "u", "password": wrong}, "check user and password"},
		{"token", "authorization: {token: " + strconv.Quote(secret) + "}", map[string]any{"token": secret}, map[string]any{"token": wrong}, "check user and password, token"},
		{"nkey", "authorization: {users: [{nkey: " + public + "}]}", map[string]any{"nkey": dir + "/seed.nk"}, map[string]any{"nkey": dir + "/other.nk"}, "creds or nkey"},
		{"certificate", secure, map[string]any{"type": "SSL", "chain": dir + "/chain.crt", "cert": dir + "/client.crt", "key": dir + "/client.key"},
			map[string]any{"type": "SSL", "chain": dir + "/chain.crt", "cert": dir + "/stranger.crt", "key": dir + "/stranger.key"}, "connect: "}, // it refuses after its part of the handshake, or breaks off
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newNATSServerAt(t, address, c.config)
			defer server.kill()
			for want, values := range map[string]map[string]any{"no stream listens": c.right, c.want: c.wrong} { // whether there is one is told only to who is signed in
				err := offer(t.Context(), openNATS(t, address, values), sinktest.Events(0, 1))
				wantError(t, err, want)
				if strings.Contains(fmt.Sprint(err), "pass-word") {
					t.Errorf("the error shows a secret: %v", err)
				}
			}
		})
	}
	// A file that is wrong changes nothing, one that is right counts from the next epoch on.
	server := newNATSServerAt(t, address, "authorization: {users: [{nkey: "+public+"}]}")
	defer server.kill()
	seed := dir + "/other.nk"
	sink := openNATS(t, address, map[string]any{"nkey": seed})
	wantError(t, offer(t.Context(), sink, sinktest.Events(0, 1)), "creds or nkey")
	sinktest.WriteFile(t, seed, []byte("nothing"))
	wantError(t, sink.Reload(), "holds no seed of NATS")
	sinktest.WriteFile(t, seed, []byte(readFile(t, dir+"/seed.nk")))
	if err := sink.Reload(); err != nil || !slices.Equal(sink.Files(), []string{seed}) {
		t.Errorf("got %v, files %q", err, sink.Files())
	}
	wantError(t, offer(t.Context(), sink, sinktest.Events(0, 1)), "no stream listens")
}

// writeSeed makes a user's key and returns its public part.
func writeSeed(t *testing.T, path string) (public string) {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	sinktest.WriteFile(t, path, seed)
	if public, err = user.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return public
}
