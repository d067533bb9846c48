package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starling/builtins"
	"starling/engine"
)

// backfillShare is the part of a quota that all but fresh data may use.
const backfillShare = 0.75

func newBackfill(p *program) *cobra.Command {
	t := &ledgerTool{stateTool: stateTool{p: p}}
	var from, to string
	var b engine.Backfill
	var dry, cancel bool
	c := &cobra.Command{
		Use:   "backfill SERVICE --from TIME [--to TIME]",
		Short: "Pull a range of the past beside what is new",
		Long: `Has the pulls of a service ask for a range of the past, beside fresh data and within the same
quota, of which a quarter is left to fresh data. Only what starling coverage does not show as
settled, or shows as lost, is asked for; its rows are sent whether or not they were sent before.
With --again everything is asked for and sent once more.

A starling that runs begins at once; otherwise the next one does. It goes on where it was after
every stop. starling coverage and /status show how far it is.`,
		Example: `  starling backfill office365_exchange_message_graph_service --from 2026-05-01 --to 2026-05-08 --dry-run
  starling backfill office365_exchange_message_graph_service --from 2026-05-01 --to 2026-05-08
  starling backfill office365_exchange_message_graph_service --cancel`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			now := time.Now().UTC().Truncate(time.Second)
			between, err := readRange(from, to, now)
			if err != nil {
				return err
			}
			if cancel != between.from.IsZero() {
				return usage("say either --from, where the range begins, or --cancel")
			}
			b.From, b.To = between.from, between.to
			return t.with(func() error {
				key, err := t.collector(args[0])
				switch {
				case err != nil:
					return err
				case cancel:
					return t.cancel(key)
				}
				return t.backfill(key, b, dry)
			})
		},
	}
	t.flags(c)
	p.jsonFlag(c, oneObject)
	c.Flags().StringVar(&from, "from", "", "where the range begins: a time such as 2026-05-01 or 2026-05-01T13:00 (UTC), or an age such as 36h or 7d")
	c.Flags().StringVar(&to, "to", "", "where it ends, in the same forms (default: where settling is)")
	c.Flags().BoolVar(&b.Again, "again", false, "also what is settled, and send it once more")
	c.Flags().BoolVar(&dry, "dry-run", false, "only say what it takes: windows, requests, share of the quota, time")
	c.Flags().BoolVar(&cancel, "cancel", false, "end the one that is going on; what was pulled stays")
	c.MarkFlagsMutuallyExclusive("cancel", "from")
	c.MarkFlagsMutuallyExclusive("cancel", "to")
	c.MarkFlagsMutuallyExclusive("cancel", "again")
	c.MarkFlagsMutuallyExclusive("cancel", "dry-run")
	return c
}

func (t *ledgerTool) cancel(key string) error {
	r, err := t.ledger.Report(key, time.Time{}, time.Time{})
	if err != nil {
		return fail(err, engine.CodeStore)
	}
	if r.Backfill == nil || r.Backfill.Over() {
		return usage("%s: no backfill is going on", key)
	}
	if err := t.ledger.SetBackfill(key, nil); err != nil {
		return fail(err, engine.CodeStore)
	}
	t.p.answerWith(cancelled{key, true, r.Backfill}, func() {
		fmt.Fprintf(t.p.stdout, "%s: the backfill of %s to %s ends at %s\n", key, moment(r.Backfill.From), moment(r.Backfill.To), moment(r.Backfill.Next))
	})
	return nil
}

func (t *ledgerTool) backfill(key string, b engine.Backfill, dry bool) error {
	r, err := t.ledger.Report(key, time.Time{}, time.Time{})
	if err != nil {
		return fail(err, engine.CodeStore)
	}
	if b.To.IsZero() {
		b.To = r.Settled
	}
	other := r.Backfill
	if dry {
		r.Backfill = nil // it may be asked what comes after the one that is going on
	}
	if err := r.CheckBackfill(b); err != nil {
		return &failure{exitUsage, err}
	}
	plan := builtins.PlanBackfill(r, b, time.Now())
	if plan.TooOld > 0 && plan.Windows == 0 {
		return usage("%s: the API keeps nothing of %s to %s any more", key, moment(b.From), moment(b.To))
	}
	if !dry && plan.Windows > 0 {
		if err := t.ledger.SetBackfill(key, &b); err != nil {
			return fail(err, engine.CodeStore)
		}
	}
	share := t.share(key, plan)
	var before *engine.Backfill
	if dry && other != nil && !other.Over() {
		before = other
	}
	t.p.answerWith(newBackfillAnswer(key, b, plan, share, before, dry), func() {
		fmt.Fprintf(t.p.stdout, "%s: %s to %s UTC\n", key, moment(b.From), moment(b.To))
		if plan.Windows == 0 {
			fmt.Fprintln(t.p.stdout, "nothing to do: all of it is settled; --again sends it once more")
			return
		}
		t.printPlan(plan, share)
		if before != nil {
			fmt.Fprintf(t.p.stdout, "  before that      the backfill of %s to %s, which is at %s\n", moment(before.From), moment(before.To), moment(before.Next))
		}
		if !dry {
			fmt.Fprintln(t.p.stdout, "pulls carry it out from now on; starling coverage and /status show how far it is")
		}
	})
	return nil
}

