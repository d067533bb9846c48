package sinks

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"starling/engine"
	"starling/sinks/sinktest"
)

func TestKafkaKeepsWhatSinksPromise(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture { return kafkaFixture(t, newBroker(t, 1), nil) })
}

// Partitions move between brokers, and connections break, while many events of several tables are sent:
// each arrives once, and those of a table in order.
func TestKafkaReceivesEverythingIntactInOrder(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 4, kfake.NumBrokers(3))
	sink := openKafka(t, b, map[string]any{"confirm_timeout": 120})
	events := variedEvents(manyEvents)
	tables := make([]*engine.Table, 7)
	for i := range tables {
		tables[i] = &engine.Table{Tag: fmt.Sprintf("my.app.table%d", i)}
	}
	want := map[string]string{}
	for i := range events {
		events[i].Table = tables[i%len(tables)]
		want[string(events[i].Body)] = events[i].Table.Tag
	}
	for i, epoch := range slices.Collect(slices.Chunk(events, manyEvents/14+1)) {
		if i%7 == 3 { // in the midst of an epoch
			if err := sink.Send(t.Context(), epoch[:1000]); err != nil {
				t.Fatal(err)
			}
			b.ShufflePartitionLeaders()
			epoch = epoch[1000:]
		}
		if i%8 == 5 {
			b.net.set(networkFine) // closes all connections
		}
		if err := offer(t.Context(), sink, epoch); err != nil {
			t.Fatal(err)
		}
	}
	partitions := b.partitions(t)
	used, seen := 0, map[string]bool{}
	for p, records := range partitions {
		if len(records) > 0 {
			used++
		}
		last := map[string]string{}
		for _, r := range records {
			tag, at := string(r.Headers[0].Value), string(r.Headers[1].Value)
			if want[string(r.Value)] != tag || string(r.Key) != tag || seen[string(r.Value)] {
				t.Fatalf("partition %d: a record of %s is no event of that table, or there twice: %.200q", p, tag, r.Value)
			}
			if seen[string(r.Value)] = true; at <= last[tag] { // the events are 7 ms apart
				t.Fatalf("partition %d: an event of %s of %s comes after that of %s", p, tag, at, last[tag])
			}
			last[tag] = at
		}
	}
	if len(seen) != len(events) || used < 2 {
		t.Errorf("got %d events in %d partitions, want %d", len(seen), used, len(events))
	}
}

// A broker that breaks off and is started again on its disk has every event that was acknowledged.
func TestKafkaBrokerIsStartedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free, err := net.Listen("tcp", fmt.Sprintf("127.0.%d.%d:0", 1+time.Now().UnixNano()%250, 1+time.Now().UnixNano()/250%250))
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().(*net.TCPAddr)
	free.Close()
	start := func() *broker {
		faulty := &faultyNet{}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic), kfake.DataDir(dir), kfake.SyncWrites(), kfake.Ports(address.Port),
			kfake.ListenFn(faulty.listen))
		if err != nil {
			t.Fatal(err)
		}
		return &broker{cluster, faulty}
	}
	b := start()
	defer func() { b.Close() }()
	sink := openKafka(t, b, nil)
	events := variedEvents(2000)
	for i, epoch := range slices.Collect(slices.Chunk(events, 200)) {
		if i%3 == 1 {
			if err := sink.Send(t.Context(), epoch[:100]); err != nil {
				t.Fatal(err)
			}
			b.net.set(networkDrops)
			b.Close()
			sink.patience = 300 * time.Millisecond
			if err := offer(t.Context(), sink, epoch[100:]); err == nil {
				t.Fatal("an epoch was acknowledged by nobody")
			}
			b = start()
			sink.patience = 30 * time.Second
		}
		if err := offer(t.Context(), sink, epoch); err != nil {
			t.Fatal(err)
		}
	}
	var bodies []string
	for _, records := range b.partitions(t) {
		for _, r := range records {
			bodies = append(bodies, string(r.Value))
		}
	}
	wantEverything(t, bodies, events)
}

func TestKafkaErrorsAcknowledgeNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err     *kerr.Error
		refused bool
		want    string
	}{
		{kerr.MessageTooLarge, true, "set max_event_bytes to 4 KiB less"},
		{kerr.InvalidRecord, true, "INVALID_RECORD"},
		{kerr.InvalidTimestamp, true, "INVALID_TIMESTAMP"},
		{kerr.TopicAuthorizationFailed, false, "may not write to the topic events"},
		{kerr.NotEnoughReplicas, false, "did not acknowledge all events in time"},
		{kerr.NotEnoughReplicasAfterAppend, false, "did not acknowledge all events in time"},
		{kerr.KafkaStorageError, false, "did not acknowledge all events in time"},
	} {
		t.Run(c.err.Message, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, 1)
			sink := openKafka(t, b, nil)
			if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
				t.Fatal(err)
			}
			fault := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: c.err, Count: -1})
			sink.patience = time.Second
			err := offer(t.Context(), sink, sinktest.Events(10, 10))
			r, ok := errors.AsType[*engine.Refused](err)
			if err == nil || !strings.Contains(err.Error(), c.want) || ok != c.refused || ok && r.Index >= 0 || engine.CodeOf(err, "") != engine.CodeSink {
				t.Errorf("got %v, want %q", err, c.want)
			}
			fault.Remove()
			sink.patience = 30 * time.Second
			if err := offer(t.Context(), sink, sinktest.Events(10, 10)); err != nil {
				t.Fatal(err)
			}
			wantEverything(t, b.bodies(t), sinktest.Events(0, 20))
		})
	}
}

