package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
)

// exitInvalid is what Devo's collectors end with when --validate finds that the credentials do not work.
const exitInvalid = 254

// asDevoCollector has the program take the command line of Devo's collectors, without a command, such as
// --config config.yaml --prod-mode.
func (p *program) asDevoCollector(root *cobra.Command) {
	var file string
	var validate, prodMode bool
	configFlag(root, &file)
	p.serverFlags(root)
	root.Flags().BoolVar(&p.server.NoState, "no-save-state", false, "keep state in memory, and forget it at the end")
	root.Flags().BoolVar(&validate, "validate", false, "check everything, try the credentials with one pull of each service that keeps nothing, and end")
	root.Flags().BoolVar(&prodMode, "prod-mode", false, "accepted, without effect")
	root.RunE = func(c *cobra.Command, _ []string) error {
		asked := slices.ContainsFunc([]string{"config", "job_config_loc", "collector_config_loc", "no-save-state", "validate", "prod-mode"}, c.Flags().Changed)
		switch {
		case !asked:
			return c.Help()
		case validate:
			return p.validate(c.Context(), file)
		}
		return p.runUntilSignal(c.Context(), file)
	}
}

// validate checks the configuration, and pulls once of each service until something comes.
func (p *program) validate(ctx context.Context, file string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.check(file); err != nil {
		return err
	}
	config, err := p.loadConfig(file)
	if err != nil {
		return err
	}
	quiet := *p
	quiet.stdout = io.Discard
	for _, c := range config.Collectors {
		if err := quiet.pull(ctx, c.Key(), pullFlags{config: file, format: "text", fresh: true, limit: 1}); err != nil {
			if ctx.Err() != nil {
				return err // interrupted: nothing is known about the credentials
			}
			p.tell(err)
			return &failure{code: exitInvalid}
		}
	}
	return nil
}