func (t *ledgerTool) printPlan(p builtins.BackfillPlan, share quotaShare) {
	out := t.p.stdout
	about := "about"
	if p.Guessed {
		about = "at least"
	}
	if p.TooOld > 0 {
		fmt.Fprintf(out, "  too old          the first %s: the API keeps it no longer, it is noted as a gap\n", lengthText(p.TooOld))
	}
	fmt.Fprintf(out, "  asks for         %s in %s, %s\n", lengthText(p.Length), count(p.Ranges, "range"), count(p.Windows, "window"))
	if p.Guessed {
		fmt.Fprintln(out, "  rows             unknown: the ledger has counted nothing yet")
	} else {
		fmt.Fprintf(out, "  rows             about %d\n", p.Rows)
	}
	fmt.Fprintf(out, "  requests         %s %d\n", about, p.Requests)
	if share.unknown != "" {
		fmt.Fprintf(out, "  share of quota   unknown: %s\n", share.unknown)
		return
	}
	rate := share.rate
	fmt.Fprintf(out, "  share of quota   at most %d of %d requests in %s (%d%%); the rest is left to fresh data\n", share.may, rate.N, ageText(rate.Per), 100*share.may/rate.N)
	fmt.Fprintf(out, "  time             %s %s, if starling runs and nothing else uses that share\n", about, lengthText(share.takes))
}

// lengthText shows a length of time, from two days on in days, and then to the hour.
func lengthText(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return ageText(d)
	}
	d = d.Round(time.Hour)
	text := fmt.Sprintf("%d days", d/day)
	if rest := d % day; rest > 0 {
		text += " " + ageText(rest)
	}
	return text
}

// A quotaShare is what a backfill may use of the slowest quota, and how long it takes with that.
type quotaShare struct {
	rate    engine.Rate
	unknown string // why nothing is known
	may     int
	takes   time.Duration
}

func (t *ledgerTool) share(key string, p builtins.BackfillPlan) quotaShare {
	if p.Windows == 0 {
		return quotaShare{unknown: "there is nothing to do"}
	}
	var s quotaShare
	if s.rate, s.unknown = t.slowest(key); s.unknown == "" {
		s.may, s.takes = takes(p.Requests, s.rate)
		s.takes = max(s.takes, time.Minute).Round(time.Minute)
	}
	return s
}

// takes says how many requests of a rate a backfill may use, and how long so many take with them.
func takes(requests int64, rate engine.Rate) (may int, long time.Duration) {
	may = max(1, int(float64(rate.N)*backfillShare))
	return may, time.Duration(float64(requests) / float64(may) * float64(rate.Per))
}

// slowest is the quota of a collector that lets the fewest requests through, or why it is not known.
func (t *ledgerTool) slowest(key string) (slow engine.Rate, why string) {
	if t.dir != "" {
		return slow, "the configuration says it, give --config instead of --state"
	}
	config, err := t.p.loadConfig(t.file)
	if err != nil {
		return slow, "the configuration cannot be read"
	}
	rates, err := engine.Rates(config, t.p.engineOptions(slog.New(slog.DiscardHandler)), key)
	if err != nil {
		return slow, "the script does not load, see starling check: " + strings.Join(t.p.texts(err), "; ")
	}
	for _, r := range rates {
		if slow.N == 0 || float64(r.N)/r.Per.Seconds() < float64(slow.N)/slow.Per.Seconds() {
			slow = r
		}
	}
	if slow.N == 0 {
		return slow, "the script has no http.rate"
	}
	return slow, ""
}
