package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"starling/cmd/internal/sim"
)

// simulateFlags are the flags of the command simulate.
type simulateFlags struct {
	listen, dir string
	api         string
	seed        uint64
	rate        float64
	history     time.Duration
	from        string
	tls         bool
	requests    bool
	faults      []string
}

func newSimulate(p *program) *cobra.Command {
	var f simulateFlags
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Be a Microsoft, or a small API for learning, that scripts and configurations can be tried against",
		Long: `Answers as Microsoft does: the sign-in, the message trace of Graph and that of the Reporting Web
Service, with pages, quotas, rows that appear late and statuses that change. It writes a
configuration that points to it into --dir, and a certificate that the application may sign in with.

It ends on Ctrl-C. Then it writes what there was to be collected to truth.jsonl in that folder, each
row with the moment from which on it could be seen, and every status with its first moment. If the
configuration was used, it says what of that is in events.jsonl, and what is not goes to
missing.jsonl. Rows that are younger than the service asks for, or that nobody has asked for since
they appeared, are missing too.

With --api example it is a small API of alerts instead, which docs/tutorial.md uses: of the other
flags it takes --listen and --dir.

The same --seed, --rate and --from make the same mail, so that a state directory can be used again.

--fault makes it behave badly, or just differently. It can be given many times:
` + listSwitches(),
		Example: `  starling simulate --dir try
  starling simulate --tls --rate 50 --requests --fault data=10:reset,cut --fault quota=20
  starling run --config try/config/config.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return p.simulate(ctx, f)
		},
	}
	p.jsonFlag(c, jsonLines)
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "address to answer at")
	c.Flags().StringVar(&f.dir, "dir", "", "folder for the configuration (default: a new temporary one)")
	apiFlag(c, &f.api, "graph")
	c.Flags().Lookup("api").Usage += "; or example, a small API of alerts, for docs/tutorial.md"
	c.Flags().Uint64Var(&f.seed, "seed", 1, "makes the mail")
	c.Flags().Float64Var(&f.rate, "rate", 0.2, "rows per second")
	c.Flags().DurationVar(&f.history, "history", 72*time.Hour, "how far back there is mail at the start; it begins with the day, UTC")
	c.Flags().StringVar(&f.from, "from", "", "when the mail begins, such as 2026-11-24T00:00:00Z, in place of --history")
	c.Flags().BoolVar(&f.tls, "tls", false, "answer over TLS, with an authority of its own in certs/")
	c.Flags().BoolVar(&f.requests, "requests", false, "show each request and what became of it")
	c.Flags().StringArrayVar(&f.faults, "fault", nil, "NAME or NAME=VALUE, see above")
	return c
}

// apiFlag adds the flag that chooses which of Microsoft's two APIs the configuration uses.
func apiFlag(c *cobra.Command, api *string, otherwise string) {
	c.Flags().StringVar(api, "api", otherwise, "graph, or report for the Reporting Web Service: which one the configuration uses")
}

// serviceOf returns the service for an API.
func serviceOf(api string) (string, error) {
	switch api {
	case "graph":
		return sim.GraphService, nil
	case "report":
		return sim.ReportService, nil
	}
	return "", usage("--api %s: it is graph or report", api)
}

// listSwitches is what --fault can be, group by group.
func listSwitches() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	group := ""
	for _, s := range sim.Switches() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(w, "\n  %s\n", group)
		}
		fmt.Fprintf(w, "    %s\t%s\n", s, s.Help)
	}
	_ = w.Flush() // a builder takes everything
	fmt.Fprintf(&b, "\n  kinds, for data and tokens; without any they are 500, 503, reset, truncated, cut and html in turn\n")
	for _, fault := range sim.AllFaults() {
		fmt.Fprintf(&b, "    %-15s %s\n", fault, fault.Describe())
	}
	return strings.TrimRight(b.String(), "\n")
}

// options are those of the Microsoft that the flags describe.
func (f *simulateFlags) options() (sim.Options, error) {
	if f.rate <= 0 || f.rate > 1e6 {
		return sim.Options{}, usage("--rate %g: it is more than 0, and at most 1000000", f.rate)
	}
	if f.history < 0 {
		return sim.Options{}, usage("--history %s: it cannot be negative", f.history)
	}
	from := time.Now().Add(-f.history).UTC().Truncate(24 * time.Hour)
	if f.from != "" {
		var err error
		if from, err = time.Parse(time.RFC3339, f.from); err != nil {
			return sim.Options{}, usage("--from %s: it is a moment such as 2026-11-24T00:00:00Z", f.from)
		}
	}
	o := sim.Options{
		Seed: f.seed,
		Rows: sim.Rows{From: from.UTC(), PerSecond: f.rate, Delays: sim.UsualDelays(), Evolve: 0.2, EvolveBy: 2 * time.Hour},
		Token: sim.Token{
			RefreshToken: "simulated-refresh-token",
			Identity:     sim.Identity{Header: "simulated"},
		},
	}
	for _, fault := range f.faults {
		if err := sim.SetSwitch(&o, fault); err != nil {
			return o, usage("--fault %w", err)
		}
	}
	return o, nil
}

// simulationDir is the folder to write to, by default a new one.
func simulationDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "starling-simulate-")
	}
	return filepath.Abs(dir)
}

func (p *program) simulate(ctx context.Context, f simulateFlags) error {
	if f.api == "example" {
		return p.simulateExample(ctx, f)
	}
	service, err := serviceOf(f.api)
	if err != nil {
		return err
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	if f.requests {
		o.OnRequest = p.showRequest
	}
	if f.dir, err = simulationDir(f.dir); err != nil {
		return &failure{exitOther, err}
	}
	m := sim.NewMicrosoft(o)
	var base string
	var ca []byte
	if f.tls {
		base, ca, err = m.StartTLS(f.listen)
	} else {
		base, err = m.Start(f.listen)
	}
	if err != nil {
		return &failure{exitOther, err}
	}
	defer m.Close()
	config, err := m.WriteConfig(f.dir, base, service, ca)
	if err != nil {
		return &failure{exitOther, err}
	}
	p.introduceSimulation(m, base, config)
	<-ctx.Done()
	_ = m.Close() // what is asked from now on belongs to no truth
	return p.concludeSimulation(m, f.dir)
}
