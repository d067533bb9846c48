// Command nightly runs fault campaigns at full size and writes a table of what became of the events. See .ci/nightly.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"starling/cmd/internal/campaign"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "receiver" {
		exit(campaign.Receive(os.Args[2:]))
	}
	if len(os.Args) < 2 {
		exit(errors.New("usage: nightly PROGRAM [CAMPAIGN...]"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, os.Args[1], os.Args[2:]))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "nightly:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run runs the campaigns of these names, or all.
func run(ctx context.Context, program string, names []string) error {
	all := campaign.All()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(c campaign.Campaign) bool { return c.Name == name }) {
			return fmt.Errorf("there is no campaign %q", name)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "starling-nightly-")
	if err != nil {
		return err
	}
	var results []campaign.Result
	var failures error
	for _, c := range all {
		if len(names) > 0 && !slices.Contains(names, c.Name) || ctx.Err() != nil {
			continue
		}
		result, err := one(ctx, c, campaign.Options{Starling: program, Receiver: []string{self, "receiver"}, Dir: dir})
		if errors.Is(err, campaign.ErrSkipped) {
			fmt.Println(err)
			continue
		}
		if err != nil {
			fmt.Println("FAILED:", err)
		}
		failures = errors.Join(failures, err)
		results = append(results, result)
	}
	fmt.Println()
	campaign.WriteTable(os.Stdout, results)
	if failures != nil {
		return fmt.Errorf("files of what failed are in %s\n%w", dir, failures)
	}
	return errors.Join(ctx.Err(), os.RemoveAll(dir))
}

func one(ctx context.Context, c campaign.Campaign, o campaign.Options) (campaign.Result, error) {
	var err error
	if o.Seed, o.Size, err = c.FromEnvironment(os.Getenv, c.Full); err != nil {
		return campaign.Result{}, err
	}
	o.Log = func(format string, args ...any) {
		fmt.Printf("%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
	o.Log("%s (%s): seed %d, %d faults, %d events", c.Name, c.Doc, o.Seed, o.Size.Faults, o.Size.Rows)
	return c.Run(ctx, o)
}
