package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"
)

func newMCP(p *program) *cobra.Command {
	var live bool
	c := &cobra.Command{
		Use:   "mcp",
		Short: "Offer the tools for scripts to an assistant, over MCP",
		Long: `Speaks the Model Context Protocol over standard input and output, for assistants and editors that
start it: each tool is a command of this program, with the same answers as its --json. It works in the
folder in which it is started, with your rights: files that its tools are told to format, or golden
files to update, are written.

Without --live no tool uses the network: scripts are tried against tests and recordings. With it
there is also the tool pull, and dev works without a recording: they ask the real API with the credentials of the
configuration, keep nothing and deliver nothing, but show the assistant events as they are.`,
		Example: `  starling mcp
  starling mcp --live`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.serveMCP(c.Context(), live) },
	}
	c.Flags().BoolVar(&live, "live", false, "have the tools pull and dev ask real APIs")
	return c
}

func (p *program) serveMCP(ctx context.Context, live bool) error {
	s := mcp.NewServer(&mcp.Implementation{Name: "starling", Title: "Starling", Version: buildVersion().number}, nil)
	addTool(s, p, "check", "Checks a configuration with its scripts and certificates, without the network. Problems have file, line and column.",
		func(in checkInput) []string { return flags("config", in.Config) }, "check", "--json")
	addTool(s, p, "lint", "Finds mistakes in scripts that load, and then do not do what they seem to; each has a place, and mostly a fix.",
		func(in filesInput) []string { return files(in.Files) }, "lint", "--json")
	addTool(s, p, "fmt", "Lays scripts out in the one form, and writes them; with check it only says which files would change.",
		func(in formatInput) []string { return append(boolean("check", in.Check), files(in.named())...) }, "fmt", "--json")
	addTool(s, p, "test", "Runs the tests of scripts (X_test.star for X.star) against canned answers, offline.",
		func(in testInput) []string {
			args := slices.Concat(flags("run", in.Run), flags("scripts", in.Scripts), boolean("cover", in.Cover), boolean("update", in.Update))
			return append(args, files(in.Files)...)
		}, "test", "--json")
	addTool(s, p, "replay", "Runs recordings of pulls again, offline, and says what differs in requests, events and cursors; with the script that is edited now, what an edit changes.",
		func(in replayInput) []string { return append(flags("script", in.Script), files(in.Cases)...) }, "replay", "--json")
	p.devs = &devMemory{}
	const gives = " gives: requests, the first rows beside their events, what changed in the events since the last call, cursors, steps, quotas, warnings, or the mistake with its line. At most 100 requests are listed; stats counts all."
	if live {
		addTool(s, p, "dev", "Says what a pull of a script, as it is now, against a recording or the real API"+gives+" Keeps nothing, delivers nothing.",
			devLiveInput.args, "dev", "--json", "--saves=1")
	} else {
		addTool(s, p, "dev", "Says what a pull of a script, as it is now, against a recording"+gives,
			devInput.args, "dev", "--json", "--saves=1")
	}
	addTool(s, p, "certify", "Breaks the API that the tests of a script declare in many ways, and says what the script then loses, repeats or dies of, with lines.",
		func(in certifyInput) []string { return append(flags("only", in.Only), files([]string{in.Script})...) }, "certify", "--json")
	addTool(s, p, "docs", "The manual: of a builtin such as checkpoint.windows, of a value such as client.pages, of a script and its settings; or what has all the words of a search in it.",
		func(in docsInput) []string { return append(flags("search", in.Search), files(in.names())...) }, "docs", "--json")
	if live {
		addTool(s, p, "pull", "Pulls once from the real API, keeps nothing, delivers nothing, and shows the first events, and then what it did, a line of JSON for each.",
			func(in pullInput) []string {
				return slices.Concat(flags("config", in.Config), flags("limit", fmt.Sprint(max(1, min(in.Limit, 50)))), files([]string{in.Service}))
			}, "pull", "--fresh", "--json")
	}
	if err := s.Run(ctx, &mcp.StdioTransport{}); err != nil && ctx.Err() == nil {
		return &failure{exitOther, fmt.Errorf("mcp: %w", err)}
	}
	return nil
}

type checkInput struct {
	Config string `json:"config,omitempty" jsonschema:"the configuration file; by default config/config.yaml or config.yaml"`
}

