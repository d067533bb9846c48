package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starling/engine"
)

func newCoverage(p *program) *cobra.Command {
	t := &ledgerTool{stateTool: stateTool{p: p}}
	var strip bool
	var from, to string
	c := &cobra.Command{
		Use:   "coverage [SERVICE]",
		Short: "Say what is complete, what is not, and why",
		Long: `Shows, for each stretch of event time, whether all that the API had is at every output. A
stretch is complete only if it was asked for when nothing more was to come, every output has
acknowledged it, and nothing of it was dropped. Of any other it says why not, and what to do.

SERVICE is the name of a service, or input/id/service; without one, all that keep such a ledger.
Times are UTC. Works also while starling runs.`,
		Example: `  starling coverage
  starling coverage office365_exchange_message_graph_service --from 7d --strip
  starling coverage --from 2026-05-01 --to 2026-05-02T12:00 --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			now := time.Now().UTC().Truncate(time.Second)
			between, err := readRange(from, to, now)
			if err != nil {
				return err
			}
			return t.with(func() error { return t.coverage(args, between, now, strip) })
		},
	}
	t.flags(c)
	c.Flags().StringVar(&from, "from", "", "where to begin: a time such as 2026-05-01 or 2026-05-01T13:00, or an age such as 36h or 7d (default: where the ledger begins)")
	c.Flags().StringVar(&to, "to", "", "where to end, in the same forms (default: now)")
	p.jsonFlag(c, oneObject)
	c.Flags().BoolVar(&strip, "strip", false, "draw a chart instead of a table")
	c.MarkFlagsMutuallyExclusive("json", "strip")
	return c
}

// A ledger is where coverage is read: a store, or a starling that has it open.
type ledger interface {
	Covered() ([]string, error)
	Report(collector string, from, to time.Time) (engine.CoverageReport, error)
	SetBackfill(collector string, b *engine.Backfill) error
	Close() error
}

// ledgerTool is what commands about the ledger share.
type ledgerTool struct {
	stateTool
	ledger ledger
}

func (t *ledgerTool) flags(c *cobra.Command) {
	configFlag(c, &t.file)
	c.Flags().StringVar(&t.dir, "state", "", "the state directory itself, instead of a configuration")
	c.MarkFlagsMutuallyExclusive("config", "state")
}

// with runs do with the ledger open, that of a starling that runs if one does.
func (t *ledgerTool) with(do func() error) error {
	dir, outbox, err := t.find()
	if err != nil {
		return err
	}
	if running, found := engine.FindRunning(dir); found {
		t.ledger = running
	} else if t.ledger, err = engine.OpenStore(dir, outbox); err != nil {
		if errors.Is(err, engine.ErrStateInUse) {
			err = fmt.Errorf("%w; the one that has it does not answer: it is starting or stopping, try again", err)
		}
		return fail(err, engine.CodeStore)
	}
	return errors.Join(do(), fail(t.ledger.Close(), engine.CodeStore))
}

// collectors returns the keys that are meant by the arguments of a command, all without one.
func (t *ledgerTool) collectors(args []string) ([]string, error) {
	covered, err := t.ledger.Covered()
	if err != nil {
		return nil, fail(err, engine.CodeStore)
	}
	if len(args) == 0 {
		return covered, nil
	}
	all := append(slices.Clone(t.known), covered...)
	slices.Sort(all)
	all = slices.Compact(all)
	var found []string
	for _, key := range all {
		if key == args[0] || strings.HasSuffix(key, "/"+args[0]) {
			found = append(found, key)
		}
	}
	if len(found) == 0 {
		return nil, usage("there is no service %q; there are: %s", args[0], strings.Join(all, ", "))
	}
	return found, nil
}

// collector is the one that an argument means.
func (t *ledgerTool) collector(arg string) (string, error) {
	found, err := t.collectors([]string{arg})
	if err == nil && len(found) > 1 {
		err = usage("%q may be one of %s", arg, strings.Join(found, ", "))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// command is what begins a backfill of a collector, for a person to copy: with its shortest name that is no
// other's, and where it is.
func (t *ledgerTool) command(key string) string {
	name := key[strings.LastIndexByte(key, '/')+1:]
	if all, err := t.collectors([]string{name}); err != nil || len(all) != 1 {
		name = key
	}
	for _, f := range []struct{ flag, value string }{{"--config", t.file}, {"--state", t.dir}} {
		if f.value != "" {
			name += " " + f.flag + " " + f.value
		}
	}
	return "starling backfill " + printable(name)
}

func (t *ledgerTool) coverage(args []string, between timeRange, now time.Time, strip bool) error {
	keys, err := t.collectors(args)
	if err != nil {
		return err
	}
	out := redacting{t.p.stdout, t.p.redactor}
	all := []*covered{}
	for _, key := range keys {
		r, err := t.ledger.Report(key, between.from, between.to)
		if err != nil {
			return fail(err, engine.CodeStore)
		}
		all = append(all, judge(r, between, now, t.command(key)))
	}
	if t.p.asJSON {
		t.p.answer = struct {
			Collectors []*covered `json:"collectors"`
		}{all}
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(out, "no collector keeps a ledger yet: it needs a script that pulls with checkpoint.sweeps or checkpoint.windows, and one pull of it")
	}
	screen := screenOf(t.p)
	for i, c := range all {
		if i > 0 {
			fmt.Fprintln(out)
		}
		var text strings.Builder
		c.printHead(&text, screen)
		if strip {
			c.printStrip(&text, screen)
		} else {
			c.printTable(&text, screen)
		}
		if _, err := io.WriteString(out, text.String()); err != nil {
			return &failure{exitOther, err}
		}
	}
	return nil
}

// A timeRange is a stretch of event time; a zero time is not bounded.
type timeRange struct{ from, to time.Time }

func readRange(from, to string, now time.Time) (r timeRange, err error) {
	if r.from, err = readMoment("--from", from, now); err != nil {
		return r, err
	}
	if r.to, err = readMoment("--to", to, now); err != nil {
		return r, err
	}
	if r.from.After(now) {
		return r, usage("--from: %s is in the future; it is %s now, UTC", moment(r.from), moment(now))
	}
	if !r.from.IsZero() && !r.to.IsZero() && !r.from.Before(r.to) {
		return r, usage("--from must be before --to: got %s and %s", moment(r.from), moment(r.to))
	}
	return r, nil
}

// readMoment reads a time, UTC unless it says otherwise, or how long ago it was. Nothing is the zero time.
func readMoment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Truncate(time.Second), nil
		}
	}
	age, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		age = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || age < 0 || age > 100*366*24*time.Hour {
		return time.Time{}, usage("%s: got %q, want a time such as 2026-05-01 or 2026-05-01T13:00 (UTC), or an age such as 36h or 7d", flag, text)
	}
	return now.Add(-age).Truncate(time.Second), nil
}

// moment shows a time to a person, UTC.
func moment(t time.Time) string { return t.UTC().Format(time.DateTime) }

// A sweepsKnown is what the cursor of a collector's sweeps says about its API, in seconds; 0 if it is not known.
type sweepsKnown struct {
	Settles int64 `json:"settles"` // the age at which a range is settled
	Keeps   int64 `json:"keeps"`   // how far back the API can be asked
}

func sweepsOf(r engine.CoverageReport) (k sweepsKnown) {
	if json.Unmarshal(r.Sweeps, &k) != nil {
		return sweepsKnown{}
	}
	return k
}
