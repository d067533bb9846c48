package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := buildVersion()
			p.answerWith(versionAnswer{b.number, b.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH}, func() { fmt.Fprintln(p.stdout, b) })
			return nil
		},
	}
	p.jsonFlag(c, oneObject)
	return c
}

// versionAnswer is what the command version prints.
type versionAnswer struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// A build says what the program was made from.
type build struct{ number, commit string }

func (b build) String() string {
	text := "starling " + b.number
	if b.commit != "" {
		text += " (" + b.commit + ")"
	}
	return fmt.Sprintf("%s %s %s/%s", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion returns the version that the linker was told, or else the one that the go command noted.
func buildVersion() build {
	b := build{number: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if b.number == "" {
		b.number = info.Main.Version
	}
	if b.number == "" {
		b.number = "(devel)"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b.commit = settings["vcs.revision"]
	b.commit = b.commit[:min(len(b.commit), 12)]
	if settings["vcs.modified"] == "true" {
		b.commit += "+changes"
	}
	return b
}
