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
	tls         bool
	faults      []string
}

func newSimulate(p *program) *cobra.Command {
	var f simulateFlags
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Be a Microsoft that scripts and configurations can be tried against",
		Long: `Answers as Microsoft does: the sign-in, the message trace of Graph and that of the Reporting Web
Service, with pages, quotas, rows that appear late and statuses that change. Its mail is made from
--seed. It writes a configuration that points to it into --dir, and ends on Ctrl-C. Then it writes
what there was to be collected to truth.jsonl in that folder: each row with the moment from which on
it could be seen, and every status with its first moment.

--fault makes it behave badly, or just differently; it can be given many times:

` + listSwitches(),
		Example: `  starling simulate --dir try
  starling simulate --tls --rate 50 --fault data=10:reset,cut --fault quota=20 --fault principal=2m
  starling pull --config try/config/config.yaml office365_exchange_message_graph_service`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return p.simulate(ctx, f)
		},
	}
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "address to answer at")
	c.Flags().StringVar(&f.dir, "dir", "", "folder for the configuration (default: a new temporary one)")
	apiFlag(c, &f.api, "graph")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "makes the mail: the same seed makes the same mail")
	c.Flags().Float64Var(&f.rate, "rate", 0.2, "rows per second")
	c.Flags().DurationVar(&f.history, "history", 72*time.Hour, "how far back there is mail at the start")
	c.Flags().BoolVar(&f.tls, "tls", false, "answer over TLS, with an authority of its own in certs/")
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

func listSwitches() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range sim.Switches() {
		fmt.Fprintf(w, "  %s\t%s\n", s, s.Help)
	}
	_ = w.Flush() // a builder takes everything
	return strings.TrimRight(b.String(), "\n")
}

func (p *program) simulate(ctx context.Context, f simulateFlags) error {
	service, err := serviceOf(f.api)
	if err != nil {
		return err
	}
	if f.rate <= 0 || f.history < 0 {
		return usage("--rate must be more than 0, and --history not less")
	}
	from := time.Now().Add(-f.history).UTC()
	o := sim.Options{Seed: f.seed, Rows: sim.Rows{From: from, PerSecond: f.rate, Delays: sim.UsualDelays(), Evolve: 0.2, EvolveBy: 2 * time.Hour}}
	for _, fault := range f.faults {
		if err := sim.SetSwitch(&o, fault); err != nil {
			return usage("--fault %w", err)
		}
	}
	if f.dir == "" {
		if f.dir, err = os.MkdirTemp("", "starling-simulate-"); err != nil {
			return &failure{exitOther, err}
		}
	}
	if f.dir, err = filepath.Abs(f.dir); err != nil {
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
	p.introduce(m, base, config, service)
	<-ctx.Done()
	return p.concludeSimulation(m, from, filepath.Join(f.dir, "truth.jsonl"))
}

// introduce says where everything is.
func (p *program) introduce(m *sim.Microsoft, base, config, service string) {
	o := m.Options()
	fmt.Fprintf(p.stdout, `A simulated Microsoft answers at %[1]s until Ctrl-C.

  Graph          %[1]s/v1.0/admin/exchange/tracing/messageTraces   (also beta)
  report         %[1]s/ecp/reportingwebservice/reporting.svc/MessageTrace
  sign-in        %[1]s/%[2]s/oauth2/v2.0/token   (also oauth2/token)
  identity       %[1]s/metadata/identity/oauth2/token
  configuration  %[3]s

Try:  starling pull --config %[3]s %[4]s

`, base, o.TenantID, config, service)
}

// concludeSimulation writes the truth, and says what was asked.
func (p *program) concludeSimulation(m *sim.Microsoft, from time.Time, file string) error {
	truth, err := os.Create(file)
	if err != nil {
		return &failure{exitOther, err}
	}
	o := m.Options()
	now := o.Now().Add(o.Skew)
	err = m.WriteTruth(truth, from, now, now)
	if closing := truth.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return &failure{exitOther, err}
	}
	c := m.Counters()
	fmt.Fprintf(p.stdout, "It gave %d tokens, and answered %d requests with %d rows on %d pages; %d with 429, %d badly, %d with 400, %d with 401 or 403.\nWhat there was to be collected is in %s\n",
		c.Tokens, c.Requests, c.Rows, c.Pages, c.Throttled, c.Faults, c.BadRequests, c.Unauthorized, file)
	return nil
}
