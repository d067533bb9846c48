package main

import (
	"testing"

	"starling/cmd/internal/bench"
)

// TestAllocationsOfTheWholePath holds what the path from the API to the receiver allocates for an event, and how often. The figures
// repeat within one percent, whatever else the machine does. Who allocates less lowers them, so that they stay a guard.
func TestAllocationsOfTheWholePath(t *testing.T) {
	t.Parallel()
	want := map[string]float64{"B/event": 1390, "allocs/event": 0.46}
	found, err := bench.Run(t.Context(), bench.Options{Program: "starling", Dir: t.TempDir(), Runs: 1, Script: "declared"}, "allocs")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found.(bench.Values) {
		t.Logf("%.5g %s", v.Runs[0], v.Unit)
		switch got, want := v.Runs[0], want[v.Unit]; {
		case got > 1.03*want+0.02:
			t.Errorf("%.4g %s, want at most 3 %% more than %g", got, v.Unit, want)
		case got < 0.9*want-0.02:
			t.Errorf("%.4g %s, which is better than %g: write it here", got, v.Unit, want)
		}
	}
}
