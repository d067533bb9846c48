package sim

import (
	"math/rand/v2"
	"time"
)

// Delay is a part of the rows, and how long after Received they appear: anything from Min to Max, evenly, to the tick.
type Delay struct {
	Share    float64
	Min, Max time.Duration
}

// UsualDelays are those of an ordinary day: 90 % after 1 to 10 minutes, 9 % within 4 hours, 1 % within 24 hours.
func UsualDelays() []Delay {
	return []Delay{
		{0.90, time.Minute, 10 * time.Minute},
		{0.09, 10 * time.Minute, 4 * time.Hour},
		{0.01, 4 * time.Hour, 24 * time.Hour},
	}
}

// Incident is a time of trouble: rows received in [From, To) appear no earlier than Delay after Received.
type Incident struct {
	From, To time.Time
	Delay    time.Duration
}

// Change is a status of a row, in the spelling of the old report, and from when on the row has it.
type Change struct {
	At     time.Time `json:"at"`
	Status string    `json:"status"`
}

// StatusAt returns the status a query at a moment finds; before the row is visible it is the first one.
func (r *Row) StatusAt(at time.Time) string {
	status := r.Status
	for i, c := range r.Changes {
		if i > 0 && c.At.After(at) {
			break
		}
		status = c.Status
	}
	return status
}

// Seen returns the statuses that queries up to and with a moment can have found, each with its first moment. It is empty for a
// row that was not visible by then.
func (r *Row) Seen(by time.Time) []Change {
	if r.Visible.After(by) {
		return nil
	}
	if len(r.Changes) == 0 {
		return []Change{{r.Visible, r.Status}}
	}
	n := 1
	for n < len(r.Changes) && !r.Changes[n].At.After(by) {
		n++
	}
	return r.Changes[:n]
}

// delay draws how long after Received a row appears.
func (s *Rows) delay(r *rand.Rand, received int64) time.Duration {
	delay, pick, within := time.Duration(0), r.Float64(), r.Float64()
	for _, d := range s.Delays {
		if pick < d.Share {
			delay = d.Min + time.Duration(within*float64(d.Max-d.Min))
			break
		}
		pick -= d.Share
	}
	for _, i := range s.Incidents {
		if received >= ticks(i.From) && received < ticks(i.To) {
			delay = max(delay, i.Delay)
		}
	}
	return delay.Truncate(tick)
}

// longest returns after which time a row is certainly visible and keeps its status.
func (s *Rows) longest() time.Duration {
	longest := time.Duration(0)
	for _, d := range s.Delays {
		longest = max(longest, d.Min, d.Max)
	}
	for _, i := range s.Incidents {
		longest = max(longest, i.Delay)
	}
	if s.Evolve > 0 {
		longest += s.EvolveBy
	}
	for i := range s.List {
		row := &s.List[i]
		longest = max(longest, row.Visible.Sub(row.Received))
		for _, c := range row.Changes {
			longest = max(longest, c.At.Sub(row.Received))
		}
	}
	return longest
}

// paths are the statuses a row can have before its last one.
var paths = [...][]string{{"GettingStatus", "Pending"}, {"GettingStatus"}, {"Pending"}, {"Quarantined"}, {"GettingStatus", "Pending", "FilteredAsSpam"}, {"Delivered"}}

// endings are the last statuses of rows that change; what was delivered can only be recalled.
var endings = [...]string{"Delivered", "Failed", "Expanded", "Delivered"}

// evolve gives some rows a history. Each step falls into its own part of the time, so no two have the same moment.
func (s *Rows) evolve(r *rand.Rand, row *Row) {
	if pick := r.Float64(); pick >= s.Evolve || s.EvolveBy < time.Second {
		return
	}
	path := paths[r.IntN(len(paths))]
	row.Status = endings[r.IntN(len(endings))]
	if path[0] == "Delivered" {
		row.Status = "Recalled"
	}
	row.Changes = []Change{{row.Visible, path[0]}}
	part := s.EvolveBy / time.Duration(len(path))
	for i := range path {
		status := row.Status
		if i+1 < len(path) {
			status = path[i+1]
		}
		at := row.Visible.Add(time.Duration(i)*part + 1 + time.Duration(r.Int64N(int64(part-1))))
		row.Changes = append(row.Changes, Change{at, status})
	}
}
