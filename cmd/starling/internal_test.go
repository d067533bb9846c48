package main

import (
	"testing"
	"time"

	"starling/cmd/internal/sim"
)

// TestInternalEventsReachDevo: lines of the log come to Devo under the tag and with the keys of Devo's
// collectors, beside the events, and none of a secret.
func TestInternalEventsReachDevo(t *testing.T) {
	t.Parallel()
	w, err := sim.NewWorld(t.TempDir(), sim.WorldOptions{Delay: time.Second,
		Microsoft: sim.Options{Rows: sim.Rows{From: time.Now().Add(-time.Minute).UTC(), PerSecond: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	edit(t, w.ConfigFile(), "inputs:\n", "starling:\n  listen: \"off\"\n  internal_events: true\n\ninputs:\n")
	const tag = "devo.collectors.out.local.info"
	runDevoLog(t, w, func(*lockedBuffer) {
		until(t, "lines of the log are received", func() bool { return w.Devo.Tags()[tag] >= 2 && w.Devo.Tags()["cloud.office365.messagetracing"] > 0 })
	})
	for name := range w.Devo.Tags() {
		if name != tag && name != "cloud.office365.messagetracing" && name != "devo.collectors.out.local.warning" {
			t.Errorf("events of the tag %s", name)
		}
	}
}
