package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"starling/engine"
)

// configFlag adds --config to a command.
func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration file (default: $CONFIG_FILE, config/config.yaml or config.yaml)")
}

// loadConfig reads the configuration file that the flag names, or that is found without it. From then
// on nothing that is printed or logged shows one of its secrets.
func (p *program) loadConfig(flag string) (*engine.Config, error) {
	config, err := engine.LoadConfig(p.configFile(flag))
	if err != nil {
		return nil, fail(err, engine.CodeConfig)
	}
	p.redactor = &engine.Redactor{}
	for _, s := range config.Secrets {
		p.redactor.Add(s)
	}
	return config, nil
}

// configFile returns the name of the configuration file. Images of Devo's collectors are told it by
// CONFIG_FILE, which names a file in the folder config.
func (p *program) configFile(flag string) string {
	if flag != "" {
		return flag
	}
	name := p.getenv("CONFIG_FILE")
	if filepath.IsAbs(name) {
		return name
	}
	if name == "" {
		name = "config.yaml"
	}
	for _, file := range []string{filepath.Join("config", name), name} {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return filepath.Join("config", name)
}
