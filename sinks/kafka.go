package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"starling/engine"
)

// kafka produces records. An epoch is acknowledged when the broker has answered every record of it, and
// each was written by all replicas that are in sync (acks=all). After any error the producer is closed,
// with all that it has not sent, and the next epoch gets another one.
type kafka struct {
	*clientTLS
	op       string
	brokers  []string
	sasl     kgo.Opt // nil: none
	codec    kgo.CompressionCodec
	patience time.Duration // how long to wait for the answers of an epoch

	records  recordFormat
	maxEvent maxEvent

	client  *kgo.Client // nil before the first epoch and after an error
	problem *lastProblem
	epoch   *answers
}

var (
	_ engine.Sink     = (*kafka)(nil)
	_ engine.Reloader = (*kafka)(nil)
	_ engine.Expirer  = (*kafka)(nil)
)

// newKafka makes a sink of the type kafka: a record for each event, in a topic of Apache Kafka or of what
// speaks its protocol. The header tag of a record has the table, and time the event's time (UTC; absent if
// unknown); the record's own time is that of sending, as brokers delete by it. Its keys:
//
//	brokers          host:port, several separated by commas; they name the others
//	topic            must exist
//	record_key       tag or none: with tag all events of a table come into one partition, in order (tag)
//	format           body, devo or frame (body): what a value is; see lineFormat
//	compression      none, gzip, snappy, lz4 or zstd (zstd)
//	max_event_bytes  the longest value; a longer one is refused, which the output's key oversized decides
//	                 about. Batches before compression are 4 KiB larger at most: keep it so much below the
//	                 topic's max.message.bytes (1020KiB)
//	type             SSL or TCP; TCP has no encryption (SSL)
//	chain            for SSL: certificates that the brokers' must be signed by, PEM (the system's)
//	cert, key        for SSL: a certificate to show, PEM
//	sasl             none, plain, scram-sha-256 or scram-sha-512 (none)
//	user, password   for sasl
//	confirm_timeout  seconds to wait until all events of an epoch are acknowledged (30)
//
// It acknowledges what all replicas in sync have (acks=all): how many these are is the topic's
// min.insync.replicas, and whether they sync their disks the brokers' matter. The producer is idempotent: its own
// repetitions are no duplicates. What Starling offers again after an error or a restart is.
func newKafka(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	s := &kafka{
		op:       "output " + out.Name,
		brokers:  hostPorts(c, "brokers"),
		codec:    compressions[c.Choice("compression", "zstd", "none", "gzip", "snappy", "lz4", "zstd")],
		patience: c.Seconds("confirm_timeout", 30*time.Second, time.Second, time.Hour),
		records: recordFormat{
			topic: c.Required("topic"),
			keyed: c.Choice("record_key", "tag", "tag", "none") == "tag",
			value: lineFormat(c, env, "body", "body", "devo", "frame"),
		},
		maxEvent: maxEvent(c.Bytes("max_event_bytes", 1<<20-batchExtra, 256, 64<<20)),
	}
	s.clientTLS = newClientTLS(c, env, s.op)
	s.sasl = saslOf(c, s.clientTLS.on, s.brokers)
	if err := c.Err(); err != nil {
		return nil, err
	}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Send hands records to the producer, which sends them when it has a batch. It holds an epoch at most.
func (s *kafka) Send(ctx context.Context, events []engine.Event) error {
	if err := s.begin(ctx); err != nil {
		return s.failed(ctx, err)
	}
	for i := range events {
		index := s.epoch.sent
		r := s.records.record(&events[i])
		if err := s.maxEvent.check(len(r.Value), &events[i], index); err != nil {
			return s.failed(ctx, err)
		}
		s.epoch.sent++
		s.client.Produce(context.Background(), r, s.epoch.promise(index))
	}
	if err := s.epoch.failure(); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

// begin begins an epoch, unless one is under way, with a producer that uses the present certificates.
func (s *kafka) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.epoch != nil {
		return nil
	}
	if s.client != nil && s.problem.config != s.config() {
		s.drop()
	}
	if s.client == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	s.epoch = &answers{}
	return nil
}

// Flush waits for the answers.
func (s *kafka) Flush(ctx context.Context) error {
	if s.epoch == nil {
		return nil
	}
	waiting, cancel := context.WithTimeoutCause(ctx, s.patience, errNoAnswers)
	defer cancel()
	if s.client.Flush(waiting) != nil {
		return s.failed(ctx, context.Cause(waiting))
	}
	if err := s.epoch.failure(); err != nil {
		return s.failed(ctx, err)
	}
	if n := s.epoch.acknowledged(); n != s.epoch.sent {
		return s.failed(ctx, fmt.Errorf("%d of %d events are acknowledged", n, s.epoch.sent))
	}
	s.epoch = nil
	return nil
}

var errNoAnswers = errors.New("the brokers did not acknowledge all events in time")

// failed forgets the epoch and says why it failed, in words for the person who reads the log.
func (s *kafka) failed(ctx context.Context, err error) error {
	problem := s.problem
	s.drop()
	if ctx.Err() != nil {
		return &engine.Error{Code: engine.CodeCanceled, Op: s.op, Err: context.Cause(ctx)}
	}
	if last := problem.last(); errors.Is(err, errNoAnswers) && last != nil {
		err = fmt.Errorf("%w; the last problem was: %w", err, last)
	}
	text, hint := s.explain(err)
	if text != "" {
		err = fmt.Errorf("%s: %w", text, err)
	}
	return &engine.Error{Code: engine.CodeSink, Op: s.op, Hint: hint, Err: err}
}

func (s *kafka) explain(err error) (text, hint string) {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return "there is no topic " + s.records.topic, "create it, or correct topic"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "", "the user may not write to the topic " + s.records.topic
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "", "check sasl, user and password"
	case errors.Is(err, kerr.MessageTooLarge):
		return "", "set max_event_bytes to 4 KiB less than the topic's max.message.bytes"
	}
	if errors.Is(err, io.EOF) {
		return "the broker hung up", "check brokers, type (SSL or TCP), sasl, user and password"
	}
	return s.files.explain(err)
}

// drop closes the producer, and with it whatever it has not sent.
func (s *kafka) drop() {
	if s.client != nil {
		s.client.Close()
	}
	s.client, s.epoch = nil, nil
}

// Close closes the producer.
func (s *kafka) Close() error {
	s.drop()
	return nil
}
