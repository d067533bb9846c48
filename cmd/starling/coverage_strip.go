package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// A cell is one character of a chart. What is not known lies outside the range.
type cell struct {
	standing standing
	known    bool
}

// worst is the worst that is said between two times, and the intervals that later cells may need.
func worst(all []interval, from, to time.Time) (cell, []interval) {
	for len(all) > 0 && !from.Before(all[0].To) {
		all = all[1:]
	}
	var c cell
	for _, x := range all {
		if !x.From.Before(to) {
			break
		}
		if from.Before(to) && from.Before(x.To) {
			c = cell{max(c.standing, x.State), true}
		}
	}
	return c, all
}

// plain reports whether a line is full and says one thing.
func plain(cells []cell) bool {
	for _, c := range cells {
		if !c.known || c != cells[0] {
			return false
		}
	}
	return true
}

// A ruler says what a line and a character of a chart stand for.
type ruler struct {
	line   time.Duration
	cells  int
	label  int // characters before a line
	layout string
	marks  int // how many times are written above
}

func (r ruler) cell() time.Duration { return r.line / time.Duration(r.cells) }

const hoursUpTo = 8 * time.Hour // a longer range has a line for each day

// rulerFor chooses the finest characters that fit.
func rulerFor(length time.Duration, width int) ruler {
	r := ruler{line: 24 * time.Hour, label: len("2006-01-02 "), layout: time.DateOnly, marks: 4}
	fine := []int{96, 48, 24, 12}
	if length <= hoursUpTo {
		r = ruler{line: time.Hour, label: len("2006-01-02 15h "), layout: "2006-01-02 15h", marks: 4}
		fine = []int{60, 20, 12}
	}
	for _, r.cells = range fine {
		if r.label+r.cells <= width {
			break
		}
	}
	return r
}

// head is the line above: hours of the day, or minutes of the hour.
func (r ruler) head() string {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", r.label))
	most := 24
	if r.line == time.Hour {
		most = 60
	}
	for i := range r.marks {
		n := strconv.Itoa(i * most / r.marks)
		b.WriteString(n + strings.Repeat(" ", r.cells/r.marks-len(n)))
	}
	return strings.TrimRight(b.String(), " ")
}

// A screen is what a chart is drawn on.
type screen struct {
	width  int // of a chart
	fill   int // where texts are broken; 0: nowhere, as in a pipe
	colour bool
}

// screenOf takes the width that COLUMNS says, else that of the terminal, else 80.
func screenOf(p *program) screen {
	s := screen{width: 80, colour: p.colours()}
	if n, err := strconv.Atoi(p.getenv("COLUMNS")); err == nil && n > 0 {
		s.width = n
	} else if n := terminalWidth(p.stdout); n > 0 {
		s.width = n
	}
	if isTerminal(p.stdout) {
		s.fill = s.width
	}
	return s
}

func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok && isTerminal(w) {
		return widthOf(f)
	}
	return 0
}

func (s screen) draw(cells []cell) string {
	var b strings.Builder
	colour := ""
	for _, c := range cells {
		glyph, want := byte(' '), ""
		if c.known {
			glyph, want = standings[c.standing].glyph, standings[c.standing].colour
		}
		if s.colour && want != colour {
			b.WriteString("\x1b[0m")
			if want != "" {
				b.WriteString("\x1b[" + want + "m")
			}
			colour = want
		}
		b.WriteByte(glyph)
	}
	if colour != "" {
		b.WriteString("\x1b[0m")
	}
	return strings.TrimRight(b.String(), " ")
}
