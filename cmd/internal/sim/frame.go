package sim

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

// Frame is one event as it comes over the wire: <PRI>YYYY-MM-DD HH:MM:SS.mmm HOST TAG: MSG, ended by a newline.
type Frame struct {
	Priority int    // facility*8 + severity, at most 191
	Stamp    []byte // the date and the time, see Time
	Host     []byte
	Tag      []byte
	Message  []byte
}

// Time is when the event happened, UTC.
func (f *Frame) Time() (time.Time, error) { return time.Parse(stampLayout, string(f.Stamp)) }

// Internal reports whether a collector sends the event about itself, as Devo's do: lines of its log, and figures.
func (f *Frame) Internal() bool {
	return bytes.HasPrefix(f.Tag, []byte("devo.collectors.")) || bytes.HasPrefix(f.Tag, []byte("devo.collector."))
}

const stampLayout = "2006-01-02 15:04:05.000"

// ParseFrame reads a frame without its newline. The result points into line.
func ParseFrame(line []byte) (Frame, error) {
	var f Frame
	head, rest, found := bytes.Cut(line, []byte(">"))
	if !found || len(head) < 2 || len(head) > 4 || head[0] != '<' {
		return f, errors.New("frame without <PRI>")
	}
	priority, err := strconv.ParseUint(string(head[1:]), 10, 8)
	if err != nil || priority > 191 {
		return f, errors.New("frame with a bad priority")
	}
	f.Priority = int(priority)
	if len(rest) <= len(stampLayout) || rest[len(stampLayout)] != ' ' || !stamped(rest[:len(stampLayout)]) {
		return f, errors.New("frame without a date of the form " + stampLayout)
	}
	f.Stamp, rest = rest[:len(stampLayout)], rest[len(stampLayout)+1:]
	if f.Host, rest, found = bytes.Cut(rest, []byte(" ")); !found || len(f.Host) == 0 {
		return f, errors.New("frame without a host")
	}
	if f.Tag, f.Message, found = bytes.Cut(rest, []byte(": ")); !found || len(f.Tag) == 0 || bytes.IndexByte(f.Tag, ' ') >= 0 {
		return f, errors.New("frame without a tag")
	}
	return f, nil
}

// stamped reports whether b has the form of a stamp, and sane numbers.
func stamped(b []byte) bool {
	for i, c := range []byte(stampLayout) {
		digit := b[i] >= '0' && b[i] <= '9'
		if isDigit := c >= '0' && c <= '9'; isDigit != digit || !isDigit && b[i] != c {
			return false
		}
	}
	two := func(i int) byte { return (b[i]-'0')*10 + b[i+1] - '0' }
	return two(5)-1 < 12 && two(8)-1 < 31 && two(11) < 24 && two(14) < 60 && two(17) < 60
}
