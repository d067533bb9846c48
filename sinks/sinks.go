// Package sinks holds the destinations of events: one file per kind, and the table that joins them.
// What each of them must do is written at [engine.Sink]; package sinktest checks it.
//
// To add one, write its file and a line in kinds, and run sinktest.Run on it.
package sinks

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"starling/engine"
)

// kinds are the types of outputs that a configuration may name. The names are Devo's, and so are
// those of their keys, so that the configuration of a Devo collector works as it is.
var kinds = map[string]func(engine.Output, Env) (engine.Sink, error){
	"devo_platform":  newDevo,
	"relay":          newDevo,
	"syslog":         newSyslog,
	"in_house_relay": newSyslog,
	"sidecar":        newSyslog,
	"relp":           newRelp,
	"http":           newHTTP,
	"devo_http":      newDevoHTTP,
	"kafka":          newKafka,
	"nats":           newNATS,
	"console":        newConsole,
	"stdout":         newConsole,
	"file":           newFile,
	"discard":        newDiscard,
}

// Env is what sinks use of the process they run in.
type Env struct {
	Logger *slog.Logger
	// Stdout is where console sinks write.
	Stdout io.Writer
	// Hostname stands in the header of events whose table names no host.
	Hostname string
}

// New makes the sink that out describes. It reads all of out.Config and the files named there, and
// connects to nothing: a destination that is down is no reason not to start.
func New(out engine.Output, env Env) (engine.Sink, error) {
	open, ok := kinds[out.Type]
	if !ok && strings.Contains(strings.ToLower(out.Type), "lookup") {
		return nil, &engine.Error{Code: engine.CodeConfig, Op: out.Place, Err: fmt.Errorf("%q: %s", out.Type, engine.LookupsGone)}
	}
	if !ok {
		id := engine.ErrorID{Class: "CollectorConfigurationException", Number: 14}
		return nil, &engine.Error{Code: engine.CodeConfig, Op: out.Place, Err: errors.New(id.Reason(fmt.Sprintf("unknown type %q%s; known types are %s",
			out.Type, didYouMean(out.Type), strings.Join(Kinds(), ", "))))}
	}
	return open(out, env)
}

// Kinds lists the known types, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Keys lists what each type may have below config, sorted: the keys that its function asks for. Nothing else decides whether a key is known.
func Keys() map[string][]string {
	keys := map[string][]string{}
	for kind, open := range kinds {
		c := engine.NewSection("", "", nil)
		out := engine.Output{Name: kind, Type: kind, Config: c}
		if sink, err := open(out, Env{Logger: slog.New(slog.DiscardHandler), Stdout: io.Discard}); err == nil {
			sink.Close()
		}
		keys[kind] = c.Known()
	}
	return keys
}

func didYouMean(name string) string {
	if best := engine.Nearest(strings.ToLower(name), Kinds()); best != "" {
		return fmt.Sprintf(", did you mean %q?", best)
	}
	return ""
}
