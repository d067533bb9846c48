package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starling/engine"
)

func newState(p *program) *cobra.Command {
	s := &stateTool{p: p}
	c := &cobra.Command{
		Use:   "state",
		Short: "Look at and repair what collectors remember",
		Long: `Shows and changes the state directory: the cursors that say where each collector goes on, and
the events that wait for outputs. Works while starling is stopped; one that runs shows the same
at /status.`,
		Example: `  starling state list
  starling state show office365_exchange_message/1/office365_exchange_message_service
  starling state set office365_exchange_message/1/office365_exchange_message_service window '"2026-05-01T00:00:00Z"'`,
	}
	c.PersistentFlags().StringVarP(&s.file, "config", "c", "", "configuration file that names the state directory")
	c.PersistentFlags().StringVar(&s.dir, "state", "", "the state directory itself")
	c.MarkFlagsMutuallyExclusive("config", "state")
	c.AddCommand(s.newList(), s.newShow(), s.newSet(), s.newReset(), s.newAside(), s.newInspect(), s.newRepair(), s.newBackup(), s.newRestore())
	return c
}

// stateTool is what the commands below state share.
type stateTool struct {
	p         *program
	file, dir string // flags
	yes       bool

	store *engine.Store
	known []string // collectors of the configuration
}

// command makes a command whose do runs with the store open.
func (s *stateTool) command(c cobra.Command, args cobra.PositionalArgs, do func(args []string) error) *cobra.Command {
	c.Args = args
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := s.open(); err != nil {
			return err
		}
		return errors.Join(do(args), fail(s.store.Close(), engine.CodeStore))
	}
	return &c
}

func (s *stateTool) open() error {
	dir, outbox, err := s.find()
	if err != nil {
		return err
	}
	s.store, err = engine.OpenStore(dir, outbox)
	return fail(err, engine.CodeStore)
}

// find returns the state directory, which exists, and the bound of the outbox.
func (s *stateTool) find() (dir string, outbox int64, err error) {
	dir, outbox, err = s.locate()
	if err != nil {
		return "", 0, err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", 0, &failure{exitState, fmt.Errorf("%w: nothing has been collected yet, or the directory is elsewhere", err)}
	}
	return dir, outbox, nil
}

// locate is find for a directory that need not exist.
func (s *stateTool) locate() (dir string, outbox int64, err error) {
	if s.dir != "" {
		return s.dir, engine.Limits{}.WithDefaults().OutboxBytes, nil
	}
	config, err := s.p.loadConfig(s.file)
	if err != nil {
		return "", 0, err
	}
	if config.StateDir == "" {
		return "", 0, &failure{exitState, fmt.Errorf("%s: globals.persistence keeps state in memory: there is no state directory", config.File)}
	}
	for _, c := range config.Collectors {
		s.known = append(s.known, c.Key())
	}
	s.known = append(s.known, config.Disabled...)
	return config.StateDir, config.Limits.OutboxBytes, nil
}

func (s *stateTool) newList() *cobra.Command {
	c := s.command(cobra.Command{
		Use:   "list",
		Short: "List collectors, their cursors, and what waits for outputs or was dropped",
	}, cobra.NoArgs, func([]string) error { return s.list() })
	s.p.jsonFlag(c, oneObject)
	return c
}

// stateListing is what the command list prints.
type stateListing struct {
	Collectors map[string]map[string]json.RawMessage `json:"collectors"`
	Sinks      map[string]backlog                    `json:"sinks"`
}

// A backlog is what waits for a sink.
type backlog struct {
	Chunks int64      `json:"chunks"`
	Bytes  int64      `json:"bytes"` // compressed
	Oldest *time.Time `json:"oldest,omitempty"`

	Dropped *engine.Dropped `json:"dropped,omitempty"` // because the outbox was full
}

func (s *stateTool) list() error {
	cursors, err := s.store.Cursors()
	if err != nil {
		return fail(err, engine.CodeStore)
	}
	l := stateListing{cursors, map[string]backlog{}}
	for _, name := range s.store.Sinks() {
		waiting := s.store.Backlog(name)
		b := backlog{Chunks: waiting.Chunks, Bytes: waiting.Bytes}
		if !waiting.Oldest.IsZero() {
			oldest := waiting.Oldest.UTC()
			b.Oldest = &oldest
		}
		if d := s.store.Dropped(name); d.Events > 0 {
			b.Dropped = &d
		}
		l.Sinks[name] = b
	}
	s.p.answerWith(l, func() { s.printListing(l) })
	return nil
}

func (s *stateTool) printListing(l stateListing) {
	out := s.p.stdout
	if len(l.Collectors) == 0 {
		fmt.Fprintln(out, "no collector has committed anything")
	}
	for _, key := range slices.Sorted(maps.Keys(l.Collectors)) {
		fmt.Fprintf(out, "collector %s\n", key)
		s.printCursors(l.Collectors[key])
	}
	for _, name := range slices.Sorted(maps.Keys(l.Sinks)) {
		b := l.Sinks[name]
		if b.Oldest == nil {
			fmt.Fprintf(out, "output %s: nothing waits\n", name)
		} else {
			fmt.Fprintf(out, "output %s: %s (%d bytes) wait since %s\n", name, count(int(b.Chunks), "chunk"), b.Bytes, b.Oldest.Format(time.RFC3339))
		}
		if b.Dropped != nil {
			fmt.Fprintf(out, "  dropped because the outbox was full: %s\n", b.Dropped)
		}
	}
}

