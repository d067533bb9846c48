package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"starling/cmd/internal/docs"
	"starling/engine"
	"starling/scripts"
)

// docsFlags are the flags of the command docs.
type docsFlags struct {
	scripts, format, search string
}

func newDocs(p *program) *cobra.Command {
	var f docsFlags
	c := &cobra.Command{
		Use:   "docs [NAME]",
		Short: "The manual of what scripts can use, and of the settings of scripts",
		Long: `Prints the manual of a builtin (checkpoint, checkpoint.windows), of a value that builtins return
(client, client.pages), or of a script: what it does and which settings it has. Without a name it
lists all names; as Markdown or HTML it prints everything, HTML as one page that needs nothing else.`,
		Example: "  starling docs checkpoint.windows\n  starling docs office365_exchange_message_graph_service\n  starling docs --search \"late rows\"\n  starling docs --format html > manual.html",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return p.docs(strings.Join(args, ""), f) },
	}
	c.Flags().StringVar(&f.scripts, "scripts", "", "folder of scripts (default: scripts, if there is one)")
	c.Flags().StringVar(&f.format, "format", "text", "text, md or html")
	c.Flags().StringVar(&f.search, "search", "", "list what has all these words in it")
	p.jsonFlag(c, "print one JSON array")
	return c
}

// allDocs returns the whole manual: builtins, and the scripts of a folder in front of the built-in ones.
func allDocs(dir string) ([]docs.Entry, error) {
	if dir == "" && exists("scripts") {
		dir = "scripts"
	}
	all, err := docs.Builtins()
	if err != nil {
		return nil, &failure{exitOther, err}
	}
	sources, err := (&engine.Library{Builtin: scripts.FS(), Dir: dir}).Read()
	if err != nil {
		return nil, fail(err, engine.CodeScript)
	}
	more, err := docs.OfScripts(sources)
	return append(all, more...), fail(err, engine.CodeScript)
}

func (p *program) docs(name string, f docsFlags) error {
	if f.format != "text" && f.format != "md" && f.format != "html" {
		return usage("--format: got %q, want text, md or html", f.format)
	}
	all, err := allDocs(f.scripts)
	if err != nil {
		return err
	}
	chosen, list := all, name == "" && f.format == "text"
	switch {
	case name != "" && f.search != "":
		return usage("give a name or --search, not both")
	case f.search != "":
		list = f.format == "text"
		if chosen = docs.Search(all, f.search); len(chosen) == 0 {
			return &failure{exitWrong, fmt.Errorf("nothing has all of these words in it: %s", f.search)}
		}
	case name != "":
		if chosen = docs.Find(all, name); len(chosen) == 0 {
			return &failure{exitWrong, notInDocs(all, name)}
		}
	}
	p.printDocs(chosen, list, f)
	return nil
}

// notInDocs says that there is nothing of a name, and what to do.
func notInDocs(all []docs.Entry, name string) error {
	hint := "starling docs lists all names"
	if near := docs.Nearest(all, name); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return fmt.Errorf("nothing is called %s: %s", name, hint)
}

func (p *program) printDocs(chosen []docs.Entry, list bool, f docsFlags) {
	switch {
	case p.asJSON:
		p.answer = chosen
	case f.format == "html":
		fmt.Fprint(p.stdout, docs.HTML(chosen))
	case f.format == "md":
		for _, e := range chosen {
			fmt.Fprint(p.stdout, printable(e.Markdown()))
		}
	case list:
		for _, e := range chosen {
			fmt.Fprint(p.stdout, printable(fmt.Sprintf("%-32s  %s\n", e.Name, e.Summary())))
		}
	default:
		for i, e := range chosen {
			if i > 0 {
				fmt.Fprintln(p.stdout)
			}
			fmt.Fprint(p.stdout, printable(e.Text()))
		}
	}
}
