package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"starling/engine"
)

func TestLogNeverShowsSecrets(t *testing.T) {
	t.Parallel()
	const secret = `pa"ss wörd\1`
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := &engine.Redactor{}
			r.Add(secret)
			var out bytes.Buffer
			log := slog.New(newHandler(&out, format, slog.LevelInfo, r))
			log.Info("message with "+secret, "text", secret, "error", errors.New("it was "+secret), "hidden", engine.NewSecret(secret),
				"list", []string{"a", secret}, slog.Group("group", "inner", "x"+secret))
			log.With("before", secret).WithGroup("g").Warn("with", "n", 1, "map", map[string]string{"k": secret})
			for _, part := range []string{"ss w", "rd\\1"} {
				if strings.Contains(out.String(), part) {
					t.Errorf("a secret is in the log:\n%s", &out)
				}
			}
			const want = 8 // in the two lines above
			if got := strings.Count(out.String(), "****SANITIZED****"); got != want {
				t.Errorf("got %d places made unreadable, want %d:\n%s", got, want, &out)
			}
		})
	}
}

func TestLogCarriesTheTrace(t *testing.T) {
	t.Parallel()
	id := trace.TraceID{1, 2, 3}
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{4}}))
	text := "trace_id=" + id.String()
	for _, c := range []struct {
		name string
		ctx  context.Context
		with []any
		want int
	}{
		{"of the context", ctx, nil, 1},
		{"of the logger, once", ctx, []any{"trace_id", id.String()}, 1},
		{"of the logger alone", t.Context(), []any{"trace_id", id.String()}, 1},
		{"no trace", t.Context(), []any{"trace_id", trace.TraceID{}.String()}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log := slog.New(newHandler(&out, "text", slog.LevelInfo, nil)).With(c.with...)
			log.InfoContext(c.ctx, "hello")
			if got := strings.Count(out.String(), "trace_id="); got != c.want || strings.Count(out.String(), text) != c.want {
				t.Errorf("got %d trace ids, want %d: %s", got, c.want, &out)
			}
		})
	}
}

func TestLogLevelFollowsTheConfigurationUnlessAFlagSaysOtherwise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flag         string
		first, after bool // whether a line of level debug is written
	}{{"", false, true}, {"error", false, false}, {"debug", true, true}} {
		t.Run("flag "+c.flag, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := &program{stderr: &out, logLevel: c.flag}
			log, setLevel, err := p.newLogger(&engine.Config{LogLevel: "info", LogFormat: "text"})
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("first")
			setLevel(&engine.Config{LogLevel: "debug"})
			log.Debug("after")
			if first, after := strings.Contains(out.String(), "first"), strings.Contains(out.String(), "after"); first != c.first || after != c.after {
				t.Errorf("got lines %v and %v, want %v and %v: %s", first, after, c.first, c.after, &out)
			}
		})
	}
}

func TestLogPutsSeveralLinesBelowTheirOwn(t *testing.T) {
	t.Parallel()
	r := &engine.Redactor{}
	r.Add("two\nlines of a key")
	var out bytes.Buffer
	log := slog.New(newHandler(&out, "text", slog.LevelInfo, r))
	log.With("a", 1).Error("refused", "error", "x.star:1:2: wrong\n    x = (\n        ^\ntime=forged level=INFO", "key", "two\nlines of a key", "b", 2)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for i, want := range []string{` level=ERROR msg=refused a=1 error="x.star:1:2: wrong" key=****SANITIZED**** b=2`,
		"    |     x = (", "    |         ^", "    | time=forged level=INFO"} {
		if i >= len(lines) || !strings.HasSuffix(lines[i], want) || (i > 0 && lines[i] != want) {
			t.Fatalf("line %d: want %q in\n%s", i+1, want, &out)
		}
	}
	if len(lines) != 4 {
		t.Errorf("got %d lines:\n%s", len(lines), &out)
	}
}
