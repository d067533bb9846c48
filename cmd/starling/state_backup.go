package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"starling/engine"
)

func (s *stateTool) newBackup() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything in the state to a file, also while starling runs",
		Long: `Writes events that wait, cursors and remembered keys to one file, as they were at one moment, with
a checksum. A starling that runs is asked for it and goes on meanwhile. The file is whole or not
there, and readable for its owner only: events are in it as they are.`,
		Example: "  starling state backup --state state /backup/starling-monday",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, _, err := s.find()
			if err != nil {
				return err
			}
			info, err := engine.BackupDir(dir, args[0])
			if err != nil {
				return fail(err, engine.CodeStore)
			}
			s.p.answerWith(backedUp{args[0], info}, func() {
				fmt.Fprintf(s.p.stdout, "%s: %d commits, format %d\n", args[0], info.Commits, info.Format)
			})
			return nil
		},
	}
	s.p.jsonFlag(c, oneObject)
	return c
}

// backedUp is what the command backup prints.
type backedUp struct {
	File string `json:"file"`
	engine.BackupInfo
}

// restored is what the command restore prints.
type restored struct {
	State    string `json:"state"`
	Replaced string `json:"replaced,omitempty"` // where the state that was there is now
	engine.BackupInfo
}

func (s *stateTool) newRestore() *cobra.Command {
	replace := false
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the state",
		Long: `Checks the whole backup, then makes it the state. A state that is there already is refused, or with
--replace moved into its folder replaced-<time>. Collectors go on from where they were when the
backup was made: what was sent after it is sent again. Works while starling is stopped.`,
		Example: "  starling state restore --replace --state state /backup/starling-monday",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, _, err := s.locate()
			if err != nil {
				return err
			}
			info, moved, err := engine.Restore(args[0], dir, replace)
			if err != nil {
				return fail(err, engine.CodeStore)
			}
			s.p.answerWith(restored{dir, moved, info}, func() {
				if moved != "" {
					fmt.Fprintf(s.p.stdout, "the state that was there is in %s\n", moved)
				}
				fmt.Fprintf(s.p.stdout, "restored the state of %s; what was sent after it is sent again\n", info.Time.Format(time.RFC3339))
			})
			return nil
		},
	}
	s.p.jsonFlag(c, oneObject)
	c.Flags().BoolVar(&replace, "replace", false, "move a state that is there aside")
	return c
}
