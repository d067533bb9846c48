package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"starling/cmd/internal/format"
	"starling/cmd/internal/scaffold"
)

// initFlags are the flags of the command init.
type initFlags struct {
	curl, openAPI, operation, sample string
	scripts, tag                     string
	force                            bool
}

func newInit(p *program) *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init NAME",
		Short: "Write a new script and its first test from a curl line, an OpenAPI document or a sample",
		Long: `Writes NAME.star, NAME_test.star and testdata/NAME.json into the folder of scripts, and shows what to
put into the configuration. The test passes. What cannot be known is a line with TODO, which asks.

--curl is a command line of curl that works, as documents and browsers give it; - reads it from
standard input. Its secrets are written nowhere: they become settings.
--openapi is an OpenAPI or Swagger document, YAML or JSON; --operation says which of its operations,
by its operationId or as "GET /path".
--sample is an answer of the API, JSON, with or without the head that curl -i shows. It goes beside a
curl line or a document, and is enough alone.

How the API pages, signs in, and is asked for a time range, is guessed from all of these.`,
		Example: `  starling init example_alerts --curl 'curl -H "Authorization: Bearer $TOKEN" https://api.example.com/v1/alerts?since=2026-01-01T00:00:00Z' --sample answer.json
  starling init example_alerts --openapi openapi.yaml --operation listAlerts`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return p.initScript(args[0], f) },
	}
	c.Flags().StringVar(&f.curl, "curl", "", "a command line of curl, or - for standard input")
	c.Flags().StringVar(&f.openAPI, "openapi", "", "an OpenAPI document")
	c.Flags().StringVar(&f.operation, "operation", "", "the operation of the document")
	c.Flags().StringVar(&f.sample, "sample", "", "a file with an answer of the API")
	c.Flags().StringVar(&f.scripts, "scripts", "scripts", "the folder of scripts")
	c.Flags().StringVar(&f.tag, "tag", "", "Devo's table (default my.app.NAME.events)")
	c.Flags().BoolVar(&f.force, "force", false, "overwrite files that are there")
	p.jsonFlag(c, oneObject)
	return c
}

// maxInitInput is how much of standard input is read.
const maxInitInput = 1 << 20

// An initReport says what init wrote.
type initReport struct {
	Files  []string `json:"files"`
	Config string   `json:"config"`
	Todos  []string `json:"todos"`
}

func (p *program) initScript(name string, f initFlags) error {
	if err := scaffold.CheckName(name); err != nil {
		return usage("%w", err)
	}
	if f.curl == "" && f.openAPI == "" && f.sample == "" {
		return usage("give at least one of --curl, --openapi and --sample")
	}
	if f.operation != "" && f.openAPI == "" {
		return usage("--operation: is for --openapi")
	}
	draft, err := p.draft(f)
	if err != nil {
		return err
	}
	draft.Name, draft.Tag = name, f.tag
	files := draft.Write()
	written, err := p.writeInit(name, f, files)
	if err != nil {
		return err
	}
	report := initReport{Files: written, Config: files.Config, Todos: append([]string{}, files.Todos...)}
	p.answerWith(report, func() { report.print(p, name, f) })
	return nil
}

// draft reads what is known.
func (p *program) draft(f initFlags) (*scaffold.Draft, error) {
	draft := &scaffold.Draft{}
	take := func(flag, from string, read func(text []byte) (*scaffold.Draft, error)) error {
		if from == "" {
			return nil
		}
		text, err := p.initInput(flag, from)
		if err != nil {
			return err
		}
		other, err := read(text)
		if err == nil {
			err = draft.Merge(other)
		}
		if err != nil {
			return &failure{exitWrong, fmt.Errorf("--%s: %w", flag, err)}
		}
		return nil
	}
	err := errors.Join(
		take("curl", f.curl, func(text []byte) (*scaffold.Draft, error) { return scaffold.ParseCurl(string(text)) }),
		take("openapi", f.openAPI, func(text []byte) (*scaffold.Draft, error) { return scaffold.ParseOpenAPI(text, f.operation) }),
		take("sample", f.sample, func(text []byte) (*scaffold.Draft, error) {
			sample, err := scaffold.ParseSample(text)
			return &scaffold.Draft{Sample: sample}, err
		}))
	return draft, err
}

// initInput is the text of a flag: a curl line itself, or a file.
func (p *program) initInput(flag, from string) ([]byte, error) {
	switch {
	case from == "-":
		return io.ReadAll(io.LimitReader(os.Stdin, maxInitInput))
	case flag == "curl":
		return []byte(from), nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return nil, &failure{exitWrong, fmt.Errorf("--%s: %w", flag, err)}
	}
	return text, nil
}

// writeInit writes the files, all or none.
func (p *program) writeInit(name string, f initFlags, files scaffold.Files) ([]string, error) {
	script, err := format.Source(name+".star", []byte(files.Script))
	if err != nil {
		return nil, fmt.Errorf("the script that was made is wrong, which is a mistake of starling: %w", err)
	}
	test, err := format.Source(name+"_test.star", []byte(files.Test))
	if err != nil {
		return nil, fmt.Errorf("the test that was made is wrong, which is a mistake of starling: %w", err)
	}
	texts := [][]byte{script, test, files.Sample}
	names := []string{name + ".star", name + "_test.star", filepath.Join("testdata", name+".json")}
	var there []error
	for i, n := range names {
		names[i] = filepath.Join(f.scripts, n)
		if !f.force && exists(names[i]) {
			there = append(there, fmt.Errorf("%s: is there already", names[i]))
		}
	}
	if there != nil {
		return nil, &failure{exitWrong, errors.Join(append(there, errors.New("nothing was written; --force overwrites"))...)}
	}
	for i, file := range names {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, texts[i], 0o644)); err != nil {
			return nil, &failure{exitOther, err}
		}
	}
	return names, nil
}

func (r initReport) print(p *program, name string, f initFlags) {
	for _, file := range r.Files {
		fmt.Fprintln(p.stdout, file)
	}
	fmt.Fprintf(p.stdout, "\nTo run it, put this into the configuration, or its input into inputs:\n\n%s\n", strings.ReplaceAll("    "+strings.TrimRight(r.Config, "\n"), "\n", "\n    "))
	if len(r.Todos) > 0 {
		fmt.Fprintf(p.stdout, "\n%s to answer in the script:\n\n", count(len(r.Todos), "question"))
		for _, todo := range r.Todos {
			fmt.Fprintf(p.stdout, "  - %s\n", todo)
		}
	}
	fmt.Fprintf(p.stdout, "\nNext: starling test --scripts %s %q, then starling pull %s --limit 5\n", f.scripts, name+"*", name)
}
