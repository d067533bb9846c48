package main

import (
	"github.com/spf13/cobra"
)

// commands is the table of all commands: a command is a file and a line here.
func commands(p *program) []*cobra.Command {
	return []*cobra.Command{
		newDemo(p),
		grouped(write, newSimulate(p)),
		grouped(operate, newRun(p)),
		grouped(operate, newCheck(p)),
		grouped(operate, newHealth(p)),
		grouped(operate, newStatus(p)),
		grouped(operate, newCoverage(p)),
		grouped(operate, newBackfill(p)),
		grouped(operate, newState(p)),
		grouped(operate, newImportState(p)),
		grouped(write, newInit(p)),
		grouped(write, newPull(p)),
		grouped(write, newDev(p)),
		grouped(write, newReplay(p)),
		grouped(write, newTest(p)),
		grouped(write, newCertify(p)),
		grouped(write, newFormat(p)),
		grouped(write, newLint(p)),
		grouped(write, newDocs(p)),
		grouped(write, newMCP(p)),
		grouped(write, newREPL(p)),
		grouped(write, newSchema(p)),
		grouped(write, newLSP(p)),
		grouped(write, newScripts(p)),
		newBench(p),
		newBenchPart(p),
		newVersion(p),
	}
}

// The groups of the help text.
const (
	operate = "operate"
	write   = "write"
)

func grouped(group string, c *cobra.Command) *cobra.Command {
	c.GroupID = group
	return c
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "starling",
		Short: "Collect events from APIs and deliver them to Devo",
		Long: `Starling runs collectors. A collector is a script that pulls events from an API; starling
keeps its place, delivers its events to Devo and loses none of them.

The first steps:

  starling scripts list                 which services there are
  starling check --config config.yaml   is the configuration right?
  starling pull SERVICE                 pull once and show the events, keeping nothing
  starling run --config config.yaml     collect, until told to stop

Exit codes: 0 in order; 1 configuration, script, check or test is wrong; 2 the command line
is wrong; 3 the state directory cannot be used; 4 anything else; 130 and 143 ended by a signal.`,
		Args:          cobra.NoArgs,
		Version:       buildVersion().number,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(unknownFirst)
	p.asDevoCollector(root)
	root.AddGroup(&cobra.Group{ID: operate, Title: "Operate:"}, &cobra.Group{ID: write, Title: "Write scripts:"})
	root.PersistentFlags().StringVar(&p.logLevel, "log-level", "", "debug, info, warn or error (default: starling.log.level)")
	root.PersistentFlags().StringVar(&p.logFormat, "log-format", "", "text, json or devo (default: starling.log.format)")
	root.AddCommand(commands(p)...)
	for _, c := range root.Commands() {
		refuseUnknown(c)
	}
	return root
}

// unknownFirst tells of a command that there is not, rather than of a flag behind it that would be its.
func unknownFirst(c *cobra.Command, err error) error {
	if args := c.Flags().Args(); c.HasSubCommands() && len(args) > 0 {
		return cobra.NoArgs(c, args)
	}
	return err
}

// refuseUnknown has a command that only holds others refuse a name that is none of them, as the root
// does. Cobra would print the help text and exit with 0.
func refuseUnknown(c *cobra.Command) {
	if c.HasSubCommands() && !c.Runnable() {
		c.Args = cobra.NoArgs
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
}
