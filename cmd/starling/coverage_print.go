package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"starling/cmd/internal/layout"
)

// printHead says how much of the range is complete.
func (c *covered) printHead(w io.Writer, s screen) {
	fmt.Fprintln(w, printable(c.Collector))
	if !c.From.Before(c.To) {
		fmt.Fprintln(w, "  no ledger: it has not pulled yet, or its script pulls without checkpoint.sweeps and checkpoint.windows")
		return
	}
	share := "complete"
	if !c.Complete {
		share = fmt.Sprintf("%d%% complete", min(int(c.Share*100), 99))
	}
	fmt.Fprintln(w, layout.Fill("  ", fmt.Sprintf("%s to %s UTC: %s", moment(c.From), moment(c.To), share), s.fill))
	if !c.Settled.IsZero() {
		fmt.Fprintf(w, "  settled up to %s\n", moment(c.Settled))
	}
	if b := c.Backfill; b != nil {
		fmt.Fprintf(w, "  backfill %s to %s: ", moment(b.From), moment(b.To))
		if b.Over() {
			fmt.Fprintln(w, "done")
		} else {
			fmt.Fprintf(w, "%d%% done, is at %s\n", int(100*b.Next.Sub(b.From)/b.To.Sub(b.From)), moment(b.Next))
		}
	}
}

// printTable lists the intervals, and below each that is not complete why, and what to do. Columns in which
// nothing would stand are left out.
func (c *covered) printTable(w io.Writer, s screen) {
	if len(c.Intervals) == 0 {
		return
	}
	late, aside := false, false
	for _, x := range c.Intervals {
		late, aside = late || x.Late > 0, aside || x.Aside > 0
	}
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	row := func(from, to, state, rows, events, lates, asides string) {
		cells := []string{from, to, state, rows, events}
		if late {
			cells = append(cells, lates)
		}
		if aside {
			cells = append(cells, asides)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	row("\nFROM", "TO", "STATE", "ROWS", "EVENTS", "LATE", "ASIDE")
	for _, x := range c.Intervals {
		rows := number(x.Rows)
		if x.Rows == 0 && x.State >= swept { // they are counted when it is settled
			rows = "-"
		}
		row(moment(x.From), moment(x.To), standings[x.State].name, rows, number(x.Events), number(x.Late), number(x.Aside))
	}
	t.Flush()
	lines := strings.SplitAfter(text.String(), "\n")
	wide := func(line string) bool { return layout.Cells(strings.TrimSuffix(line, "\n")) > s.fill }
	if s.fill > 0 && slices.ContainsFunc(lines, wide) {
		c.printNarrow(w, s)
		return
	}
	io.WriteString(w, lines[0]+lines[1])
	for i, x := range c.Intervals {
		io.WriteString(w, lines[i+2])
		x.printReason(w, s)
	}
}

// printNarrow is printTable where a row does not fit into a line.
func (c *covered) printNarrow(w io.Writer, s screen) {
	for _, x := range c.Intervals {
		text := fmt.Sprintf("%d rows, %d events", x.Rows, x.Events)
		if x.Rows == 0 && x.State >= swept {
			text = fmt.Sprintf("%d events", x.Events)
		}
		if x.Late > 0 {
			text += fmt.Sprintf(", %d late", x.Late)
		}
		if x.Aside > 0 {
			text += fmt.Sprintf(", %d set aside", x.Aside)
		}
		fmt.Fprintf(w, "\n%s  %s\n  to %s\n%s\n", moment(x.From), standings[x.State].name, moment(x.To), layout.Fill("    ", text, s.fill))
		x.printReason(w, s)
	}
}

// printReason says why x is not complete, and what to do.
func (x *interval) printReason(w io.Writer, s screen) {
	if x.State == complete {
		return
	}
	fmt.Fprintln(w, layout.Fill("    why: ", x.Why, s.fill))
	if strings.HasPrefix(x.Do, "starling ") { // a command is to be copied, so it is one line
		s.fill = 0
	}
	fmt.Fprintln(w, layout.Fill("    do:  ", x.Do, s.fill))
}

// printStrip draws the range, a day or an hour to a line, and says below what is not complete for a
// reason that does not pass by itself. A character stands for the worst of what it covers.
func (c *covered) printStrip(w io.Writer, s screen) {
	if len(c.Intervals) == 0 {
		return
	}
	ruler := rulerFor(c.To.Sub(c.From), s.width)
	fmt.Fprintf(w, "\n%s\n", ruler.head())
	var last []cell
	var lastAt time.Time
	same := 0
	skipped := func() {
		if same > 0 {
			fmt.Fprintf(w, "%*s%d more like it, to %s\n", ruler.label, "", same, lastAt.Format(ruler.layout))
		}
		same = 0
	}
	seen := map[standing]bool{}
	rest := c.Intervals
	for at := c.From.Truncate(ruler.line); at.Before(c.To); at = at.Add(ruler.line) {
		var cells []cell
		for i := range ruler.cells {
			from := at.Add(time.Duration(i) * ruler.cell())
			var x cell
			x, rest = worst(rest, laterOf(from, c.From), earlierOf(from.Add(ruler.cell()), c.To))
			cells = append(cells, x)
			if x.known {
				seen[x.standing] = true
			}
		}
		if plain(cells) && last != nil && plain(last) && last[0] == cells[0] {
			same++
			lastAt = at
			continue
		}
		skipped()
		fmt.Fprintf(w, "%-*s%s\n", ruler.label, at.Format(ruler.layout), s.draw(cells))
		last = cells
	}
	skipped()
	indent := strings.Repeat(" ", ruler.label)
	fmt.Fprintf(w, "\n%s\n", layout.Fill(indent, fmt.Sprintf("a character is %s, and shows the worst of it; times are UTC", ageText(ruler.cell())), s.fill))
	for v := range standings {
		if seen[standing(v)] {
			x := cell{standing(v), true}
			legend, is := layout.Fill(indent+"?  ", standings[v].legend, s.fill), s.draw([]cell{x})
			fmt.Fprintln(w, strings.Replace(legend, "?", is, 1))
		}
	}
	c.printTroubles(w, s)
}

// printTroubles lists what a person may have to see to.
func (c *covered) printTroubles(w io.Writer, s screen) {
	first := true
	for _, x := range c.Intervals {
		if x.State < failing && (x.State != unasked || x.To.After(c.Settled)) {
			continue
		}
		if first {
			fmt.Fprintln(w)
		}
		first = false
		fmt.Fprintln(w, layout.Fill("", fmt.Sprintf("%s to %s  %s", moment(x.From), moment(x.To), standings[x.State].name), s.fill))
		x.printReason(w, s)
	}
}
