package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"

	"go.opentelemetry.io/otel/trace"

	"starling/engine"
)

const traceKey = "trace_id"

// newLogger logs to stderr as the configuration says; flags win. The level follows the configuration
// when setLevel is called with a new one.
func (p *program) newLogger(config *engine.Config) (log *slog.Logger, setLevel func(*engine.Config), err error) {
	format := cmp.Or(p.logFormat, config.LogFormat)
	if format != "text" && format != "json" && format != "devo" {
		return nil, nil, usage("--log-format: got %q, want text, json or devo", p.logFormat)
	}
	if err := new(slog.Level).UnmarshalText([]byte(cmp.Or(p.logLevel, config.LogLevel))); err != nil {
		return nil, nil, usage("--log-level: got %q, want debug, info, warn or error", p.logLevel)
	}
	level := new(slog.LevelVar)
	devo := &devoLog{level: level, redactor: p.redactor, old: config.LogDevoOld, w: p.stderr}
	setLevel = func(c *engine.Config) {
		devo.use(c)
		var l slog.Level
		if l.UnmarshalText([]byte(cmp.Or(p.logLevel, c.LogLevel))) == nil {
			level.Set(l)
		}
	}
	setLevel(config)
	if format == "devo" {
		return slog.New(&devoHandler{devoLog: devo}), setLevel, nil
	}
	return slog.New(newHandler(p.stderr, format, level, p.redactor)), setLevel, nil
}

func newHandler(w io.Writer, format string, level slog.Leveler, r *engine.Redactor) slog.Handler {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return redact(a, r) }}
	if format == "json" {
		return &traceHandler{Handler: slog.NewJSONHandler(w, o)}
	}
	return &traceHandler{Handler: &proseHandler{Handler: slog.NewTextHandler(w, o), w: w, mu: &sync.Mutex{}, redactor: r}}
}

// proseHandler writes what has several lines, such as a script's error with its source line and
// backtrace, below the line it belongs to. Each of these lines is marked, so that none can pass for a
// line of the log.
type proseHandler struct {
	slog.Handler
	w        io.Writer
	mu       *sync.Mutex // keeps a line and what is below it together
	redactor *engine.Redactor
}

func (h *proseHandler) Handle(ctx context.Context, rec slog.Record) error {
	short := slog.NewRecord(rec.Time, rec.Level, rec.Message, rec.PC)
	var below strings.Builder
	rec.Attrs(func(a slog.Attr) bool {
		first, rest, several := strings.Cut(h.redactor.Redact(a.Value.String()), "\n")
		if !several {
			short.AddAttrs(a)
			return true
		}
		short.AddAttrs(slog.String(a.Key, first))
		for line := range strings.Lines(rest) {
			fmt.Fprintf(&below, "    | %s\n", printable(strings.TrimRight(line, "\r\n")))
		}
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.Handler.Handle(ctx, short); err != nil {
		return err
	}
	_, err := io.WriteString(h.w, below.String())
	return err
}

// printable returns text with question marks for what a terminal would obey, for what ends or reorders
// a line where it is shown, and for what is no UTF-8. Tabs and line feeds stay.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// ordered returns text without what changes the order in which a line is read.
func ordered(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, text)
}

func (h *proseHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &proseHandler{h.Handler.WithAttrs(attrs), h.w, h.mu, h.redactor}
}

func (h *proseHandler) WithGroup(name string) slog.Handler {
	return &proseHandler{h.Handler.WithGroup(name), h.w, h.mu, h.redactor}
}

// redact takes secrets out of an attribute; the message is one too. What is neither text nor number
// is made text first, because a secret can be anywhere in it.
func redact(a slog.Attr, r *engine.Redactor) slog.Attr {
	a.Key = ordered(r.Redact(a.Key))
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(ordered(r.Redact(a.Value.String())))
	case slog.KindAny:
		a.Value = slog.StringValue(ordered(r.Redact(fmt.Sprint(a.Value.Any()))))
	}
	if a.Key == traceKey && strings.Trim(a.Value.String(), "0") == "" {
		return slog.Attr{} // no trace is recorded
	}
	return a
}

// traceHandler adds the id of the trace in the context to each line, unless the logger has it already.
type traceHandler struct {
	slog.Handler
	has bool
}

func (h *traceHandler) Handle(ctx context.Context, rec slog.Record) error {
	if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() && !h.has {
		rec = rec.Clone()
		rec.AddAttrs(slog.String(traceKey, id.String()))
	}
	return h.Handler.Handle(ctx, rec)
}

func (h *traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	has := h.has
	for _, a := range attrs {
		has = has || a.Key == traceKey
	}
	return &traceHandler{h.Handler.WithAttrs(attrs), has}
}

func (h *traceHandler) WithGroup(name string) slog.Handler {
	return &traceHandler{h.Handler.WithGroup(name), h.has}
}

// redacting takes known secrets out of each text that is written to it.
type redacting struct {
	w io.Writer
	r *engine.Redactor
}

func (w redacting) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.w, w.r.Redact(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
