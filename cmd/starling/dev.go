package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"starling/cmd/internal/cases"
	"starling/cmd/internal/dev"
	"starling/engine"
)

// devFlags are the flags of the command dev.
type devFlags struct {
	config, dir, recording string
	plain, fresh           bool
	first, saves           int
}

func newDev(p *program) *cobra.Command {
	var f devFlags
	c := &cobra.Command{
		Use:   "dev [SCRIPT.star | SERVICE]",
		Short: "Show at each save of a script what a pull gives",
		Long: `Pulls once now and then at each save of a script, or of a file that it loads, and shows what that
gives: requests, pages, the first rows beside the events that are made of them, what changed in the
events since the last save, the checkpoint, what is used of quotas, time and steps, and warnings. A
script that is broken is shown with its line; the last result stays.

With --recording a case answers, in a fraction of a second; see starling pull --record. Without it
the API does, for SERVICE of the configuration. Nothing is kept and nothing is sent on, but for a
refresh token that a sign-in has used up.`,
		Example: `  starling pull my_service --record my.case
  starling dev scripts/my_service.star --recording my.case
  starling dev my_service`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if c.Flags().Changed("recording") && f.recording == "" {
				return usage("--recording: name a case") // never the API instead
			}
			return p.dev(ctx, strings.Join(args, ""), f)
		},
	}
	configFlag(c, &f.config)
	scriptsFlag(c, &f.dir)
	c.Flags().StringVar(&f.recording, "recording", "", "case that answers in place of the API")
	c.Flags().BoolVar(&f.fresh, "fresh", false, "start each pull without state")
	c.Flags().IntVar(&f.first, "first", 2, "how many events to show beside their rows")
	c.Flags().IntVar(&f.saves, "saves", 0, "end after so many results; 0 means never")
	c.Flags().BoolVar(&f.plain, "plain", false, "print one result below the other, without colours")
	p.jsonFlag(c, "print an object for each result, one to a line")
	return c
}

