package builtins

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// newLog makes the module log. A line goes to the log of the pull, so that it carries the collector,
// the script's version and the trace, and says in which line of the script it was written.
//
//	log.debug(message, **attributes)
//	log.info(message, **attributes)
//	log.warn(message, **attributes)
//	log.error(message, **attributes)
//
// Write a constant message and put what varies into attributes: log.info("window done", rows = n).
// Secrets never appear. A text is cut after 4 KiB; of the lines of a pull, the first
// starling.limits.log_lines_per_pull are written. log.error does not end the pull: fail(…) does.
func newLog() *starlarkstruct.Module {
	return module("log", map[string]builtinFunc{
		"debug": logAt(slog.LevelDebug),
		"info":  logAt(slog.LevelInfo),
		"warn":  logAt(slog.LevelWarn),
		"error": logAt(slog.LevelError),
	})
}

func logAt(level slog.Level) builtinFunc {
	return func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var message starlark.Value
		if err := starlark.UnpackPositionalArgs(b.Name(), args, nil, 1, &message); err != nil {
			return nil, err
		}
		l, err := scriptLogOf(thread)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		if l.Enabled(l.ctx, level) && l.allow() {
			at := slog.String("at", thread.CallFrame(1).Pos.String())
			l.LogAttrs(l.ctx, level, l.text(message), append(l.attributes(kwargs), at)...)
		}
		return starlark.None, nil
	}
}

// A scriptLog is where a script logs to: the log of its pull, or of the load of its top level.
type scriptLog struct {
	*slog.Logger
	ctx      context.Context
	allow    func() bool
	redactor *engine.Redactor
}

func scriptLogOf(thread *starlark.Thread) (scriptLog, error) {
	if p, err := engine.PullOf(thread); err == nil {
		return scriptLog{p.Logger(), p.Context(), p.AllowLog, p.Env().Redactor}, nil
	}
	load, err := engine.LoadOf(thread)
	if err != nil {
		return scriptLog{}, fmt.Errorf("there is neither a pull nor a load here: %w", err)
	}
	log := load.Env.Logger.With(string(engine.KeyCollector), load.Collector)
	return scriptLog{log, context.Background(), load.AllowLog, load.Env.Redactor}, nil
}

// Bounds of one line.
const (
	maxLogText       = 4 << 10 // bytes of the message, and of each attribute
	maxLogAttributes = 32
)

func (l scriptLog) attributes(kwargs []starlark.Tuple) []slog.Attr {
	var list []slog.Attr
	for i, kv := range kwargs {
		if i == maxLogAttributes {
			return append(list, slog.Int("attributes_left_out", len(kwargs)-i))
		}
		list = append(list, slog.Attr{Key: l.text(kv[0]), Value: l.value(kv[1])})
	}
	return list
}

func (l scriptLog) value(v starlark.Value) slog.Value {
	switch v := v.(type) {
	case starlark.Bool:
		return slog.BoolValue(bool(v))
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return slog.Int64Value(n)
		}
	case starlark.Float:
		return slog.Float64Value(float64(v))
	}
	return slog.StringValue(l.text(v))
}

// text returns a value as a line shows it. It is redacted before it is cut, because half of a secret
// would not be recognised.
func (l scriptLog) text(v starlark.Value) string {
	text, ok := starlark.AsString(v)
	if !ok {
		text = engine.Show(v)
	}
	text = l.redactor.Redact(text)
	if len(text) <= maxLogText {
		return text
	}
	return strings.ToValidUTF8(text[:maxLogText], "") + "…"
}
