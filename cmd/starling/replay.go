package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"starling/cmd/internal/cases"
	"starling/cmd/internal/problem"
	"starling/engine"
)

// replayFlags are the flags of the command replay.
type replayFlags struct {
	dir, script string
}

func newReplay(p *program) *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay CASE...",
		Short: "Run recorded pulls again, offline, and compare",
		Long: `Runs the pulls that starling pull --record, starling run --record or starling.recordings have
recorded: with the answers and the clock of the case, without a network and without secrets. What
was asked, the events, the commits and the checkpoint are compared with the case, bit for bit.

The script is the one that the case names, from the folder --scripts or built in, or --script FILE.
When it was edited since, what differs is what the edit does.`,
		Example: `  starling replay recordings
  starling replay failed.case --script scripts/my_service.star`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return p.replay(ctx, args, f)
		},
	}
	scriptsFlag(c, &f.dir)
	c.Flags().StringVar(&f.script, "script", "", "file of a script to run in place of the one that the case names")
	p.jsonFlag(c, "print one JSON array, an object for each case")
	return c
}

// scriptsFlag adds the flag that names the folder of scripts.
func scriptsFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "scripts", "", "folder of scripts (default: scripts, if there is one, before the built-in ones)")
}

// scriptsOr is the folder of scripts that a flag names, or the usual one if that exists.
func scriptsOr(flag string) string {
	if info, err := os.Stat("scripts"); flag == "" && err == nil && info.IsDir() {
		return "scripts"
	}
	return flag
}

// A replayed is the outcome of a case.
type replayed struct {
	Case        string             `json:"case"`
	OK          bool               `json:"ok"`
	Script      string             `json:"script,omitempty"`
	Version     string             `json:"version,omitempty"`
	Recorded    string             `json:"recorded_version,omitempty"`
	Edited      bool               `json:"edited"` // the script is not the one that was recorded
	Whole       bool               `json:"whole"`
	Notes       []string           `json:"notes,omitempty"`
	Requests    int64              `json:"requests"`
	Events      int64              `json:"events"`
	Millis      float64            `json:"milliseconds"`
	Differences []cases.Difference `json:"differences"`
	Error       string             `json:"error,omitempty"` // it cannot be played
	Problems    []problem.Problem  `json:"problems"`        // why
}

func (p *program) replay(ctx context.Context, files []string, f replayFlags) error {
	l, script, err := replayLibrary(f)
	if err != nil {
		return err
	}
	sources, err := l.Read()
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	if files, err = caseFiles(files); err != nil {
		return err
	}
	results, failed := []replayed{}, 0
	for _, file := range files {
		r := p.replayOne(ctx, file, l, sources, script)
		if ctx.Err() != nil {
			return &failure{exitSignal + int(syscall.SIGINT), errors.New("interrupted")}
		}
		if !r.OK {
			failed++
		}
		results = append(results, r)
		if !p.asJSON {
			r.print(p)
		}
	}
	p.answer = results
	if failed > 0 {
		return &failure{code: exitWrong}
	}
	return nil
}

// replayLibrary returns where scripts come from, and the name of the one to run if it is not the case's.
func replayLibrary(f replayFlags) (*engine.Library, string, error) {
	if f.script == "" {
		return scriptLibrary(scriptsOr(f.dir)), "", nil
	}
	if !strings.HasSuffix(f.script, ".star") {
		return nil, "", usage("--script %s: want a file NAME.star", f.script)
	}
	dir := f.dir
	if dir == "" {
		dir = filepath.Dir(f.script) // with what it loads
	}
	name, err := filepath.Rel(dir, f.script)
	if err != nil || strings.HasPrefix(name, "..") {
		return nil, "", usage("--script %s: it is not in the folder %s", f.script, dir)
	}
	return scriptLibrary(dir), filepath.ToSlash(name), nil
}

// caseFiles puts the cases of a folder in its place.
func caseFiles(names []string) (files []string, err error) {
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || !info.IsDir() {
			files = append(files, name)
			continue
		}
		inside, err := filepath.Glob(filepath.Join(name, "*"+cases.Extension))
		if err != nil || len(inside) == 0 {
			return nil, &failure{exitWrong, fmt.Errorf("%s: there is no file *%s in the folder", name, cases.Extension)}
		}
		files = append(files, inside...)
	}
	return files, nil
}

func (p *program) replayOne(ctx context.Context, file string, l *engine.Library, sources *engine.Sources, script string) replayed {
	r := replayed{Case: file, Differences: []cases.Difference{}, Problems: []problem.Problem{}}
	c, err := cases.ReadFile(file)
	if err != nil {
		r.Error, r.Problems = err.Error(), p.problems(&failure{exitWrong, err})
		return r
	}
	r.Script, r.Recorded, r.Whole, r.Notes = c.Tape.Script, c.Tape.Version, !c.Tape.Cut, c.Notes
	began := time.Now()
	checked, err := cases.Check(ctx, c, l, sources, script)
	r.Millis = time.Since(began).Seconds() * 1000
	if err != nil {
		r.Error, r.Problems = strings.Join(p.texts(err), "\n"), p.problems(fail(err, engine.CodeScript))
		if script == "" && engine.CodeOf(err, "") == engine.CodeConfig {
			const hint = "name the folder with --scripts, or the file with --script"
			r.Error += "\n" + hint
			for i := range r.Problems {
				r.Problems[i].Fix = cmp.Or(r.Problems[i].Fix, hint)
			}
		}
		return r
	}
	if script != "" {
		r.Script = script
	}
	r.Version, r.Edited = checked.Version, checked.Version != c.Tape.Version
	r.Requests, r.Events = checked.Played.Stats.Requests, checked.Played.Stats.Events
	r.Differences = append(r.Differences, checked.Differences...)
	r.OK = len(r.Differences) == 0
	return r
}

func (r replayed) print(p *program) {
	fmt.Fprintf(p.stdout, "%-4s  %s (%s, %s, %s)\n", verdict(r.OK), r.Case, count(int(r.Requests), "request"), count(int(r.Events), "event"), fmt.Sprintf("%.0fms", r.Millis))
	for _, n := range r.Notes {
		fmt.Fprintf(p.stdout, "      note: %s\n", n)
	}
	if r.Error != "" {
		fmt.Fprintln(p.stdout, indented(r.Error))
		return
	}
	if r.Edited && !r.OK {
		fmt.Fprintf(p.stdout, "      %s is not the script that was recorded (%s, now %s): what differs is what the edit does\n", r.Script, r.Recorded, r.Version)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(p.stdout, "      %s: %s\n%s\n", d.In, d.Says, indented(strings.TrimSuffix(d.Diff, "\n")))
	}
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "FAIL"
}

func indented(text string) string { return "      " + strings.ReplaceAll(text, "\n", "\n      ") }
