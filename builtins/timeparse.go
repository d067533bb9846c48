package builtins

import (
	"fmt"
	"time"
)

// parseTime reads a time as APIs write it, see parseMoment, and returns it in UTC.
func parseTime(s string) (time.Time, error) {
	c, ok := parseMoment(s)
	if !ok {
		return time.Time{}, fmt.Errorf(`got %.60q, want a time such as "2026-01-02T03:04:05Z", "2026-01-02" or "/Date(1767322800000)/"`, s)
	}
	return c.time(), nil
}
