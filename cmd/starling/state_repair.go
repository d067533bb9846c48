package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"starling/cmd/internal/problem"
	"starling/engine"
)

func (s *stateTool) newInspect() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Read every file of the state, and say whether all is there",
		Long: `Reads every file of the state directory and changes none: all checksums, every chunk of events,
and whether the database has everything that was ever committed to it. The exit code is 3 if
something is missing; starling run does not start then. Works while starling is stopped.`,
		Example: "  starling state check --state state",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, _, err := s.find()
			if err != nil {
				return err
			}
			i, err := engine.Inspect(dir)
			if err != nil {
				return fail(err, engine.CodeStore)
			}
			if len(i.Problems) > 0 {
				err = &failure{exitState, &engine.Error{Code: engine.CodeStore, Err: fmt.Errorf("the state is damaged; starling state repair --yes --state %s keeps what can be read, starling state restore puts a backup in its place", dir)}}
			}
			s.p.answerWith(s.inspected(i, ""), func() {
				s.printInspection(i)
				if err == nil {
					fmt.Fprintln(s.p.stdout, "whole: everything that was committed is there")
				} else {
					s.printDamage(i)
				}
			})
			return s.p.answered(err)
		},
	}
	s.p.jsonFlag(c, oneObject)
	return c
}

// inspected is what the commands check and repair print.
type inspected struct {
	OK       bool                                  `json:"ok"` // now
	State    string                                `json:"state"`
	Format   int                                   `json:"format"`
	Files    int                                   `json:"files"`
	Bytes    int64                                 `json:"bytes"`
	Cursors  map[string]map[string]json.RawMessage `json:"collectors"` // as they are after a repair
	Backlogs map[string]int                        `json:"sinks"`      // chunks that wait
	Chunks   int                                   `json:"chunks"`
	Events   int                                   `json:"events"` // in them
	Oldest   *time.Time                            `json:"oldest,omitempty"`
	Lost     []string                              `json:"lost"`
	Again    []string                              `json:"again"`           // what is pulled again, or what to do
	Moved    string                                `json:"moved,omitempty"` // where the damaged files are now
	Problems []problem.Problem                     `json:"problems"`        // before a repair
}

func (s *stateTool) inspected(i *engine.Inspection, moved string) inspected {
	a := inspected{OK: moved != "" || len(i.Problems) == 0, State: i.Dir, Format: i.Format, Files: i.Files, Bytes: i.Bytes,
		Cursors: i.Cursors, Backlogs: i.Backlogs, Chunks: i.Chunks, Events: i.Events, Lost: append([]string{}, i.Lost...),
		Again: append([]string{}, i.Again...), Moved: moved, Problems: []problem.Problem{}}
	if i.Chunks > 0 {
		a.Oldest = &i.Oldest
	}
	for _, text := range i.Problems {
		one := problem.FromText(text, engine.CodeStore)
		if moved == "" {
			one.Fix = "starling state repair --yes --state " + i.Dir + " keeps what can be read, starling state restore puts a backup in its place"
		}
		a.Problems = append(a.Problems, one.Map(s.p.shown))
	}
	return a
}

func (s *stateTool) newRepair() *cobra.Command {
	c := &cobra.Command{
		Use:   "repair --yes",
		Short: "Make a whole state of what can be read of a damaged one",
		Long: `Makes a new database of all events, cursors and remembered keys that can be read, and moves the
damaged files into the folder damaged-<time> of the state directory. It says what is lost. Where
events are lost, collectors go back to a cursor from before, so that they are pulled again.
It changes nothing if the state is whole. Interrupted, it can be run again.`,
		Example: "  starling state repair --yes --state state",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, _, err := s.find()
			if err != nil {
				return err
			}
			if !s.yes {
				return usage("this replaces the state by what can be read of it; see starling state check, then repeat it with --yes")
			}
			r, err := engine.Repair(dir)
			if err != nil {
				return fail(err, engine.CodeStore)
			}
			s.p.answerWith(s.inspected(r.Inspection, r.Moved), func() { s.printRepaired(r) })
			return nil
		},
	}
	s.p.jsonFlag(c, oneObject)
	c.Flags().BoolVar(&s.yes, "yes", false, "really do it")
	return c
}

func (s *stateTool) printRepaired(r engine.Repaired) {
	if len(r.Problems) == 0 && r.Moved == "" {
		fmt.Fprintln(s.p.stdout, "nothing to repair: everything that was committed is there")
		return
	}
	s.printDamage(r.Inspection)
	s.printInspection(r.Inspection)
	if r.Moved != "" {
		fmt.Fprintf(s.p.stdout, "repaired; the damaged files are in %s\n", r.Moved)
	}
}

func (s *stateTool) printInspection(i *engine.Inspection) {
	out := s.p.stdout
	fmt.Fprintf(out, "state directory %s: format %d, %s, %d bytes read\n", i.Dir, i.Format, count(i.Files, "file"), i.Bytes)
	for _, key := range slices.Sorted(maps.Keys(i.Cursors)) {
		fmt.Fprintf(out, "collector %s\n", key)
		s.printCursors(i.Cursors[key])
	}
	for _, name := range slices.Sorted(maps.Keys(i.Backlogs)) {
		fmt.Fprintf(out, "output %s: %s\n", name, waiting(i.Backlogs[name]))
	}
	if i.Chunks > 0 {
		fmt.Fprintf(out, "outbox: %s with %s, the oldest committed at %s\n", count(i.Chunks, "chunk"), count(i.Events, "event"), i.Oldest.Format(time.RFC3339))
	}
}

func waiting(chunks int) string {
	if chunks == 0 {
		return "nothing waits"
	}
	return count(chunks, "chunk") + " wait"
}

func (s *stateTool) printDamage(i *engine.Inspection) {
	for _, text := range i.Problems {
		fmt.Fprintln(s.p.stdout, "damaged:", text)
	}
	for _, text := range i.Lost {
		fmt.Fprintln(s.p.stdout, "lost:", text)
	}
	for _, text := range i.Again {
		fmt.Fprintln(s.p.stdout, "again:", text)
	}
}
