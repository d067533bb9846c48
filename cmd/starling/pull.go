package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"starling/cmd/internal/problem"
	"starling/engine"
)

// pullFlags are the flags of the command pull.
type pullFlags struct {
	config, format, record   string
	commit, toOutputs, fresh bool
	limit                    int
}

func newPull(p *program) *cobra.Command {
	var f pullFlags
	c := &cobra.Command{
		Use:   "pull SERVICE",
		Short: "Pull once and show the events",
		Long: `Runs one pull of one service, as run would, and shows its events, one to a line, and then what
it did. SERVICE is the name of an enabled service, or input/id/service.

It starts where the state directory says and keeps nothing: the next pull starts there again.
--fresh starts as a service does that was never pulled; that also works while starling runs.
--to-outputs delivers the events to the configuration's outputs instead of showing them.
--commit does that too, and keeps the new state: a real pull, as run does it.
--record writes what was asked and answered to a case, without secrets, for starling replay.
--json prints the events as --format json does, but without secrets, and then an object with "ok" of what the pull did.

A script that fails is shown with its line and the calls that led there.`,
		Example: `  starling pull office365_exchange_message_service
  starling pull office365_exchange_message_service --fresh --format json --limit 3`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return p.pull(ctx, args[0], f)
		},
	}
	configFlag(c, &f.config)
	c.Flags().BoolVar(&f.commit, "commit", false, "deliver to the outputs and keep the state")
	c.Flags().BoolVar(&f.toOutputs, "to-outputs", false, "deliver to the outputs, keep no state")
	c.Flags().BoolVar(&f.fresh, "fresh", false, "start without state")
	recordFlag(c, &f.record, "record the pull in this file NAME.case or folder")
	c.Flags().IntVar(&f.limit, "limit", 0, "stop when so many events are shown; 0 means never")
	c.Flags().StringVar(&f.format, "format", "text", "text (tag, time, body), json or body")
	p.jsonFlag(c, jsonLines)
	c.MarkFlagsMutuallyExclusive("commit", "fresh")
	c.MarkFlagsMutuallyExclusive("json", "format")
	return c
}

func (p *program) pull(ctx context.Context, service string, f pullFlags) error {
	if p.asJSON {
		f.format = "json"
	}
	line, ok := lineFormats[f.format]
	if !ok {
		return usage("--format: got %q, want text, json or body", f.format)
	}
	if p.asJSON {
		line = func(e engine.Event, bold bool) string { return string(p.withoutSecrets([]byte(jsonLine(e, bold)))) }
	}
	config, err := p.loadConfig(f.config)
	if err != nil {
		return err
	}
	log, _, err := p.newLogger(config)
	if err != nil {
		return err
	}
	once := engine.Once{Commit: f.commit, Fresh: f.fresh || !exists(config.StateDir)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// What is committed must reach the outputs: an event that was only shown would be lost.
	screen := &terminal{out: p.stdout, line: line, bold: p.colours(), limit: f.limit, stop: cancel}
	if !f.commit && !f.toOutputs {
		once.Sinks = map[string]engine.Sink{"terminal": screen}
	}
	o := p.engineOptions(slog.New(withoutEnd{log.Handler()}))
	kept := &recordings{}
	if f.record != "" {
		kept = p.newRecordings(config, f.record, log)
		o.Recorder = kept.recorder()
	}
	pulled, err := engine.PullOnce(ctx, config, service, o, once)
	enough := context.Cause(ctx) == errEnough
	err = pullFailure(ctx, err, screen, f)
	if err == nil && kept.failed != nil {
		err = &failure{exitOther, fmt.Errorf("--record: %w", kept.failed)}
	}
	if p.asJSON {
		a := pullAnswer{OK: err == nil, Service: service, PullStats: pulled.PullStats, More: screen.count - screen.shown, Stopped: enough, Kept: f.commit,
			Before: pulled.Before, After: pulled.After, Recorded: append([]string{}, kept.written...), Problems: p.problems(err)}
		return errors.Join(p.answered(err), p.printLine(a))
	}
	if hidden := screen.count - screen.shown; hidden > 0 {
		fmt.Fprintf(p.stderr, "%s more\n", count(hidden, "event"))
	}
	if pulled.Duration > 0 {
		fmt.Fprint(p.stderr, summary(pulled, f.commit))
	}
	if enough && err == nil {
		fmt.Fprintf(p.stderr, "the pull was stopped at %s, more may be there\n", count(f.limit, "event"))
	}
	p.tellRecorded(kept.written)
	return err
}

// pullAnswer is the last line that pull prints with --json.
type pullAnswer struct {
	OK      bool   `json:"ok"`
	Service string `json:"service"`
	engine.PullStats
	More     int                        `json:"more_events"` // than were printed
	Stopped  bool                       `json:"stopped"`     // at --limit: there may be more
	Kept     bool                       `json:"kept"`        // the cursors
	Before   map[string]json.RawMessage `json:"before"`
	After    map[string]json.RawMessage `json:"after"`
	Recorded []string                   `json:"recorded"`
	Problems []problem.Problem          `json:"problems"`
}

// pullFailure is what the error of a pull is for the person who asked for it.
func pullFailure(ctx context.Context, err error, screen *terminal, f pullFlags) error {
	switch {
	case err == nil, context.Cause(ctx) == errEnough:
		return nil
	case screen.err != nil:
		return &failure{exitOther, fmt.Errorf("write the events: %w", screen.err)}
	case ctx.Err() != nil:
		return &failure{exitSignal + int(syscall.SIGINT), fmt.Errorf("interrupted: %w", context.Cause(ctx))}
	case engine.CodeOf(err, "") == engine.CodeStore && !f.commit:
		return &failure{exitState, errors.Join(err, errors.New("or pull without state: --fresh"))}
	}
	return fail(err, engine.CodeScript)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// withoutEnd leaves out the engine's line on how a pull ended, which the summary says better. It is
// known by its text and its outcome.
type withoutEnd struct{ slog.Handler }

func (h withoutEnd) Handle(ctx context.Context, r slog.Record) error {
	end := false
	r.Attrs(func(a slog.Attr) bool {
		end = a.Key == string(engine.KeyOutcome) && strings.HasPrefix(r.Message, "pull ")
		return !end
	})
	if end {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h withoutEnd) WithAttrs(a []slog.Attr) slog.Handler { return withoutEnd{h.Handler.WithAttrs(a)} }
func (h withoutEnd) WithGroup(name string) slog.Handler   { return withoutEnd{h.Handler.WithGroup(name)} }

// summary says what a pull did and how far it came.
func summary(s engine.Pulled, kept bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "requests %d, retries %d, pages %d, rows %d, events %d, skipped %d, left out %d, cut %d, set aside %d, bytes %d, commits %d, steps %d, took %s\n",
		s.Requests, s.Retries, s.Pages, s.Rows, s.Events, s.Skipped, s.LeftOut, s.Cut, s.SetAside, s.Bytes, s.Commits, s.Steps, s.Duration.Round(time.Millisecond))
	all := map[string]json.RawMessage{}
	maps.Copy(all, s.Before)
	maps.Copy(all, s.After)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, after := string(s.Before[name]), string(s.After[name])
		if before == after {
			continue
		}
		fmt.Fprintf(&b, "%s: %s -> %s", name, cmp.Or(before, "none"), cmp.Or(after, "none"))
		if !kept {
			b.WriteString(" (not kept)")
		}
		b.WriteString("\n")
	}
	return b.String()
}