func TestKafkaRecords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values map[string]any
		key    string
		value  string
	}{
		{nil, "my.app.test", `{"a": 1}`},
		{map[string]any{"record_key": "none", "compression": "none"}, "", `{"a": 1}`},
		{map[string]any{"format": "devo", "compression": "gzip"}, "my.app.test", `{"message_timestamp":"2022-12-21 13:17:14.405","message_tag":"my.app.test","message_content":"{\"a\": 1}"}`},
		{map[string]any{"format": "frame", "compression": "snappy"}, "my.app.test", `<14>2022-12-21 13:17:14.405 test-host my.app.test: {"a": 1}`},
		{map[string]any{"compression": "lz4"}, "my.app.test", `{"a": 1}`},
	} {
		b := newBroker(t, 1)
		table := &engine.Table{Tag: "my.app.test", Priority: engine.DefaultPriority}
		events := []engine.Event{{Table: table, Time: messageTrace.time, Body: []byte(`{"a": 1}`)}, {Table: table, Body: []byte("no time")}}
		before := time.Now().Add(-time.Minute)
		var acks atomic.Int32
		b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Count: -1, Observe: true, When: func(r kmsg.Request) bool {
			acks.Store(int32(r.(*kmsg.ProduceRequest).Acks))
			return true
		}})
		if err := offer(t.Context(), openKafka(t, b, c.values), events); err != nil {
			t.Fatal(err)
		}
		records := b.partitions(t)[0]
		if len(records) != 2 {
			t.Fatalf("got %d records", len(records))
		}
		r := records[0]
		want := []kgo.RecordHeader{{Key: "tag", Value: []byte("my.app.test")}, {Key: "time", Value: []byte("2022-12-21 13:17:14.405")}}
		if string(r.Key) != c.key || string(r.Value) != c.value || fmt.Sprint(r.Headers) != fmt.Sprint(want) || r.Timestamp.Before(before) {
			t.Errorf("got key %q, value %q, headers %s, time %s", r.Key, r.Value, r.Headers, r.Timestamp)
		}
		if got := acks.Load(); got != -1 {
			t.Errorf("got acks %d, want -1: of all replicas in sync", got)
		}
		if len(records[1].Headers) != 1 {
			t.Errorf("got headers %s of an event without a time", records[1].Headers)
		}
	}
}

func TestKafkaOverTLSWithPasswords(t *testing.T) {
	t.Parallel()
	const password = "a pass-word of the test"
	authority, dir := sinktest.NewAuthority(t, "a CA"), t.TempDir()
	config := sinktest.ServerConfig(t, authority.Issue(t, sinktest.Identity{Name: "broker", Hosts: []string{"127.0.0.1"}}), authority)
	sinktest.WriteFile(t, dir+"/chain.crt", authority.PEM)
	authority.Issue(t, sinktest.Identity{Name: "client"}).Write(t, dir, "client")
	for _, how := range []string{"PLAIN", "SCRAM-SHA-256"} {
		t.Run(how, func(t *testing.T) {
			b := newBroker(t, 1, kfake.TLS(config), kfake.EnableSASL(), kfake.Superuser(how, "sender", password))
			values := map[string]any{"brokers": b.brokers(), "topic": topic, "chain": "chain.crt", "cert": "client.crt", "key": "client.key",
				"sasl": strings.ToLower(how), "user": "sender", "password": password}
			sink := open(t, "kafka", dir, values).(*kafka)
			if err := offer(t.Context(), sink, sinktest.Events(0, 10)); err != nil {
				t.Fatal(err)
			}
			if got := b.PartitionInfo(topic, 0).HighWatermark; got != 10 {
				t.Errorf("%d records, want 10", got)
			}
			values["password"] = "wrong pass-word"
			err := offer(t.Context(), open(t, "kafka", dir, values), sinktest.Events(0, 10))
			wantError(t, err, "sasl, user and password")
			if strings.Contains(err.Error(), "pass-word") {
				t.Errorf("the error shows a password: %v", err)
			}
			// A chain that does not vouch for the broker is used from the next epoch on, and one that is none never.
			sinktest.WriteFile(t, dir+"/chain.crt", sinktest.NewAuthority(t, "another CA").PEM)
			if err := sink.Reload(); err != nil {
				t.Fatal(err)
			}
			wantError(t, offer(t.Context(), sink, sinktest.Events(0, 1)), "unknown authority")
			sinktest.WriteFile(t, dir+"/chain.crt", []byte("nothing"))
			wantError(t, sink.Reload(), "is not PEM")
			sinktest.WriteFile(t, dir+"/chain.crt", authority.PEM)
			if err := sink.Reload(); err != nil {
				t.Fatal(err)
			}
			if err := offer(t.Context(), sink, sinktest.Events(0, 1)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKafkaSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	for _, c := range []struct {
		values map[string]any
		want   []string
	}{
		{map[string]any{"topic": "absent"}, []string{"there is no topic absent", "create it, or correct topic"}},
		{map[string]any{"brokers": "127.0.0.1:1"}, []string{"nobody listens there", "check address and port"}},
	} {
		t.Run(fmt.Sprint(c.values), func(t *testing.T) {
			t.Parallel()
			wantError(t, offer(t.Context(), openKafka(t, b, c.values), sinktest.Events(0, 1)), c.want...)
		})
	}
}
