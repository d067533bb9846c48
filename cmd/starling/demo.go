package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"starling/cmd/internal/layout"
	"starling/cmd/internal/sim"
	"starling/engine"
)

func newDemo(p *program) *cobra.Command {
	d := demo{program: p}
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work against a simulated Microsoft and a simulated Devo",
		Long: `Starts a simulated Microsoft (tokens, the message trace of the report or of
Graph, with pages, throttling, faults and rows that appear late) and a simulated Devo (TLS with
a client certificate) on this machine, writes a configuration, certificates and the scripts to a
folder, and runs the real engine on them. Edit the script in that folder while it runs, and see the new version take over.

With --outside it runs no engine: run one on that folder yourself, in a container or under a
debugger, and kill it as you like.

It ends by itself, and compares what Microsoft had with what Devo got: the exit code is 0 only
if nothing is missing.`,
		Example: "  starling demo\n  starling demo --api graph\n  starling demo --for 5m --rate 2000 --dir ./try\n  starling demo --outside --for 1h --dir ./try",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return d.run(c.Context()) },
	}
	p.jsonFlag(c, jsonLines)
	apiFlag(c, &d.api, "report")
	c.Flags().BoolVar(&d.outside, "outside", false, "leave it to you to run a starling on the folder")
	c.Flags().DurationVar(&d.duration, "for", time.Minute, "how long rows are made")
	c.Flags().Float64Var(&d.rate, "rate", 200, "rows per second")
	c.Flags().StringVar(&d.dir, "dir", "", "folder to work in (default: a new temporary one)")
	return c
}

type demo struct {
	*program
	duration time.Duration
	rate     float64
	dir      string
	api      string
	outside  bool   // the engine is another process
	name     string // of the service

	world   *sim.World
	service *service
	from    time.Time // when the first row was received
	shown   map[string]time.Time
	lines   int // of progress since something else was said
}

const (
	demoHistory = 5 * time.Minute // rows that are there already
	demoDelay   = 6 * time.Second // how far behind now the collector asks
	demoLate    = 3 * time.Second // rows appear at most so much later
	demoSettle  = 30 * time.Second
	demoTick    = 2 * time.Second
	graphPeriod = 4 * time.Second // Graph allows 100 requests in 5 minutes
)

func (d *demo) run(ctx context.Context) error {
	if d.rate <= 0 || d.duration <= 0 {
		return usage("--for and --rate must be more than 0")
	}
	var err error
	if d.name, err = serviceOf(d.api); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log, err := d.prepare()
	if err != nil {
		return &failure{exitOther, err}
	}
	defer log.Close()
	defer d.world.Close()
	if d.outside {
		return d.runOutside(ctx)
	}
	if err := d.start(ctx, log); err != nil {
		return err
	}
	defer d.service.close()
	running, halt := context.WithCancel(context.WithoutCancel(ctx))
	defer halt()
	done := make(chan error, 1)
	go func() { done <- d.service.engine.Run(running) }()

	d.invite()
	began := time.Now()
	d.watch(ctx, began)
	cutoff := d.settle(began)
	halt()
	if err := <-done; err != nil {
		return fail(err, "")
	}
	return d.compare(cutoff)
}

// prepare makes the folder and the simulated world.
func (d *demo) prepare() (log *os.File, err error) {
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "starling-demo-"); err != nil {
			return nil, err
		}
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(d.dir, "scripts")); errors.Is(err, os.ErrNotExist) {
		quiet := program{stdout: io.Discard, stderr: d.stderr}
		if err := quiet.copyScripts(filepath.Join(d.dir, "scripts"), false); err != nil {
			return nil, err
		}
	}
	d.from = time.Now().Add(-demoHistory).UTC()
	period, faults := time.Duration(0), 50
	if d.name == sim.GraphService { // which is asked less often
		period, faults = graphPeriod, 12
	}
	d.world, err = sim.NewWorld(d.dir, sim.WorldOptions{
		Delay:   demoDelay,
		Service: d.name,
		Period:  period,
		Microsoft: sim.Options{
			Rows:     sim.Rows{From: d.from, PerSecond: d.rate, Late: 0.05, LateBy: demoLate},
			Throttle: sim.Throttle{Every: 20, Pause: time.Second},
			Faults:   sim.Faults{Every: faults},
		},
	})
	if err != nil {
		return nil, err
	}
	// State of an earlier demo in the same folder belongs to another world.
	if err := os.RemoveAll(filepath.Join(d.dir, "state")); err != nil {
		return nil, err
	}
	return os.Create(filepath.Join(d.dir, "starling.log"))
}

