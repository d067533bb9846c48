package main

import (
	"github.com/spf13/cobra"

	"starling/cmd/internal/docs"
	"starling/cmd/internal/schema"
	"starling/engine"
	"starling/scripts"
	"starling/sinks"
)

func newSchema(p *program) *cobra.Command {
	var config, dir string
	c := &cobra.Command{
		Use:   "schema",
		Short: "The JSON schema of the configuration file, for editors",
		Long: `Prints the JSON schema (2020-12) of the configuration file, with the settings of the scripts: of the
built-in ones, and of those of --scripts or of the configuration's folder. An editor with YAML
support then completes and checks keys while they are written. The configuration names it in its
first line:

  # yaml-language-server: $schema=starling.schema.json

What no schema can tell, such as whether a file is there, starling check tells.`,
		Example: "  starling schema > config/starling.schema.json\n  starling schema --config config/config.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return p.schema(config, dir) },
	}
	configFlag(c, &config)
	c.Flags().StringVar(&dir, "scripts", "", "folder of scripts (default: that of the configuration, or scripts, if there is one)")
	return c
}

func (p *program) schema(file, dir string) error {
	if file != "" && dir == "" {
		config, err := p.loadConfig(file)
		if err != nil {
			return err
		}
		dir = config.ScriptsDir
	} else if dir == "" && exists("scripts") {
		dir = "scripts"
	}
	sources, err := (&engine.Library{Builtin: scripts.FS(), Dir: dir}).Read()
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	all, err := docs.OfScripts(sources)
	if err != nil {
		return fail(err, engine.CodeScript)
	}
	settings := map[string][]docs.Setting{}
	for _, e := range all {
		settings[e.Name] = e.Settings
	}
	printJSON(p.stdout, schema.Configuration(settings, sinks.Keys()))
	return nil
}
