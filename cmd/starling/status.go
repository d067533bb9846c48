package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"starling/engine"
)

func newStatus(p *program) *cobra.Command {
	t := &stateTool{p: p}
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what a running starling is doing",
		Long: `Asks the starling that has the state directory of the configuration open, over a socket in that
directory: what is collected, how far behind, what waits for which output, what fails and what to do
about it. The exit code is 0 if nothing fails, else 1. With --json it is what /status answers.`,
		Example: "  starling status --config config/config.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, _, err := t.find()
			if err != nil {
				return err
			}
			running, found := engine.FindRunning(dir)
			if !found {
				return &failure{exitWrong, fmt.Errorf("no starling runs on %s: start it with starling run; starling state list shows what the state holds", dir)}
			}
			s, err := running.Status()
			if err != nil {
				return fail(err, engine.CodeStore)
			}
			p.answerWith(s, func() {
				var page strings.Builder
				statusPage{&page, time.Now()}.print(&s)
				fmt.Fprint(p.stdout, p.redactor.Redact(page.String()))
			})
			if troubled(&s) {
				return &failure{code: exitWrong}
			}
			return nil
		},
	}
	configFlag(c, &t.file)
	c.Flags().StringVar(&t.dir, "state", "", "the state directory itself, instead of a configuration")
	c.MarkFlagsMutuallyExclusive("config", "state")
	p.jsonFlag(c, oneObject)
	return c
}

// troubled reports whether something fails, also while it is tried again.
func troubled(s *engine.Status) bool {
	return len(s.Ready()) > 0 || slices.ContainsFunc(s.Collectors, func(c engine.CollectorStatus) bool { return c.Failures > 0 })
}

// A statusPage writes a status for a person, at a moment.
type statusPage struct {
	w   io.Writer
	now time.Time
}

func (p statusPage) print(s *engine.Status) {
	fmt.Fprintf(p.w, "%s: running since %s, with %s as of %s\n", printable(s.Name), p.ago(&s.Started), printable(s.Config.File), p.ago(&s.Config.Loaded))
	p.collectors(s.Collectors)
	p.outputs(s.Sinks)
	p.outbox(s.Outbox)
	for _, q := range s.Quotas {
		fmt.Fprintf(p.w, "\nquota %s: %d of %d requests used in %s", printable(q.Quota), q.Used, q.Limit, ageText(time.Duration(q.PerSeconds*float64(time.Second))))
		if q.PausedUntil != nil {
			fmt.Fprintf(p.w, ", paused by the API until %s", moment(*q.PausedUntil))
		}
		if q.Waiting > 0 {
			fmt.Fprintf(p.w, ", %s wait", count(q.Waiting, "request"))
		}
	}
	if len(s.Quotas) > 0 {
		fmt.Fprintln(p.w)
	}
	for _, r := range s.Reloads {
		if r.Error != "" {
			fmt.Fprintf(p.w, "\nrefused %s, the old one stays in use: %s %s\n%s\n", p.ago(&r.When), r.Kind, printable(r.Name), indent(r.Error))
		}
	}
	if s.Disk != nil {
		fmt.Fprintf(p.w, "\nthe state takes %s of the disk, %s are free\n", sizeText(s.Disk.UsedBytes), sizeText(s.Disk.FreeBytes))
	}
	if s.Disk != nil && s.Disk.Low {
		fmt.Fprintf(p.w, "\nthe disk of the state directory is nearly full, pulls wait: %s free, starling.limits.disk_reserve is %s\n", sizeText(s.Disk.FreeBytes), sizeText(s.Disk.ReserveBytes))
	}
}

func (p statusPage) collectors(all []engine.CollectorStatus) {
	p.table(func(w io.Writer) {
		fmt.Fprintln(w, "\nCOLLECTOR\tSTATE\tBEHIND\tLAST PULL\tNEXT\tPULLS\tEVENTS")
		for _, c := range all {
			behind := "-"
			if c.LagSeconds != nil {
				behind = p.seconds(*c.LagSeconds)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", printable(c.Collector), c.State, behind, p.ago(c.LastPull), p.until(c.NextPull), c.Pulls, c.Events)
		}
	})
	for _, c := range all {
		if c.Failures > 0 {
			fmt.Fprintf(p.w, "\n%s has failed %s in a row, last worked %s:\n%s\n", printable(c.Collector), count(c.Failures, "time"), p.ago(c.LastSuccess), indent(c.LastError))
		}
		if c.CertificateEnds != nil && c.CertificateEnds.Sub(p.now) < engine.CertificateWarning {
			fmt.Fprintf(p.w, "\n%s: the certificate that it signs in with ends %s\n", printable(c.Collector), moment(*c.CertificateEnds))
		}
	}
}

func (p statusPage) outputs(all []engine.SinkStatus) {
	p.table(func(w io.Writer) {
		fmt.Fprintln(w, "\nOUTPUT\tTYPE\tSTATE\tACKNOWLEDGED\tBYTES\tLAST\tWAITS\tOLDEST")
		for _, o := range all {
			oldest := "-"
			if o.Backlog.Chunks > 0 {
				oldest = p.seconds(o.Backlog.AgeSeconds)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(o.Sink), o.Type, o.State, count(int(o.Events), "event"), sizeText(o.Bytes), p.ago(o.LastAck), sizeText(o.Backlog.Bytes), oldest)
		}
	})
	for _, o := range all {
		if o.Failures > 0 {
			fmt.Fprintf(p.w, "\n%s has failed %s in a row; its events wait:\n%s\n", printable(o.Sink), count(o.Failures, "time"), indent(o.LastError))
		}
		if lost := o.Dropped.Events; lost > 0 {
			fmt.Fprintf(p.w, "\n%s: %s were dropped because the outbox was full\n", printable(o.Sink), count(int(lost), "event"))
		}
		if o.CertificateState != "" && o.CertificateState != "ok" {
			fmt.Fprintf(p.w, "\n%s: its certificate ends %s\n", printable(o.Sink), moment(*o.CertificateEnds))
		}
	}
}

// outbox says how full the outbox is.
func (p statusPage) outbox(o engine.OutboxStatus) {
	what := map[string]string{"alarm": ", outputs take events more slowly than they are pulled", "full": ", outbox_full decides: pulls wait, or the oldest events of an output are dropped"}[o.State]
	fmt.Fprintf(p.w, "\noutbox %s: %s wait, %.0f%% of its bounds%s\n", o.State, sizeText(o.Bytes), 100*o.Share, what)
}

func (p statusPage) table(fill func(io.Writer)) {
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fill(t)
	t.Flush()
}

func (p statusPage) seconds(s float64) string {
	return (time.Duration(s) * time.Second).String()
}

func (p statusPage) ago(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return max(p.now.Sub(*t), 0).Round(time.Second).String() + " ago"
}

func (p statusPage) until(t *time.Time) string {
	if t == nil || !t.After(p.now) {
		return "now"
	}
	return "in " + t.Sub(p.now).Round(time.Second).String()
}

// indent is a text of one or more lines that belongs to the line above it.
func indent(text string) string {
	return "  " + strings.ReplaceAll(printable(strings.TrimSpace(text)), "\n", "\n  ")
}

func sizeText(bytes int64) string {
	const units = "KMGT"
	if bytes < 1<<10 {
		return fmt.Sprintf("%d B", bytes)
	}
	size, i := float64(bytes)/1024, 0
	for size >= 1024 && i < len(units)-1 {
		size, i = size/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", size, units[i])
}
