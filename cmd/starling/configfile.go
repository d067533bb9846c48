package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"starling/engine"
)

// configFlag adds --config to a command.
func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration file (default: $CONFIG_FILE, config/config.yaml or config.yaml)")
}

// Where Devo's Collector Server puts the two files of a configuration.
const (
	jobFile       = "/etc/devo/job/job_config.json"
	collectorFile = "/etc/devo/collector/collector_config.json"
)

// serverFlags adds the flags that name other places for these two files.
func (p *program) serverFlags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&p.server.Job, "job_config_loc", jobFile, "inputs, as the Collector Server has them")
	c.PersistentFlags().StringVar(&p.server.Collector, "collector_config_loc", collectorFile, "name, state and outputs, as the Collector Server has them")
}

// loadConfig reads the configuration file that the flag names, or that is found without it. From then
// on nothing that is printed or logged shows one of its secrets.
func (p *program) loadConfig(flag string) (*engine.Config, error) {
	config, err := p.configFiles(flag).Load()
	if err != nil {
		return nil, fail(err, engine.CodeConfig)
	}
	p.redactor = &engine.Redactor{}
	for _, s := range config.Secrets {
		p.redactor.Add(s)
	}
	return config, nil
}

// configFiles returns the files of the configuration. Where both files of the Collector Server are, they
// are it, as for Devo's collectors.
func (p *program) configFiles(flag string) engine.ConfigFiles {
	server := p.server
	named := server.Job != jobFile || server.Collector != collectorFile
	if server.Job != "" && (named || exists(server.Job) && exists(server.Collector)) {
		return server
	}
	return engine.ConfigFiles{Config: p.configFile(flag), NoState: server.NoState}
}

// configFile returns the name of the configuration file in Devo's on-premise form. Images of Devo's
// collectors are told it by CONFIG_FILE; what is no file here is one in the folder config.
func (p *program) configFile(flag string) string {
	if flag != "" {
		if inConfig := filepath.Join("config", flag); !filepath.IsAbs(flag) && !exists(flag) && exists(inConfig) {
			return inConfig
		}
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
		if exists(file) {
			return file
		}
	}
	return filepath.Join("config", name)
}
