package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"
)

// The ground truth is a function of the options, so nothing has to be kept: it is counted out again.

// RowsBy yields the rows received in [from, to) that are visible at a moment of the service's clock, oldest first. Row.Seen says
// which statuses queries can have found by then. A row may be reused after the next is asked for.
func (m *Microsoft) RowsBy(from, to, by time.Time) iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		// Rows yet to come are not counted out: there is no end of them.
		for _, row := range m.rows.between(ticks(from), min(ticks(to), ticks(by)+1)) {
			if !row.Visible.After(by) && !yield(row) {
				return
			}
		}
	}
}

// Rows yields the rows received in [from, to) that are visible now, oldest first.
func (m *Microsoft) Rows(from, to time.Time) iter.Seq[*Row] {
	o := m.Options()
	return m.RowsBy(from, to, o.now())
}

// Truth yields the identities of these rows: what a collector that lost nothing has sent. Each comes once.
func (m *Microsoft) Truth(from, to time.Time) iter.Seq[string] {
	return func(yield func(string) bool) {
		for row := range m.Rows(from, to) {
			if !yield(row.Identity()) {
				return
			}
		}
	}
}

// TruthBy yields the identities of the rows received in [from, to) that are visible at a moment.
func (m *Microsoft) TruthBy(from, to, by time.Time) iter.Seq[string] {
	return func(yield func(string) bool) {
		for row := range m.RowsBy(from, to, by) {
			if !yield(row.Identity()) {
				return
			}
		}
	}
}

// truthLine is a row in the log of the truth.
type truthLine struct {
	Identity string    `json:"identity"`
	Received time.Time `json:"received"`
	Visible  time.Time `json:"visible"`
	Statuses []Change  `json:"statuses"`
}

// WriteTruth writes the rows received in [from, to) that are visible at a moment, a JSON object in each line: what there was, since
// when, and with which statuses from when on.
func (m *Microsoft) WriteTruth(w io.Writer, from, to, by time.Time) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	for row := range m.RowsBy(from, to, by) {
		if err := e.Encode(truthLine{row.Identity(), row.Received, row.Visible, row.Seen(by)}); err != nil {
			return fmt.Errorf("write the truth: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the truth: %w", err)
	}
	return nil
}
