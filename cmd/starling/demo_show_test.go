package main

import (
	"strings"
	"testing"
)

// TestDemoLinesFitTheTerminal holds that a line of progress is not broken, and that time, what was delivered and the state are in each.
func TestDemoLinesFitTheTerminal(t *testing.T) {
	t.Parallel()
	cells := []string{"9999s", "9999999", "99999999", "99999998", "999999997", "999999", "99999s", "999.9 KiB", "waiting"}
	for width, columns := range map[int]int{0: 9, 36: 4, 40: 4, 60: 6, 82: 9, 200: 9} {
		line := demoLine(width, cells...)
		if width > 0 && len(line) > width || !strings.Contains(line, "999999997") || !strings.HasSuffix(line, "waiting") {
			t.Errorf("%d columns: %q", width, line)
		}
		if n := len(strings.Split(strings.ReplaceAll(strings.TrimSpace(line), " KiB", "KiB"), "  ")); n != columns {
			t.Errorf("%d columns: %d of 9 in %q, want %d", width, n, line, columns)
		}
	}
}
