package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"starling/engine"
)

func newRun(p *program) *cobra.Command {
	var file, record string
	c := &cobra.Command{
		Use:   "run",
		Short: "Collect and deliver until told to stop",
		Long: `Runs every enabled service of the configuration and delivers its events to the outputs.

Scripts, the configuration and certificates are watched: what changes is checked, tested and
put into use without a restart; what is wrong is refused and the old one goes on.

SIGTERM and SIGINT stop in order: pulls end, what waits is delivered for up to
starling.limits.shutdown_delivery, and the exit code is 0. What could not be delivered is kept
for the next start. A second signal ends at once. SIGHUP reads everything again.

Traces and metrics go where the OTEL_* variables say, such as OTEL_EXPORTER_OTLP_ENDPOINT.`,
		Example: "  starling run --config config/config.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p.record = record
			return p.runUntilSignal(c.Context(), file)
		},
	}
	configFlag(c, &file)
	recordFlag(c, &record, "record every pull in this folder, not only those that fail")
	return c
}

func (p *program) runUntilSignal(ctx context.Context, file string) error {
	// From here on, so that a SIGHUP that comes early is no reason to die.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	return p.runEngine(ctx, file, signals)
}

func (p *program) runEngine(ctx context.Context, file string, signals <-chan os.Signal) error {
	config, err := p.loadConfig(file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := p.start(ctx, config)
	if err != nil {
		return err
	}
	limitMemory(ctx, s.log, memlimit.FromCgroup)
	if err := supervise(ctx, cancel, s.engine, signals, s.log); err != nil {
		return err // at once
	}
	s.close()
	return nil
}

// A service is an engine with its log, telemetry and status server, ready to run.
type service struct {
	engine *engine.Engine
	log    *slog.Logger
	listen string // address of the status server, or "off"
	close  func() // after the engine has ended
}

// start makes everything that config, which loadConfig has read, needs. Nothing pulls or delivers before the engine runs.
func (p *program) start(ctx context.Context, config *engine.Config) (*service, error) {
	log, setLevel, err := p.newLogger(config)
	if err != nil {
		return nil, err
	}
	tel, err := newTelemetry(ctx, log)
	if err != nil {
		return nil, fail(fmt.Errorf("telemetry: %w", err), engine.CodeConfig)
	}
	o := p.engineOptions(log)
	var server *statusServer
	recordings := p.newRecordings(config, p.record, log)
	o.Recorder = recordings.recorder()
	o.Internal, o.InternalAbout = p.internal, internalAbout(config)
	o.Telemetry, o.OnConfig = tel.engine, func(c *engine.Config) {
		setLevel(c)
		recordings.use(c)
		if server != nil {
			server.use(c)
		}
	}
	e, err := engine.New(config, o)
	if err != nil {
		return nil, fail(err, engine.CodeConfig)
	}
	s := &service{engine: e, log: log, listen: "off"}
	stopServing := func() {}
	if config.Listen != "" {
		l, err := listen(config.Listen)
		if err != nil {
			e.Close()
			return nil, fail(err, "")
		}
		s.listen = l.Addr().String()
		server = newStatusServer(l, statusHandler(ctx, e.Status, tel.metrics, p.redactor), log)
		server.use(config)
		stopServing = server.serve(l)
	}
	s.close = func() {
		stopServing()
		tel.stop()
		log.Info("stopped")
	}
	if cmp.Or(p.logFormat, config.LogFormat) == "devo" {
		go tellMemory(ctx, log)
	}
	for _, w := range config.Warnings {
		log.Warn(w)
	}
	log.Info("started", "version", buildVersion().number, "config", config.File, "collectors", len(config.Collectors),
		"outputs", len(config.Outputs), "listen", s.listen)
	return s, nil
}

// sameSignal is how soon after the first a signal is not a second one: timeout(1) signals a program, and then
// its process group, which the program is in.
const sameSignal = 200 * time.Millisecond

// supervise runs the engine and does what signals ask.
func supervise(ctx context.Context, stop func(), e *engine.Engine, signals <-chan os.Signal, log *slog.Logger) error {
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	var asked time.Time
	for {
		select {
		case err := <-done:
			return fail(err, "")
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				log.Info("asked to read everything again", "signal", s.String())
				e.Reload()
			case ctx.Err() == nil:
				log.Info("asked to stop", "signal", s.String())
				asked = time.Now()
				stop()
			case time.Since(asked) < sameSignal:
			default:
				// Not even open spans are worth waiting for.
				return &failure{exitSignal + int(s.(syscall.Signal)), fmt.Errorf("ended at once by a second signal; what was not delivered is kept")}
			}
		}
	}
}
