// Package sinks holds the destinations of events: one file per kind, and the table that joins them.
// What each of them must do is written at [engine.Sink]; package sinktest checks it.
//
// To add one, write its file and a line in kinds, and run sinktest.Run on it.
package sinks

import (
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
	if !ok {
		return nil, fmt.Errorf("output %s: unknown type %q%s; known types are %s",
			out.Name, out.Type, didYouMean(out.Type), strings.Join(Kinds(), ", "))
	}
	return open(out, env)
}

// Kinds lists the known types, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

func didYouMean(name string) string {
	best, distance := "", 4
	for _, kind := range Kinds() {
		if d := editDistance(strings.ToLower(name), kind); d < distance {
			best, distance = kind, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// editDistance counts the bytes to insert, delete or replace to get from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
