package main

import (
	"testing"

	"starling/cmd/internal/bench"
)

// TestAllocationsOfTheWholePath holds what the path from the API to the receiver allocates for an event, and how often. Bytes
// repeat within one percent, and the number within 0.03, whatever else the machine does. Who allocates less lowers them, so that they stay a guard.
func TestAllocationsOfTheWholePath(t *testing.T) {
	t.Parallel()
	type figure struct{ want, slack float64 }
	figures := map[string]figure{"B/event": {1235, 60}, "allocs/event": {0.45, 0.1}}
	found, err := bench.Run(t.Context(), bench.Options{Program: "starling", Dir: t.TempDir(), Runs: 1, Script: "declared"}, "allocs")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found.(bench.Values) {
		t.Logf("%.5g %s", v.Runs[0], v.Unit)
		switch got, f := v.Runs[0], figures[v.Unit]; {
		case got > f.want+f.slack:
			t.Errorf("%.4g %s, want %g, or %g more at most", got, v.Unit, f.want, f.slack)
		case got < f.want-2*f.slack:
			t.Errorf("%.4g %s, which is better than %g: write it here", got, v.Unit, f.want)
		}
	}
}
