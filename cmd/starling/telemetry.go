package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"starling/engine"
)

// flushTimeout bounds how long the end of the program waits for spans and metrics to be exported.
const flushTimeout = 3 * time.Second

// telemetry is the OpenTelemetry SDK, set up by the standard OTEL_* variables.
type telemetry struct {
	engine  *engine.Telemetry
	metrics http.Handler // Prometheus' text format
	stops   []func(context.Context) error
}

// newTelemetry sets the SDK up. Metrics can always be scraped; they and traces are exported if a
// variable says where. A collector that is slow or dead costs nothing but the data it should have got.
func newTelemetry(ctx context.Context, log *slog.Logger) (*telemetry, error) {
	otel.SetErrorHandler(&exportErrors{log: log})
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "starling"), attribute.String("service.version", buildVersion().number)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv()) // last, so that it wins
	if err != nil {
		return nil, err
	}
	t := &telemetry{}
	traces, err := t.traces(ctx, res)
	if err != nil {
		return nil, err
	}
	readers, err := t.readers(ctx)
	if err != nil {
		return nil, err
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(res)}
	for _, r := range readers {
		options = append(options, sdkmetric.WithReader(r))
	}
	metrics := sdkmetric.NewMeterProvider(options...)
	t.stops = append(t.stops, metrics.Shutdown)
	t.engine = engine.NewTelemetry(traces, metrics)
	return t, nil
}

// traces returns nil, on which the engine records nothing, if traces go nowhere.
func (t *telemetry) traces(ctx context.Context, res *resource.Resource) (trace.TracerProvider, error) {
	if !exported("TRACES") {
		return nil, nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER=%s: %w", os.Getenv("OTEL_TRACES_EXPORTER"), err)
	}
	if autoexport.IsNoneSpanExporter(exporter) {
		return nil, nil
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter))
	t.stops = append(t.stops, p.Shutdown)
	return p, nil
}

func (t *telemetry) readers(ctx context.Context) ([]sdkmetric.Reader, error) {
	registry := prometheus.NewRegistry()
	err := errors.Join(registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
	if err != nil {
		return nil, err
	}
	scraped, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	t.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	if !exported("METRICS") {
		return []sdkmetric.Reader{scraped}, nil
	}
	reader, err := autoexport.NewMetricReader(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_METRICS_EXPORTER=%s: %w", os.Getenv("OTEL_METRICS_EXPORTER"), err)
	}
	return []sdkmetric.Reader{scraped, reader}, nil
}

// stop exports what is left, within flushTimeout.
func (t *telemetry) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	var wait sync.WaitGroup
	for _, stop := range t.stops {
		wait.Go(func() {
			if err := stop(ctx); err != nil {
				otel.Handle(err)
			}
		})
	}
	wait.Wait()
}

// exported reports whether the environment asks to export a signal, TRACES or METRICS. Without any
// variable the SDK would send to a collector on this machine, where mostly none is. Prometheus is
// served anyway, and the SDK's own would want the address of the status server.
func exported(signal string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	if name := os.Getenv("OTEL_" + signal + "_EXPORTER"); name != "" {
		return name != "prometheus"
	}
	const prefix = "OTEL_EXPORTER_OTLP_"
	for _, v := range os.Environ() {
		rest, ok := strings.CutPrefix(v, prefix)
		name, value, _ := strings.Cut(rest, "=")
		of, _, _ := strings.Cut(name, "_")
		other := of == "TRACES" || of == "METRICS" || of == "LOGS"
		if ok && value != "" && (!other || of == signal) {
			return true
		}
	}
	return false
}

// exportErrors logs the errors of exporters, at most one a minute: a collector that is down would
// otherwise fill the log.
type exportErrors struct {
	log *slog.Logger

	mu      sync.Mutex
	next    time.Time
	skipped int
}

const exportErrorPeriod = time.Minute

// Handle implements otel.ErrorHandler.
func (e *exportErrors) Handle(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if now.Before(e.next) {
		e.skipped++
		return
	}
	e.log.Warn("telemetry is not exported; collecting goes on", "error", err, "not_told", e.skipped)
	e.next, e.skipped = now.Add(exportErrorPeriod), 0
}