func (p *program) dev(ctx context.Context, what string, f devFlags) error {
	s, err := p.devSession(what, f)
	if err != nil {
		return err
	}
	p.devs.recall(s, what, f)
	defer p.devs.remember(s, what, f)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.redraws(f) {
		lines := max(heightOf(p.stdout.(*os.File)), 1) // what stands on the screen stays to be scrolled back to
		fmt.Fprint(p.stdout, strings.Repeat("\n", lines-1), redrawn("the first pull goes on; Ctrl-C ends\n"))
	}
	n := 0
	dev.Watch(ctx, s.Library, p.devFiles(f), func(changed time.Time) {
		r := s.Pull(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		p.showDev(s, r, f)
		if n++; n == f.saves {
			cancel()
		}
	})
	return nil
}

// devFiles returns a hash of what is read beside the scripts.
func (p *program) devFiles(f devFlags) func() [sha256.Size]byte {
	if f.recording != "" {
		return func() [sha256.Size]byte { return [sha256.Size]byte{} }
	}
	file := p.configFile(f.config)
	return func() [sha256.Size]byte {
		data, err := os.ReadFile(file)
		if err != nil {
			return [sha256.Size]byte{}
		}
		return sha256.Sum256(data)
	}
}

func (p *program) showDev(s *dev.Session, r *dev.Result, f devFlags) {
	if r.Problem != nil {
		shown := r.Problem.Map(p.shown)
		r.Problem = &shown
	}
	p.devs.bound(r, p.redactor.Redact)
	if p.asJSON {
		_ = p.printLine(r) // who does not read any more sees nothing
		return
	}
	if !p.redraws(f) {
		_, _ = io.WriteString(p.stdout, s.Text(r, dev.Look{Width: 100, Redact: p.redactor.Redact})+strings.Repeat("-", 20)+"\n") // who does not read any more sees nothing
		return
	}
	look := dev.Look{Width: 80, Color: p.colours(), Redact: p.redactor.Redact}
	if out := p.stdout.(*os.File); widthOf(out) > 0 {
		look.Width, look.Height = widthOf(out), heightOf(out)-2
	}
	_, _ = io.WriteString(p.stdout, redrawn(s.Text(r, look)+"waiting for a save; Ctrl-C ends\n"))
}

// redraws reports whether a result takes the place of the one before.
func (p *program) redraws(f devFlags) bool {
	return !f.plain && !p.asJSON && isTerminal(p.stdout) && p.getenv("TERM") != "dumb"
}

// redrawn writes a page over the last one, line by line: a screen that is emptied first would flicker.
func redrawn(page string) string {
	return "\x1b[H" + strings.ReplaceAll(page, "\n", "\x1b[K\n") + "\x1b[J"
}

func (p *program) devSession(what string, f devFlags) (*dev.Session, error) {
	s := &dev.Session{First: f.first}
	if f.recording == "" {
		return s, p.devLive(s, what, f)
	}
	c, err := cases.ReadFile(f.recording)
	if err != nil {
		return nil, &failure{exitWrong, err}
	}
	p.redactor = &engine.Redactor{}
	s.Case, s.Name = c, f.recording
	if what == "" {
		s.Library = scriptLibrary(scriptsOr(f.dir))
		return s, nil
	}
	s.Library, s.Script, err = replayLibrary(replayFlags{dir: f.dir, script: what})
	return s, err
}

// devLive prepares pulls of the real API.
func (p *program) devLive(s *dev.Session, what string, f devFlags) error {
	if what == "" {
		return usage("name a service of the configuration, or a recording with --recording")
	}
	config, err := p.loadConfig(f.config)
	if err != nil {
		return err
	}
	if what, err = serviceOfScript(config, what); err != nil {
		return err
	}
	dir := config.ScriptsDir
	if f.dir != "" {
		dir = f.dir
	}
	s.Library = scriptLibrary(dir)
	s.Live = func(ctx context.Context, w dev.Watching) (*engine.Tape, []engine.Event, []engine.Rate, error) {
		config, err := p.loadConfig(f.config) // it may have been edited
		if err != nil {
			return nil, nil, nil, err
		}
		config.ScriptsDir = dir
		var tape *engine.Tape
		sink := &keptEvents{}
		o := p.engineOptions(w.Logger)
		o.Observe = w.Observe
		o.Recorder = &engine.Recorder{Limit: func() int64 { return config.Recordings.Bytes }, Keep: func(t *engine.Tape) { tape = t }}
		_, err = engine.PullOnce(ctx, config, what, o, engine.Once{Fresh: f.fresh || !exists(config.StateDir), Sinks: map[string]engine.Sink{"dev": sink}})
		var rates []engine.Rate
		if tape != nil {
			rates, _ = engine.Rates(config, o, tape.Collector) // what is wrong with the script is told by the pull
		}
		return tape, sink.events, rates, err
	}
	return nil
}

// serviceOfScript returns the service that runs a script, if it is the name of a file.
func serviceOfScript(config *engine.Config, what string) (string, error) {
	if !strings.HasSuffix(what, ".star") {
		return what, nil
	}
	for _, cc := range config.Collectors {
		if cc.Script == filepath.Base(what) {
			return cc.Key(), nil
		}
	}
	return "", &failure{exitWrong, fmt.Errorf("%s: no enabled service of the configuration runs this script: add one, or name a recording with --recording", what)}
}

// keptEvents is a sink that keeps what it gets.
type keptEvents struct{ events []engine.Event }

func (k *keptEvents) Send(_ context.Context, events []engine.Event) error {
	for _, e := range events {
		e.Body = append([]byte(nil), e.Body...)
		k.events = append(k.events, e)
	}
	return nil
}

func (k *keptEvents) Flush(context.Context) error { return nil }
func (k *keptEvents) Close() error                { return nil }
