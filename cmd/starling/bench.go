package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"starling/cmd/internal/bench"
	"starling/engine"
)

func newBench(p *program) *cobra.Command {
	o := bench.Options{Out: p.stdout}
	var list strings.Builder
	var names []string
	for _, f := range bench.Figures() {
		names = append(names, f.Name)
		fmt.Fprintf(&list, "  %-10s %s\n", f.Name, f.Help)
	}
	c := &cobra.Command{
		Use:   "bench [FIGURE]",
		Short: "Measure what this machine needs for the whole path",
		Long: `Runs this program between a simulated API and a simulated Devo, which are processes of their own and
not counted: its real store on disk, with every commit synced, and TLS. Each run of it is a process of its own
too, whose processor time and memory the system counts. An event that is missing, comes twice or differs
from its row is a failure.

` + list.String() + `
What a machine shares with others is best told by processor time, and by the ratios to the references of
the same run.`,
		Example:   "  starling bench\n  starling bench --runs 5 --https\n  starling bench --script def --profile .",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			if o.Runs < 1 || o.Backlog < 1 || slices.ContainsFunc(o.Rows, func(n int) bool { return n < 1 || n > 1e9 }) {
				return usage("--runs, --rows and --backlog must be more than 0, and rows at most 1000000000")
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			var err error
			if o.Program, err = os.Executable(); err != nil {
				return &failure{exitOther, err}
			}
			if err := p.bench(ctx, o, cmp.Or(strings.Join(args, ""), names[0])); err != nil {
				return &failure{exitOther, err}
			}
			return nil
		},
	}
	c.Flags().IntSliceVar(&o.Rows, "rows", []int{1_000_000}, "how many rows; several numbers are measured one after the other")
	c.Flags().IntVar(&o.Runs, "runs", 1, "how often; the median and the range are printed")
	c.Flags().BoolVar(&o.HTTPS, "https", false, "HTTPS and gzip between the API and the program")
	c.Flags().StringVar(&o.Script, "script", "declared", "declared: the built-in script; def: one that calls a function for each row, which sets a field; dict: one that makes a new dict of each")
	c.Flags().StringVar(&o.Profiles, "profile", "", "folder for cpu.pprof, heap.pprof and allocs.pprof of the program's last run")
	c.Flags().IntVar(&o.Backlog, "backlog", 500, "of drain: MB of frames")
	c.Flags().StringVar(&o.Dir, "dir", "", "folder for the state, on the disk that is to be measured (default: a temporary one)")
	p.jsonFlag(c, "print every run as JSON, in place of the table")
	return c
}

func (p *program) bench(ctx context.Context, o bench.Options, name string) error {
	if p.asJSON {
		o.Out = nil
	}
	found, err := bench.Run(ctx, o, name)
	p.answer = found
	return err
}

// newBenchPart is what newBench starts.
func newBenchPart(p *program) *cobra.Command {
	return &cobra.Command{
		Use:    bench.PartName,
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			return fail(bench.Part(c.Context(), args, os.Stdin, p.stdout, func(ctx context.Context, config string) error {
				p.server = engine.ConfigFiles{} // whatever lies in /etc/devo
				return p.runEngine(ctx, config, nil)
			}), "")
		},
	}
}
