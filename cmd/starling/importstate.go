package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starling/cmd/internal/problem"
	"starling/engine"
)

func newImportState(p *program) *cobra.Command {
	t := &importTool{stateTool: stateTool{p: p}}
	c := &cobra.Command{
		Use:   "import-devo-state FOLDER [SERVICE]",
		Short: "Go on where a Python collector of Devo ended",
		Long: `Reads what Devo's Python collectors keep in their state folder, as data and never as code, and shows
what it says of each collector of the configuration. What these collectors call their values is not
published: a value that is a time, and the only one that looks like the end of what was pulled, is
proposed as the place to go on from. With --yes it becomes the cursor "window". Otherwise choose one
by its name with --key, or give the time with --from. A cursor that is there already is kept, unless
--replace is given; rows that starling itself has sent are known and not sent again (state reset
forgets them).

Stop the old collector first: it writes its files in place, and one that is being written is damaged.
Nothing in FOLDER is changed. Works while starling is stopped.`,
		Example: `  starling import-devo-state ../o365_emt/state
  starling import-devo-state ../o365_emt/state --yes
  starling import-devo-state ../o365_emt/state office365_exchange_message_service --from 2026-05-01T03:00 --yes`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error { return t.run(args) },
	}
	configFlag(c, &t.file)
	c.Flags().StringVar(&t.key, "key", "", "name of the value to go on from, as the command shows it")
	c.Flags().StringVar(&t.from, "from", "", "where to go on from, whatever the state says: a time such as 2026-05-01T13:00 (UTC), or an age such as 36h")
	c.Flags().BoolVar(&t.yes, "yes", false, "set the cursor")
	c.Flags().BoolVar(&t.replace, "replace", false, "also where there is one already")
	p.jsonFlag(c, oneObject)
	c.MarkFlagsMutuallyExclusive("key", "from")
	return c
}

// importTool reads the state of Devo's collectors.
type importTool struct {
	stateTool
	key, from string
	replace   bool
	now       time.Time
}

// imported is what the command prints.
type imported struct {
	OK         bool              `json:"ok"`
	Folder     string            `json:"folder"`
	Collectors []*importState    `json:"collectors"`
	Others     []otherFile       `json:"others"`
	Problems   []problem.Problem `json:"problems"`
}

func (t *importTool) run(args []string) error {
	t.now = time.Now().UTC().Truncate(time.Second)
	from, err := readMoment("--from", t.from, t.now)
	if err != nil {
		return err
	}
	if from.After(t.now) {
		return usage("--from %s has not come yet", moment(from))
	}
	config, err := t.p.loadConfig(t.file)
	if err != nil {
		return err
	}
	if config.StateDir == "" {
		return &failure{exitState, fmt.Errorf("%s: globals.persistence keeps state in memory: there is nowhere to set a cursor", config.File)}
	}
	all := importTargets(config)
	targets, err := chosenTargets(all, args[1:])
	if err != nil {
		return err
	}
	if len(targets) != 1 && (t.key != "" || t.from != "") {
		return usage("say which service --key or --from is for: %s", strings.Join(targetNames(targets), ", "))
	}
	files, err := stateFiles(args[0])
	if err != nil {
		return &failure{exitWrong, err}
	}
	found := &imported{Folder: args[0], Collectors: []*importState{}}
	for _, target := range targets {
		found.Collectors = append(found.Collectors, t.look(args[0], target, all, files, from))
	}
	for _, o := range all {
		delete(files, stateFile(o.input, o.id, o.service))
	}
	found.Others = otherFiles(args[0], files)
	wrong, err := t.apply(config, found.Collectors)
	if err != nil {
		return err
	}
	if wrong {
		err = &failure{exitWrong, errors.New("not every cursor was set; see above")}
	}
	found.OK, found.Problems = !wrong, t.p.problems(err)
	t.p.answerWith(found, func() { t.print(found) })
	return t.p.answered(err)
}

// look reads the state of one collector, and chooses where to go on.
func (t *importTool) look(folder string, target importTarget, all []importTarget, files map[string]bool, from time.Time) *importState {
	s := target.find(folder, all, files)
	s.read(folder, target, t.now)
	switch {
	case !from.IsZero():
		s.Choice = &importPlace{Key: "--from", Time: from}
	case t.key != "":
		s.Choice = s.named(t.key)
		if s.Choice == nil {
			s.Do = fmt.Sprintf("no time is called %q; choose one of: %s", t.key, strings.Join(s.names(), ", "))
		}
	default:
		s.Choice = s.only()
	}
	return s
}

// apply compares with the cursors that are there, and sets those that are chosen if that is asked for.
// It reports whether one could not be set.
func (t *importTool) apply(config *engine.Config, states []*importState) (wrong bool, err error) {
	_, statErr := os.Stat(filepath.Join(config.StateDir, "MANIFEST"))
	if statErr == nil || t.yes {
		if t.store, err = engine.OpenStore(config.StateDir, config.Limits.OutboxBytes); err != nil {
			return false, fail(err, engine.CodeStore)
		}
		defer func() { err = errors.Join(err, fail(t.store.Close(), engine.CodeStore)) }()
	}
	for _, s := range states {
		if t.store != nil {
			cursors, err := t.store.Cursors()
			if err != nil {
				return false, fail(err, engine.CodeStore)
			}
			s.Window = cursors[s.Collector][engine.WindowCursor]
		}
		if err := t.decide(s); err != nil {
			return false, err
		}
	}
	return t.yes && !allSet(states), nil
}

// allSet reports whether every collector that has state has its cursor, and at least one has.
func allSet(states []*importState) bool {
	some := false
	for _, s := range states {
		if s.Written != nil && !s.Set {
			return false
		}
		some = some || s.Set
	}
	return some
}

// decide sets one cursor, or says what to do.
func (t *importTool) decide(s *importState) error {
	if s.Choice == nil {
		return nil // s says what to do
	}
	value, err := json.Marshal(s.Choice.Time)
	if err != nil {
		return &failure{exitOther, err}
	}
	switch {
	case string(s.Window) == string(value):
		s.Set = true
		s.Do = "nothing: it goes on from there already"
		return nil
	case s.Window != nil && !t.replace:
		s.Do = fmt.Sprintf("nothing: it goes on from %s already; --replace sets it to %s", s.Window, rfc(s.Choice.Time))
		return nil
	case !t.yes:
		s.Do = "repeat this with --yes to go on from " + rfc(s.Choice.Time)
		return nil
	}
	if err := t.store.SetCursor(s.Collector, engine.WindowCursor, value); err != nil {
		return fail(err, engine.CodeStore)
	}
	s.Set = true
	s.Do = "nothing: the next pull goes on from " + rfc(s.Choice.Time)
	return nil
}

func rfc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