func (s *stateTool) printCursors(cursors map[string]json.RawMessage) {
	for _, name := range slices.Sorted(maps.Keys(cursors)) {
		fmt.Fprintf(redacting{s.p.stdout, s.p.redactor}, "  %s = %s\n", name, cursors[name])
	}
}

func (s *stateTool) newShow() *cobra.Command {
	c := s.command(cobra.Command{
		Use:   "show COLLECTOR",
		Short: "Show the cursors of one collector",
	}, cobra.ExactArgs(1), func(args []string) error {
		cursors, err := s.cursors(args[0])
		if err != nil {
			return err
		}
		s.p.answerWith(cursors, func() {
			if len(cursors) == 0 {
				fmt.Fprintln(s.p.stdout, "no cursors: the next pull starts from the beginning")
			}
			s.printCursors(cursors)
		})
		return nil
	})
	s.p.jsonFlag(c, oneObject)
	return c
}

func (s *stateTool) newSet() *cobra.Command {
	c := s.command(cobra.Command{
		Use:   "set COLLECTOR CURSOR JSON",
		Short: "Set a cursor, so that the next pull goes on elsewhere",
		Long: `Sets a cursor of a collector to a JSON value; null removes it. For a collector that asks for time
ranges, the cursor window is the end of the last one: set it back to pull again from there. Rows
that were sent before are known and are not sent twice.`,
		Example: `  starling state set my_input/1/my_service window '"2026-05-01T00:00:00Z"'`,
	}, cobra.ExactArgs(3), func(args []string) error {
		value := json.RawMessage(args[2])
		if !json.Valid(value) {
			return usage(`%s is not JSON; a text or a date needs quotes that reach the program: '"%[1]s"'`, args[2])
		}
		if _, err := s.cursors(args[0]); err != nil {
			return err
		}
		if err := checkWindow(args[1], value); err != nil {
			return err
		}
		if string(value) == "null" {
			value = nil
		}
		if err := s.store.SetCursor(args[0], args[1], value); err != nil {
			return fail(err, engine.CodeStore)
		}
		s.p.answerWith(cursorSet{args[0], args[1], value}, func() { fmt.Fprintf(s.p.stdout, "%s: %s = %s\n", args[0], args[1], args[2]) })
		return nil
	})
	s.p.jsonFlag(c, oneObject)
	return c
}

// cursorSet is what the command set prints.
type cursorSet struct {
	Collector string          `json:"collector"`
	Cursor    string          `json:"cursor"`
	Value     json.RawMessage `json:"value"` // null if it was removed
}

func (s *stateTool) newReset() *cobra.Command {
	c := s.command(cobra.Command{
		Use:   "reset COLLECTOR --yes",
		Short: "Forget all that a collector remembers",
		Long: `Forgets every cursor of a collector, and which rows it has sent: the next pull starts from the
beginning and sends what it sent before once more. Events that wait for outputs are kept.`,
	}, cobra.ExactArgs(1), func(args []string) error {
		cursors, err := s.cursors(args[0])
		if err != nil {
			return err
		}
		if !s.yes {
			return usage("this forgets %s of %s, and its events are sent once more; repeat it with --yes", count(len(cursors), "cursor"), args[0])
		}
		if err := s.store.Reset(args[0]); err != nil {
			return fail(err, engine.CodeStore)
		}
		s.p.answerWith(forgotten{args[0], append([]string{}, slices.Sorted(maps.Keys(cursors))...)}, func() { fmt.Fprintf(s.p.stdout, "%s: forgotten\n", args[0]) })
		return nil
	})
	s.p.jsonFlag(c, oneObject)
	c.Flags().BoolVar(&s.yes, "yes", false, "really do it")
	return c
}

// forgotten is what the command reset prints.
type forgotten struct {
	Collector string   `json:"collector"`
	Cursors   []string `json:"forgotten_cursors"`
}

// cursors returns the cursors of a collector, none if it is configured but has not committed yet.
func (s *stateTool) cursors(collector string) (map[string]json.RawMessage, error) {
	all, err := s.store.Cursors()
	if err != nil {
		return nil, fail(err, engine.CodeStore)
	}
	cursors, ok := all[collector]
	if ok {
		return cursors, nil
	}
	if slices.Contains(s.known, collector) {
		return map[string]json.RawMessage{}, nil
	}
	known := slices.AppendSeq(slices.Clone(s.known), maps.Keys(all))
	slices.Sort(known)
	known = slices.Compact(known)
	return nil, usage("there is no collector %q; there are: %s", collector, strings.Join(known, ", "))
}

// checkWindow refuses a value that no pull could go on from.
func checkWindow(cursor string, value json.RawMessage) error {
	var at *time.Time
	if cursor != engine.WindowCursor || json.Unmarshal(value, &at) == nil {
		return nil
	}
	return usage(`the cursor %q is the end of the last window, a time such as '"2026-05-01T00:00:00Z"'; got %s`, cursor, value)
}
