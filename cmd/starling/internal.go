package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"starling/engine"
)

// An internalHandler has each line of the log go to Devo as well, as Devo's collectors do with theirs.
// Lines about that would never end, so nothing logs them.
type internalHandler struct {
	slog.Handler
	attrs []slog.Attr
	*internalLog
}

// internalEvents is where lines go, if On.
type internalEvents interface {
	On() bool
	Add(table *engine.Table, at time.Time, body []byte)
}

// An internalLog is what the handlers of one log share.
type internalLog struct {
	to       internalEvents
	about    engine.InternalAbout
	level    slog.Leveler
	redactor *engine.Redactor
}

func (h *internalHandler) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= h.level.Level() && h.to.On() {
		h.tell(rec)
	}
	return h.Handler.Handle(ctx, rec)
}

// An internalLine has the keys that Devo's collectors give their lines.
type internalLine struct {
	Msg     string  `json:"msg"`
	Time    string  `json:"time"`
	Level   string  `json:"level"`
	Name    string  `json:"collector_name"`
	Version string  `json:"collector_version"`
	Image   string  `json:"collector_image"`
	Input   *string `json:"input_name"`
	Service *string `json:"service_name"`
	Module  *string `json:"module_name"`
}

func (h *internalHandler) tell(rec slog.Record) {
	attrs := withRecord(h.attrs, rec, h.redactor)
	level := strings.ToLower(devoLevel(rec.Level))
	line := internalLine{Msg: printable(plainText(h.redactor.Redact(rec.Message), attrs)), Time: rec.Time.UTC().Format(time.RFC3339Nano), Level: level,
		Name: h.about.Name, Version: h.about.Version, Image: h.about.Image}
	for _, a := range attrs {
		if parts := strings.SplitN(a.Value.String(), "/", 3); a.Key == string(engine.KeyCollector) && len(parts) == 3 {
			module := pullerClass(a.Value.String())
			line.Input, line.Service, line.Module = &parts[0], &parts[2], &module
		}
	}
	body, err := json.Marshal(line)
	if err != nil { // texts can be encoded
		return
	}
	priority := map[string]int{"debug": 15, "info": 14, "warning": 12, "error": 11}[level]
	h.to.Add(&engine.Table{Tag: "devo.collectors.out.local." + level, Priority: priority}, rec.Time, body)
}

func (h *internalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &internalHandler{h.Handler.WithAttrs(attrs), withAttrs(h.attrs, attrs, h.redactor), h.internalLog}
}

func (h *internalHandler) WithGroup(name string) slog.Handler {
	return &internalHandler{h.Handler.WithGroup(name), h.attrs, h.internalLog}
}

// internalAbout is what events about Starling itself say of it.
func internalAbout(c *engine.Config) engine.InternalAbout {
	version := buildVersion().number
	return engine.InternalAbout{ID: c.ID, Name: c.Name, Version: version, Image: "starling:" + version}
}
