package sinks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"starling/engine"
)

// batchExtra is how many bytes a batch of one record has beside its value, at most.
const batchExtra = 4 << 10

var compressions = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// hostPorts reads addresses, host:port, separated by commas.
func hostPorts(c *engine.Section, key string) (all []string) {
	for _, text := range strings.Split(c.Required(key), ",") {
		text = strings.TrimSpace(text)
		host, port, err := net.SplitHostPort(text)
		if c.Has(key) && (err != nil || host == "" || port == "" || strings.ContainsAny(text, "/@ ")) {
			c.Errorf(key, "want host:port, several separated by commas, got %q", text)
		}
		all = append(all, text)
	}
	return all
}

// saslOf reads how to sign in; a password must not be readable on the way.
func saslOf(c *engine.Section, secure bool, brokers []string) kgo.Opt {
	how := c.Choice("sasl", "none", "none", "plain", "scram-sha-256", "scram-sha-512")
	if how == "none" {
		for _, key := range []string{"user", "password"} {
			if c.Has(key) {
				c.Errorf(key, "is nothing without sasl: plain, scram-sha-256 or scram-sha-512")
			}
		}
		return nil
	}
	user, password := c.Required("user"), c.Required("password")
	switch how {
	case "scram-sha-256":
		return kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism())
	case "scram-sha-512":
		return kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism())
	}
	for _, broker := range brokers {
		if host, _, _ := net.SplitHostPort(broker); !secure && !isThisMachine(host) {
			c.Errorf("sasl", "is plain, and with type: TCP anybody on the way can read the password; use SSL, or scram-sha-512")
			break
		}
	}
	return kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism())
}

// recordFormat makes records of events.
type recordFormat struct {
	topic string
	keyed bool
	value appendLine
}

// record makes a record that shares no memory with the event: a producer that is closed may still read it.
func (f *recordFormat) record(e *engine.Event) *kgo.Record {
	tag := []byte(e.Table.Tag)
	r := &kgo.Record{Topic: f.topic, Value: bytes.TrimSuffix(f.value(nil, e), lineFeed), Headers: []kgo.RecordHeader{{Key: "tag", Value: tag}}}
	if f.keyed {
		r.Key = tag
	}
	if !e.Time.IsZero() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "time", Value: appendDate(nil, e.Time)})
	}
	return r
}

// connect makes a producer and asks a broker for an answer, so that what is wrong with address,
// certificates or password is told as such, and at once.
func (s *kafka) connect(ctx context.Context) error {
	problem := &lastProblem{config: s.config()}
	options := []kgo.Opt{
		kgo.SeedBrokers(s.brokers...), kgo.ClientID("starling"), kgo.WithLogger(problem), kgo.Dialer(dialWith(problem.config)),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(s.codec), kgo.ProducerBatchMaxBytes(int32(s.maxEvent) + batchExtra),
		kgo.MaxBufferedRecords(math.MaxInt32), // the engine bounds epochs
		kgo.DisableClientMetrics(),
	}
	if s.sasl != nil {
		options = append(options, s.sasl)
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	s.client, s.problem = client, problem
	ctx, cancel := context.WithTimeoutCause(ctx, s.patience, errNoAnswers)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// dialWith returns how to connect: over TLS if there is a config.
func dialWith(config *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	if config == nil {
		return newDialer().DialContext
	}
	return (&tls.Dialer{NetDialer: newDialer(), Config: config}).DialContext
}

// answers is what the brokers have answered about an epoch.
type answers struct {
	sent int // belongs to the goroutine that sends

	mu    sync.Mutex
	acked int
	err   error // the first that is not an acknowledgement
}

// promise returns what notes the answer about the event of that index.
func (a *answers) promise(index int) func(*kgo.Record, error) {
	return func(_ *kgo.Record, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		switch {
		case err == nil:
			a.acked++
		case a.err == nil:
			a.err = judgeRecord(index, err)
		}
	}
}

// judgeRecord tells a refusal of an event from other errors. An answer is about a batch, any event of which may
// be the reason.
func judgeRecord(index int, err error) error {
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.InvalidTimestamp) {
		return &engine.Refused{Index: -1, Err: err}
	}
	return fmt.Errorf("event %d of the epoch: %w", index, err)
}

func (a *answers) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *answers) acknowledged() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.acked
}

// lastProblem keeps the last error that the producer logs; it tries again without telling otherwise.
type lastProblem struct {
	config *tls.Config // of the producer

	mu  sync.Mutex
	err error
}

// Level and Log make it a kgo.Logger.
func (*lastProblem) Level() kgo.LogLevel { return kgo.LogLevelInfo }

func (p *lastProblem) Log(_ kgo.LogLevel, _ string, keysAndValues ...any) {
	for _, value := range keysAndValues {
		if err, ok := value.(error); ok && !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed) {
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
		}
	}
}

func (p *lastProblem) last() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