type filesInput struct {
	Files []string `json:"files,omitempty" jsonschema:"scripts, or folders of them; by default the folder scripts"`
}

type formatInput struct {
	Files []string `json:"files" jsonschema:"scripts, or folders of them"`
	Check bool     `json:"check,omitempty" jsonschema:"write nothing"`
}

// named is never empty: without a file, fmt reads standard input.
func (in formatInput) named() []string {
	if len(in.Files) == 0 {
		return []string{"scripts"}
	}
	return in.Files
}

type testInput struct {
	Files   []string `json:"files,omitempty" jsonschema:"files of tests, or scripts; by default all"`
	Scripts string   `json:"scripts,omitempty" jsonschema:"the folder of scripts"`
	Run     string   `json:"run,omitempty" jsonschema:"only tests whose name matches this regular expression"`
	Cover   bool     `json:"cover,omitempty" jsonschema:"say which statements ran"`
	Update  bool     `json:"update,omitempty" jsonschema:"write golden files that differ"`
}

type replayInput struct {
	Cases  []string `json:"cases" jsonschema:"cases, or folders of them"`
	Script string   `json:"script,omitempty" jsonschema:"a script to run in place of the one that a case names"`
}

type certifyInput struct {
	Script string `json:"script" jsonschema:"a file, or the name of a service"`
	Only   string `json:"only,omitempty" jsonschema:"only what matches this regular expression, such as 429|kill"`
}

type docsInput struct {
	Name   string `json:"name,omitempty" jsonschema:"of a builtin, a member, a value or a script; without it and without search, a list of all"`
	Search string `json:"search,omitempty" jsonschema:"words"`
}

func (in docsInput) names() []string {
	if in.Name == "" {
		return nil
	}
	return []string{in.Name}
}

type pullInput struct {
	Service string `json:"service" jsonschema:"an enabled service of the configuration"`
	Config  string `json:"config,omitempty" jsonschema:"the configuration file"`
	Limit   int    `json:"limit,omitempty" jsonschema:"how many events, 1 to 50; 1 by default"`
}

// flags returns a flag, unless it has no value.
func flags(name, value string) []string {
	if value == "" {
		return nil
	}
	return []string{"--" + name + "=" + value}
}

func boolean(name string, value bool) []string {
	if !value {
		return nil
	}
	return []string{"--" + name}
}

// files returns arguments that cannot be taken for flags, nor for standard input, which is the assistant.
func files(names []string) []string {
	args := []string{"--"}
	for _, name := range names {
		if name == "-" {
			name = "./-"
		}
		args = append(args, name)
	}
	return args
}

// An mcpResult is what a command has answered.
type mcpResult struct {
	ExitCode int    `json:"exit_code" jsonschema:"0: in order; 1: something is wrong with what was looked at; 2: the tool was called wrongly; others: see messages"`
	Output   any    `json:"output,omitempty" jsonschema:"what the command prints with --json, or its lines"`
	Messages string `json:"messages,omitempty" jsonschema:"what it says beside that"`
}

// maxMCPOutput bounds an answer, bytes: it goes into an assistant's context.
const maxMCPOutput = 256 << 10

// addTool adds a tool that is a command of this program.
func addTool[In any](s *mcp.Server, p *program, name, description string, args func(In) []string, command ...string) {
	mcp.AddTool(s, &mcp.Tool{Name: name, Description: description}, func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, mcpResult, error) {
		var stdout, stderr bytes.Buffer
		code := run(ctx, slices.Concat(command, args(in)), program{stdout: &stdout, stderr: &stderr, getenv: p.getenv, devs: p.devs})
		r := mcpResult{ExitCode: code, Messages: clipped(stderr.String())}
		r.Output = structured(clipped(stdout.String()))
		return nil, r, nil
	})
}

// structured returns what a command has printed: its JSON, or a list of its lines, each as JSON if it is.
func structured(text string) any {
	if text == "" {
		return nil
	}
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	var lines []any
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); json.Valid([]byte(line)) {
			lines = append(lines, json.RawMessage(line))
		} else {
			lines = append(lines, line)
		}
	}
	return lines
}

func clipped(text string) string {
	if len(text) <= maxMCPOutput {
		return text
	}
	return clippedTo(text, maxMCPOutput) + ": ask for less"
}

// clippedTo cuts a text to so many bytes, and says how many there were more.
func clippedTo(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + fmt.Sprintf("\n… %d more bytes", len(text)-most)
}
