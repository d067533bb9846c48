package main

import (
	"io"
	"path/filepath"
	"testing"

	"starling/cmd/internal/sim"
	"starling/engine"
)

// The demo never runs the configuration of a Collector Server that is on the machine.
func TestDemoReadsItsOwnConfiguration(t *testing.T) {
	t.Parallel()
	w, err := sim.NewWorld(t.TempDir(), sim.WorldOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	job := filepath.Join(t.TempDir(), "job.json")
	writeText(t, job, `{"mail": {"id": 1, "enabled": true, "services": {"another": {}}}}`)
	p := &program{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }, server: engine.ConfigFiles{Job: job, Collector: job}}
	d := demo{program: p, world: w}
	if err := d.start(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	defer d.service.close()
	if s := d.service.engine.Status(); s.Config.File != w.ConfigFile() {
		t.Errorf("it runs %s, not %s", s.Config.File, w.ConfigFile())
	}
}