func (d *demo) start(ctx context.Context, log io.Writer) error {
	quiet := *d.program
	quiet.stderr = log
	quiet.server = engine.ConfigFiles{} // the demo has a file of its own, whatever lies in /etc/devo
	config, err := quiet.loadConfig(d.world.ConfigFile())
	if err != nil {
		return err
	}
	config.Listen = "127.0.0.1:0"
	d.service, err = quiet.start(ctx, config)
	return err
}

// watch shows progress until the time is up, or ctx ends.
func (d *demo) watch(ctx context.Context, began time.Time) {
	end := time.After(time.Until(began.Add(d.duration)))
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	before := 0
	for {
		select {
		case <-tick.C:
			before = d.show(began, before)
		case <-end:
			return
		case <-ctx.Done():
			return
		}
	}
}

// settle waits until everything received by now has been pulled and delivered, and returns that moment.
func (d *demo) settle(began time.Time) time.Time {
	cutoff := time.Now().UTC()
	d.say(demoTimeUp{"time_up", cutoff}, "\n%s", d.filled("The time is up; what Microsoft has by now is still collected."))
	before := d.world.Devo.Counters().Events
	for deadline := cutoff.Add(demoSettle); time.Now().Before(deadline); time.Sleep(demoTick) {
		before = d.show(began, before)
		s := d.service.engine.Status()
		c := s.Collectors[0]
		if c.LagSeconds != nil && time.Since(cutoff).Seconds() > *c.LagSeconds && s.Outbox.Chunks == 0 {
			break
		}
	}
	return cutoff
}

// compare is the judgement: every row Microsoft had, and nothing else, and how often one came twice.
func (d *demo) compare(cutoff time.Time) error {
	missing, _, _ := d.world.Devo.Compare(d.world.Microsoft.Truth(d.from, cutoff))
	_, extra, duplicates := d.world.Devo.Compare(d.world.Microsoft.Truth(d.from, time.Now().Add(time.Hour)))
	rows := 0
	for range d.world.Microsoft.Truth(d.from, cutoff) {
		rows++
	}
	m, v := d.world.Microsoft.Counters(), d.world.Devo.Counters()
	end := demoEnd{Kind: "end", OK: missing == 0 && extra == 0 && rows > 0, Rows: rows, Until: cutoff, Requests: m.Requests, Pages: m.Pages, Throttled: m.Throttled, Faults: m.Faults,
		Events: v.Events, Connections: v.Connections, Confirmed: v.Closed, Missing: missing, Unknown: extra, Twice: duplicates, Dir: d.dir}
	var err error
	if !end.OK {
		log := "what the starling that you ran has logged"
		if !d.outside {
			log = filepath.Join(d.dir, "starling.log")
		}
		err = &failure{exitOther, fmt.Errorf("the demo failed: %d of %d rows are missing and %d events are unknown; see %s",
			missing, rows, extra, log)}
	}
	end.Problems = d.problems(err)
	var text strings.Builder
	for _, line := range [][2]string{
		{"Microsoft had   ", fmt.Sprintf("%d rows until %s; it answered %d requests with %d pages, %d times with 429, %d times badly",
			rows, cutoff.Format(time.TimeOnly), m.Requests, m.Pages, m.Throttled, m.Faults)},
		{"Devo got        ", fmt.Sprintf("%d events in %d connections, %d of them confirmed", v.Events, v.Connections, v.Closed)},
		{"The difference  ", fmt.Sprintf("%d missing, %d that nobody sent, %d twice", missing, extra, duplicates)},
	} {
		fmt.Fprintln(&text, layout.Fill(line[0], line[1], screenOf(d.program).fill))
	}
	d.say(end, "\n%sEverything is in %s\n", &text, d.dir)
	return d.answered(err)
}
