package bench

import (
	"bytes"
	"encoding/hex"
	"sort"
	"time"

	"starling/cmd/internal/sim"
)

const (
	pageRows = 2000  // in a page of the service
	stocked  = 20000 // different rows; then they come again, with other ids and times
)

// stock is rows as the service renders them, cut where they differ each time they are given.
type stock []cutRow

// A cutRow is a row without its moment, the end of its id, the window and its index.
type cutRow struct{ beforeMoment, beforeNumber []byte }

const (
	moment = "2006-01-02T15:04:05.0000000"
	tick   = 100 * time.Nanosecond
	digits = 12 // of the number at the end of an id

	momentKey = `,"Received":"`
	idKey     = `,"MessageTraceId":"`
	idLength  = 36
)

func newStock() stock {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := sim.NewMicrosoft(sim.Options{RawUnicode: true, Rows: sim.Rows{From: from, To: from.Add(time.Hour), Count: stocked}})
	var s stock
	for row := range m.Rows(from, from.Add(time.Hour)) {
		// A quote inside of a text is escaped, so keys are found where they are.
		text := m.Light(row, from, from, 0)
		_, rest, _ := bytes.Cut(text, []byte(momentKey))
		at := len(text) - len(rest)
		end := at + bytes.IndexByte(rest, '"')
		id := end + bytes.Index(text[end:], []byte(idKey)) + len(idKey)
		s = append(s, cutRow{text[:at:at], text[end : id+idLength-digits]})
	}
	return s
}

// history says which rows there are: for each collector the same many, evenly between two moments.
type history struct {
	From, To   time.Time
	Rows       int // of each collector
	Collectors int
}

func (h *history) total() int { return h.Rows * h.Collectors }

// moment is when row i of a collector was received. Its last digit is not 0, so that all are written equally long, and
// none is on the bound of a window.
func (h *history) moment(i int) time.Time {
	step := h.To.Sub(h.From) / time.Duration(max(1, h.Rows))
	return h.From.Add((time.Duration(i) * step).Truncate(10 * tick)).Add(time.Duration(1+i%9) * tick)
}

// number makes one number of a collector and a row.
func (h *history) number(collector, i int) int { return i*h.Collectors + collector }

// before is how many rows of a collector were received before a moment.
func (h *history) before(t time.Time) int {
	return sort.Search(h.Rows, func(i int) bool { return !h.moment(i).Before(t) })
}

// row appends a row without its window and index.
func (s stock) row(b []byte, number int, received time.Time) []byte {
	r := &s[number%len(s)]
	b = append(b, r.beforeMoment...)
	b = received.AppendFormat(b, moment)
	b = append(b, r.beforeNumber...)
	return appendNumber(b, number)
}

func appendNumber(b []byte, n int) []byte {
	const hexDigits = "0123456789abcdef"
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b = append(b, hexDigits[n>>shift&15])
	}
	return b
}

// numberOf reads what appendNumber wrote; below 0 is none.
func numberOf(b []byte) int {
	var raw [digits / 2]byte
	if _, err := hex.Decode(raw[:], b); err != nil {
		return -1
	}
	n := 0
	for _, c := range raw {
		n = n<<8 | int(c)
	}
	return n
}
