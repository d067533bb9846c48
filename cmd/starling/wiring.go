package main

import (
	"log/slog"
	"os"

	"starling/builtins"
	"starling/engine"
	"starling/scripts"
	"starling/sinks"
)

// engineOptions joins the engine with scripts, builtins and sinks.
func (p *program) engineOptions(log *slog.Logger) engine.Options {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	env := sinks.Env{Logger: log, Stdout: p.stdout, Hostname: hostname}
	if p.asJSON {
		env.Stdout = p.stderr // an output that prints events does not print them among the answers
	}
	return engine.Options{
		Builtin:      scripts.FS(),
		Predeclared:  builtins.All(),
		NewSink:      func(o engine.Output) (engine.Sink, error) { return sinks.New(o, env) },
		NewTransport: newTransport,
		Identity: engine.Identity{Transport: newIdentityTransport(), Endpoint: p.getenv("IDENTITY_ENDPOINT"),
			Header: engine.NewSecret(p.getenv("IDENTITY_HEADER"))},
		Logger:   log,
		Redactor: p.redactor,
	}
}
