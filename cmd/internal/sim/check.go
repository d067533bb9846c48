package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Check says how events compare with the truth.
type Check struct {
	Rows    int // that could be seen
	Missing int // of them, those without an event
	Events  int
	Twice   int // events of a row and a status that came before
	Unknown int // events of no row
}

// CheckEvents compares events, one to a line and as the services send them, with the rows received in [from, to) that are visible at a
// moment. It writes the rows without an event, as WriteTruth does.
func (m *Microsoft) CheckEvents(events io.Reader, missing io.Writer, from, to, by time.Time) (c Check, err error) {
	seen := map[string]int{} // statuses, by identity
	sent := map[string]bool{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // a line without an end is one that is being written
		}
		if err != nil {
			return c, fmt.Errorf("read events: %w", err)
		}
		c.Events++
		key := TraceIdentity(line)
		status, _ := textOf(line, `"Status"`)
		if again := key + "|" + strings.ToLower(status); sent[again] {
			c.Twice++
		} else {
			sent[again] = true
		}
		seen[key]++
	}
	b := bufio.NewWriter(missing)
	e := json.NewEncoder(b)
	known := 0
	for row := range m.RowsBy(from, to, by) {
		events := seen[row.Identity()]
		known += events
		if c.Rows++; events > 0 {
			continue
		}
		c.Missing++
		if err := e.Encode(truthLine{row.Identity(), row.Received, row.Visible, row.Seen(by)}); err != nil {
			return c, fmt.Errorf("write what is missing: %w", err)
		}
	}
	c.Unknown = c.Events - known
	if err := b.Flush(); err != nil {
		return c, fmt.Errorf("write what is missing: %w", err)
	}
	return c, nil
}
