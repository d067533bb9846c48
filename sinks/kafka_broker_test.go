package sinks

import (
	"errors"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"starling/sinks/sinktest"
)

const topic = "events"

// broker is a cluster in this process that speaks the protocol of Kafka, over connections that can be
// made to fail.
type broker struct {
	*kfake.Cluster
	net *faultyNet
}

// newBroker starts a cluster with one topic; a single record may have 8 MiB.
func newBroker(t testing.TB, partitions int32, more ...kfake.Opt) *broker {
	t.Helper()
	b := &broker{net: &faultyNet{}}
	options := append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic), kfake.ListenFn(b.net.listen),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "8388608"})}, more...)
	var err error
	if b.Cluster, err = kfake.NewCluster(options...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.net.set(networkFine)
		b.Close()
	})
	return b
}

func (b *broker) brokers() string { return strings.Join(b.ListenAddrs(), ",") }

// partitions returns what each partition of the topic holds, by offset.
func (b *broker) partitions(t testing.TB, more ...kgo.Opt) [][]*kgo.Record {
	t.Helper()
	from, left := map[int32]kgo.Offset{}, int64(0)
	for _, p := range b.PartitionInfos(topic) {
		from[p.Partition] = kgo.NewOffset().At(0)
		left += p.HighWatermark
	}
	all := make([][]*kgo.Record, len(from))
	if left == 0 {
		return all
	}
	client, err := kgo.NewClient(append(more, kgo.SeedBrokers(b.ListenAddrs()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all[r.Partition] = append(all[r.Partition], r)
			left--
		})
	}
	return all
}

// bodies returns the values of a topic of one partition.
func (b *broker) bodies(t testing.TB) (values []string) {
	for _, r := range b.partitions(t)[0] {
		values = append(values, string(r.Value))
	}
	return values
}

func openKafka(t testing.TB, b *broker, more map[string]any) *kafka {
	t.Helper()
	values := map[string]any{"brokers": b.brokers(), "topic": topic, "type": "TCP", "max_event_bytes": "4MiB"}
	maps.Copy(values, more)
	return open(t, "kafka", "", values).(*kafka)
}

// kafkaFixture has patience as long as the network works.
func kafkaFixture(t *testing.T, b *broker, more map[string]any) sinktest.Fixture {
	sink := openKafka(t, b, more)
	return sinktest.Fixture{Sink: sink, Bodies: func() []string { return b.bodies(t) },
		Break: func() { sink.patience = 300 * time.Millisecond; b.net.set(networkDrops) },
		Mend:  func() { sink.patience = 30 * time.Second; b.net.set(networkFine) },
		Stall: func() { b.net.set(networkStalls) }}
}

// faultyNet makes listeners whose connections fail as it says.
type faultyNet struct {
	state atomic.Int32
	mu    sync.Mutex
	conns []*faultyConn
}

const (
	networkFine   = iota
	networkDrops  // every connection is closed, what was sent over it is lost
	networkStalls // nothing is read any more
)

// set changes the state; connections that are open fail at once.
func (n *faultyNet) set(state int32) {
	n.state.Store(state)
	n.mu.Lock()
	defer n.mu.Unlock()
	if state != networkStalls {
		for _, c := range n.conns {
			c.Close()
		}
		n.conns = nil
	}
}

func (n *faultyNet) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &faultyListener{l, n}, err
}

type faultyListener struct {
	net.Listener
	net *faultyNet
}

func (l *faultyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &faultyConn{Conn: conn, net: l.net, closed: make(chan struct{})}
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.net.conns = append(l.net.conns, c)
	return c, nil
}

type faultyConn struct {
	net.Conn
	net    *faultyNet
	once   sync.Once
	closed chan struct{}
}

func (c *faultyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch c.net.state.Load() {
	case networkDrops:
		return 0, errors.Join(io.EOF, c.Close())
	case networkStalls:
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}
