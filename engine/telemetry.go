package engine

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Scope is the instrumentation scope of every span and metric.
const Scope = "starling"

// Attribute keys, each declared once; logs use the same names.
const (
	KeyCollector = attribute.Key("collector") // "input/id/service"
	KeySink      = attribute.Key("sink")      // name of the output
	KeyScript    = attribute.Key("script")    // file name of the script
	KeyVersion   = attribute.Key("version")   // short hash of the script and all that it loads
	KeyOutcome   = attribute.Key("outcome")   // "ok", "error", "canceled", "handover"
	KeyCode      = attribute.Key("code")      // an engine.Code
	KeyStatus    = attribute.Key("http.response.status_code")
	KeyMethod    = attribute.Key("http.request.method")
	KeyURL       = attribute.Key("url.full") // without secrets
	KeyAttempt   = attribute.Key("http.request.resend_count")
	KeyBytes     = attribute.Key("bytes")
	KeyEvents    = attribute.Key("events")
	KeyQuota     = attribute.Key("quota") // name of a quota
	KeyKind      = attribute.Key("kind")  // what was reloaded: "script", "config", "certificate"
)

// Telemetry is every span and metric of the engine, in one place. Spans are named "pull", "request",
// "commit" and "deliver".
type Telemetry struct {
	Tracer trace.Tracer

	Pulls         metric.Int64Counter     // pulls ended, by collector and outcome
	PullSeconds   metric.Float64Histogram // how long pulls took
	Pages         metric.Int64Counter     // pages of answers handed to scripts
	Requests      metric.Int64Counter     // HTTP requests, by collector and status
	RequestTime   metric.Float64Histogram // seconds of one request with its answer
	Retries       metric.Int64Counter     // requests that were sent again
	Throttled     metric.Float64Counter   // seconds waited because the API or a rate limit asked for it
	EventsPulled  metric.Int64Counter     // events committed
	EventsSkipped metric.Int64Counter     // rows not sent because they had been sent before
	EventsCut     metric.Int64Counter     // events shortened, by collector or sink
	EventsAside   metric.Int64Counter     // events kept in a file instead, by collector or sink
	EventsDropped metric.Int64Counter     // events forgotten because the outbox was full, by sink
	EventsRefused metric.Int64Counter     // events refused for good, by sink
	BytesPulled   metric.Int64Counter     // bodies of events committed
	Commits       metric.Int64Counter     // commits, by collector
	CommitSeconds metric.Float64Histogram // how long commits took, disk included
	Steps         metric.Int64Counter     // Starlark instructions, by collector
	EventsSent    metric.Int64Counter     // events acknowledged, by sink
	BytesSent     metric.Int64Counter     // bodies of events acknowledged, by sink
	SendFailures  metric.Int64Counter     // epochs that were not acknowledged, by sink
	DeliverySecs  metric.Float64Histogram // seconds from commit to acknowledgement, by sink
	Reloads       metric.Int64Counter     // reloads, by kind and outcome
	Meter         metric.Meter            // for observable gauges: outbox bytes, age, lag
}

// NewTelemetry makes the instruments. Nil providers mean that nothing is recorded.
func NewTelemetry(traces trace.TracerProvider, metrics metric.MeterProvider) *Telemetry {
	if traces == nil {
		traces = tracenoop.NewTracerProvider()
	}
	if metrics == nil {
		metrics = metricnoop.NewMeterProvider()
	}
	m := metrics.Meter(Scope)
	counter := func(name, unit, doc string) metric.Int64Counter {
		c, _ := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(doc))
		return c
	}
	seconds := func(name, doc string) metric.Float64Histogram {
		h, _ := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(doc),
			metric.WithExplicitBucketBoundaries(.001, .005, .01, .05, .1, .5, 1, 5, 10, 60, 300, 1800))
		return h
	}
	throttled, _ := m.Float64Counter("starling.throttled", metric.WithUnit("s"),
		metric.WithDescription("Time waited because the API or a rate limit asked for it."))
	return &Telemetry{
		Tracer:        traces.Tracer(Scope),
		Meter:         m,
		Pulls:         counter("starling.pulls", "{pull}", "Pulls ended, by outcome."),
		PullSeconds:   seconds("starling.pull.duration", "How long pulls took."),
		Pages:         counter("starling.pages", "{page}", "Pages of answers handed to scripts."),
		Requests:      counter("starling.requests", "{request}", "HTTP requests, by status."),
		RequestTime:   seconds("starling.request.duration", "One HTTP request with its answer."),
		Retries:       counter("starling.retries", "{request}", "HTTP requests that were sent again."),
		Throttled:     throttled,
		EventsPulled:  counter("starling.events.pulled", "{event}", "Events committed."),
		EventsSkipped: counter("starling.events.skipped", "{event}", "Rows not sent because they had been sent before."),
		EventsCut:     counter("starling.events.cut", "{event}", "Events shortened, because they were too large."),
		EventsAside:   counter("starling.events.set_aside", "{event}", "Events kept in a file of the state directory instead of going on."),
		EventsDropped: counter("starling.events.dropped", "{event}", "Events that a sink was not given because the outbox was full."),
		EventsRefused: counter("starling.events.refused", "{event}", "Events that a sink refused for good, each counted once."),
		BytesPulled:   counter("starling.bytes.pulled", "By", "Bodies of events committed."),
		Commits:       counter("starling.commits", "{commit}", "Commits."),
		CommitSeconds: seconds("starling.commit.duration", "How long commits took, disk included."),
		Steps:         counter("starling.script.steps", "{step}", "Starlark instructions executed."),
		EventsSent:    counter("starling.events.sent", "{event}", "Events acknowledged by a sink."),
		BytesSent:     counter("starling.bytes.sent", "By", "Bodies of events acknowledged by a sink."),
		SendFailures:  counter("starling.send.failures", "{epoch}", "Epochs that a sink did not acknowledge; they are offered again."),
		DeliverySecs:  seconds("starling.delivery.lag", "From commit to acknowledgement."),
		Reloads:       counter("starling.reloads", "{reload}", "Reloads of scripts, configuration and certificates, by outcome."),
	}
}

func attrs(kv ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(kv...)
}
