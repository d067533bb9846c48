package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Not parallel: the environment is the process's.
func TestNothingIsExportedUnlessAVariableAsksForIt(t *testing.T) {
	for _, c := range []struct {
		name            string
		env             map[string]string
		traces, metrics bool
	}{
		{"nothing set", nil, false, false},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, true, true},
		{"an endpoint for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318"}, true, false},
		{"an empty endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, false, false},
		{"traces to the console", map[string]string{"OTEL_TRACES_EXPORTER": "console"}, true, false},
		{"metrics for Prometheus, which are served anyway", map[string]string{"OTEL_METRICS_EXPORTER": "prometheus"}, false, false},
		{"all off", map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			if traces, metrics := exported("TRACES"), exported("METRICS"); traces != c.traces || metrics != c.metrics {
				t.Errorf("got traces %v, metrics %v; want %v, %v", traces, metrics, c.traces, c.metrics)
			}
		})
	}
}

func TestExportErrorsAreLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		e := &exportErrors{log: slog.New(slog.NewTextHandler(&out, nil))}
		for range 100 { // for 99 seconds
			e.Handle(errors.New("connection refused"))
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("got %d lines, want 2:\n%s", len(lines), &out)
		}
		if want := "not_told=59"; !strings.Contains(lines[1], want) {
			t.Errorf("got %q, want %s in it", lines[1], want)
		}
	})
}

// Not parallel: the environment is the process's.
func TestWrongTelemetryVariableIsAWrongConfiguration(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "nonsense")
	dir := helloDir(t, "off", "nowhere: {type: discard}", "http://127.0.0.1:1")
	var errs strings.Builder
	code := run(t.Context(), []string{"run", "--config", filepath.Join(dir, "config.yaml")}, program{stdout: io.Discard, stderr: &errs, getenv: os.Getenv})
	if code != exitWrong || !strings.HasPrefix(errs.String(), "telemetry: OTEL_TRACES_EXPORTER=nonsense: ") {
		t.Errorf("got %d %s, want %d and which exporter is unknown", code, errs.String(), exitWrong)
	}
}
