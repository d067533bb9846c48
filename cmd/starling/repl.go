package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"starling/cmd/internal/docs"
	"starling/engine"
)

func newREPL(p *program) *cobra.Command {
	var config, service string
	c := &cobra.Command{
		Use:   "repl",
		Short: "Try builtins and a service's API line by line",
		Long: `Reads statements, runs them and prints what expressions give. With --service there is all that the
script of a service of the configuration makes at its top level, such as its client, with the
service's settings and credentials: api.get("/alerts")["items"][0]. Limits, network rules and
what hides secrets are those of the configuration. Nothing is delivered and nothing is kept.

A statement of several lines ends with an empty line. help(name) prints the manual of a builtin, _ is the
last value, Ctrl-C stops what runs, Ctrl-D ends.`,
		Example: "  starling repl\n  starling repl --config config/config.yaml --service example_alerts",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return p.repl(c.Context(), config, service) },
	}
	configFlag(c, &config)
	p.jsonFlag(c, "print a JSON object for each statement, one to a line")
	c.Flags().StringVar(&service, "service", "", "service whose script and settings to begin with")
	return c
}

func (p *program) repl(ctx context.Context, file, service string) error {
	config := &engine.Config{Network: &engine.Network{}, LogLevel: "info", LogFormat: "text"}
	if file != "" || service != "" {
		var err error
		if config, err = p.loadConfig(file); err != nil {
			return err
		}
	}
	log, _, err := p.newLogger(config)
	if err != nil {
		return err
	}
	s, err := engine.OpenSession(ctx, config, service, p.engineOptions(slog.New(withoutEnd{log.Handler()})))
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	defer s.Close()
	r := &repl{program: p, session: s, in: bufio.NewReader(os.Stdin), prompts: isTerminal(os.Stdin)}
	s.Set("help", starlark.NewBuiltin("help", r.help))
	if r.prompts {
		fmt.Fprintln(p.stderr, "help(name) prints the manual of a builtin; Ctrl-D ends")
	}
	return r.loop(ctx)
}

// A repl reads, evaluates and prints.
type repl struct {
	*program
	session *engine.Session
	in      *bufio.Reader
	prompts bool // a person types
	failed  bool
	out     bytes.Buffer // of the statement that runs
}

func (r *repl) loop(ctx context.Context) error {
	for ctx.Err() == nil {
		f, err := r.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.run(ctx, f)
		}
		if err != nil {
			r.failed = true
			r.refuse(err)
		}
	}
	if r.failed && !r.prompts {
		return &failure{code: exitWrong}
	}
	return nil
}

// read reads one statement. A line that is not ended by a line break is one too.
func (r *repl) read() (*syntax.File, error) {
	prompt, first := ">>> ", true
	var ended error
	f, err := r.session.Parse(func() ([]byte, error) {
		if r.prompts {
			fmt.Fprint(r.stderr, prompt)
		}
		prompt = "... "
		line, err := r.in.ReadBytes('\n')
		if err != nil && len(line) > 0 {
			return append(line, '\n'), nil
		}
		if err != nil && first {
			ended = err
		}
		first = false
		return line, err
	})
	if ended != nil {
		return nil, ended
	}
	return f, err
}

// refuse says why a statement has no value.
func (r *repl) refuse(err error) {
	if r.asJSON {
		_ = r.printLine(failedAnswer{Problems: r.problems(err)}) // who does not read any more sees nothing
		return
	}
	r.tell(err)
}

// A statement is what became of one, with --json.
type statement struct {
	OK     bool   `json:"ok"`
	Output string `json:"output"` // its value, and what help printed
}

// run runs a statement, which an interrupt stops.
func (r *repl) run(ctx context.Context, f *syntax.File) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	text, err := r.session.Run(ctx, f)
	if text != "" {
		fmt.Fprintln(&r.out, printable(text))
	}
	defer r.out.Reset()
	if r.asJSON && err == nil {
		return r.printLine(statement{true, strings.TrimSuffix(r.out.String(), "\n")})
	}
	if !r.asJSON {
		_, _ = r.out.WriteTo(r.stdout) // who does not read any more sees nothing
	}
	return err
}

// help prints the manual of a builtin, of a value, or of a name.
func (r *repl) help(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var what starlark.Value = starlark.String("help")
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 0, &what); err != nil {
		return nil, err
	}
	name := what.Type()[strings.LastIndex(what.Type(), ".")+1:] // of a client, http.client
	switch what := what.(type) {
	case starlark.String:
		name = string(what)
	case *starlark.Builtin:
		name = what.Name()
	case *starlarkstruct.Module:
		name = what.Name
	case *starlark.Function:
		fmt.Fprint(&r.out, printable(fmt.Sprintf("%s\n\n%s\n", what.Name(), what.Doc())))
		return starlark.None, nil
	}
	if name == "help" {
		fmt.Fprintln(&r.out, "help(http), help(http.client) or help(\"client.pages\") prints what there is to know of it; starling docs lists everything")
		return starlark.None, nil
	}
	all, err := allDocs("")
	if err != nil {
		return nil, err
	}
	found := docs.Find(all, name)
	if len(found) == 0 {
		return nil, notInDocs(all, name)
	}
	for _, e := range found {
		fmt.Fprint(&r.out, printable(e.Text()))
	}
	return starlark.None, nil
}
