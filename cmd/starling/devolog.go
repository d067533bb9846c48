package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"starling/engine"
)

// A devoHandler writes lines in the form of Devo's collectors:
//
//	2026-11-23T04:05:35.660    INFO MainProcess::MainThread -> message
//
// What Devo's collectors have a line for is written as that line, or several: devolines.go is the table.
// Everything else is its message and its attributes. Some lines of theirs are of a higher level than the
// record, so the handler takes every record and judges lines.
type devoHandler struct {
	*devoLog
	attrs []slog.Attr
}

// A devoLog is what the handlers of one log share.
type devoLog struct {
	level    slog.Leveler
	redactor *engine.Redactor
	old      bool // lines as of SDK 1.6 and before, where they differ

	mu     sync.Mutex // guards what follows, and keeps a line and what is below it together
	w      io.Writer
	config *engine.Config
	asked  time.Time // when a signal asked for the end
}

func (l *devoLog) use(c *engine.Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config = c
}

// A devoRecord is a record of the log with all its attributes.
type devoRecord struct {
	slog.Record
	attrs []slog.Attr
	log   *devoLog
}

// A devoLine is a line of the log without its time.
type devoLine struct {
	level         slog.Level
	process, text string
}

func (h *devoHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelDebug
}

func (h *devoHandler) Handle(_ context.Context, rec slog.Record) error {
	rec.Message = h.redactor.Redact(rec.Message)
	r := devoRecord{rec, withRecord(h.attrs, rec, h.redactor), h.devoLog}
	h.mu.Lock()
	defer h.mu.Unlock()
	var out bytes.Buffer
	for _, line := range devoLines(r) {
		if line.level < h.level.Level() {
			continue
		}
		first, below, _ := strings.Cut(line.text, "\n")
		fmt.Fprintf(&out, "%s %7s %s -> %s\n", rec.Time.Local().Format("2006-01-02T15:04:05.000"), devoLevel(line.level), oneLine(line.process), oneLine(first))
		for more := range strings.Lines(below) {
			fmt.Fprintf(&out, "    | %s\n", printable(strings.TrimRight(more, "\r\n")))
		}
	}
	_, err := h.w.Write(out.Bytes())
	return err
}

func oneLine(text string) string { return printable(strings.ReplaceAll(text, "\n", " ")) }

func (h *devoHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &devoHandler{h.devoLog, withAttrs(h.attrs, attrs, h.redactor)}
}

// withAttrs returns the attributes of a log with more of them, flat and without secrets.
func withAttrs(all, more []slog.Attr, r *engine.Redactor) []slog.Attr {
	all = slices.Clip(all)
	for _, a := range more {
		all = flat(all, "", a, r)
	}
	return all
}

// withRecord does so with those of a record.
func withRecord(all []slog.Attr, rec slog.Record, r *engine.Redactor) []slog.Attr {
	all = slices.Clip(all)
	rec.Attrs(func(a slog.Attr) bool {
		all = flat(all, "", a, r)
		return true
	})
	return all
}

// flat appends an attribute without secrets; those of a group one by one.
func flat(all []slog.Attr, group string, a slog.Attr, r *engine.Redactor) []slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() == slog.KindGroup {
		for _, inner := range a.Value.Group() {
			all = flat(all, group+a.Key+".", inner, r)
		}
		return all
	}
	a.Key = group + a.Key
	if a = redact(a, r); a.Key == "" || a.Key == traceKey {
		return all
	}
	return append(all, a)
}

// WithGroup has no group: the names of the attributes are enough for a person.
func (h *devoHandler) WithGroup(string) slog.Handler { return h }

// devoLevel is the name of a level in Python.
func devoLevel(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	}
	return "ERROR"
}

// value returns an attribute, the last of that name.
func (r devoRecord) value(key string) slog.Value {
	for i := len(r.attrs) - 1; i >= 0; i-- {
		if r.attrs[i].Key == key {
			return r.attrs[i].Value
		}
	}
	return slog.Value{}
}

func (r devoRecord) text(key string) string {
	if v := r.value(key); v.Any() != nil {
		return v.String()
	}
	return ""
}

func (r devoRecord) number(key string) float64 {
	switch v := r.value(key); v.Kind() {
	case slog.KindInt64:
		return float64(v.Int64())
	case slog.KindFloat64:
		return v.Float64()
	case slog.KindDuration:
		return v.Duration().Seconds()
	case slog.KindString:
		d, _ := time.ParseDuration(v.String())
		return d.Seconds()
	}
	return 0
}

// plain is the record as a line of its own: its message, its attributes, and below it what has several lines.
func (r devoRecord) plain() devoLine {
	return devoLine{r.Level, r.process(), plainText(r.Message, r.attrs)}
}

// plainText writes a message and attributes as the text format has them.
func plainText(message string, attrs []slog.Attr) string {
	var line, below strings.Builder
	rec := slog.NewRecord(time.Time{}, 0, "", 0)
	for _, a := range attrs {
		first, rest, several := strings.Cut(a.Value.String(), "\n")
		if several {
			a = slog.String(a.Key, first)
			below.WriteString("\n" + strings.TrimRight(rest, "\n"))
		}
		rec.AddAttrs(a)
	}
	h := slog.NewTextHandler(&line, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if _, level := a.Value.Any().(slog.Level); level || a.Key == slog.MessageKey && a.Value.String() == "" {
			return slog.Attr{}
		}
		return a
	}})
	_ = h.Handle(context.Background(), rec) // a strings.Builder takes everything
	text := strings.TrimSpace(line.String())
	return strings.TrimSpace(message+" "+text) + below.String()
}
