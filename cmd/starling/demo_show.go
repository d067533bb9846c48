package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"starling/cmd/internal/layout"
	"starling/cmd/internal/sim"
)

func (d *demo) invite() {
	folder := func(names ...string) string { return filepath.Join(append([]string{d.dir}, names...)...) }
	status := "http://" + d.service.listen + "/status"
	d.say(demoReady{"ready", d.world.ConfigFile(), folder("scripts", d.name+".star"), folder("starling.log"), status}, `%s
  folder         %s
  configuration  config/config.yaml
  log            starling.log
  script         scripts/%s.star
  status         %s   (also /metrics, /readyz)

%s
    "Starling": "was here",

%s`, d.filled("A simulated Microsoft makes %.0f rows a second, and a simulated Devo takes them. Answers and rows are what Microsoft has given so far, pulled is what is committed to disk, a window at a time, and delivered what Devo has.", d.rate),
		d.dir, d.name, status,
		d.filled("Edit the script while this runs: in scripts/lib/message_trace.star, for example, add"),
		d.filled("to the fields of %s. Or break it, and see what the log says while the old one goes on.", map[string]string{sim.ReportService: "light", sim.GraphService: "graph"}[d.name]))
}

// filled is a paragraph.
func (d *demo) filled(format string, args ...any) string {
	return layout.Fill("", fmt.Sprintf(format, args...), cmp.Or(screenOf(d.program).fill, 100)) + "\n"
}

// show prints a line of progress, and what was reloaded since the last one.
func (d *demo) show(began time.Time, before int) (delivered int) {
	s := d.service.engine.Status()
	for _, r := range s.Reloads {
		if !r.When.After(d.shown[r.Kind+r.Name]) {
			continue
		}
		if d.shown == nil {
			d.shown = map[string]time.Time{}
		}
		d.shown[r.Kind+r.Name], d.lines = r.When, 0
		line := demoReload{"reload", r.Error == "", r.Kind, r.Name, r.Version, r.Error}
		if r.Error != "" {
			d.say(line, "\n%s %s was refused, the old one goes on:\n%s\n\n", r.Kind, r.Name, r.Error)
			continue
		}
		d.say(line, "\n%s %s reloaded, version %s\n\n", r.Kind, r.Name, r.Version)
	}
	c, delivered := s.Collectors[0], d.world.Devo.Counters().Events
	m := d.world.Microsoft.Counters()
	lag := "-"
	if c.LagSeconds != nil {
		lag = fmt.Sprintf("%.0fs", *c.LagSeconds)
	}
	seconds, rate := time.Since(began).Seconds(), float64(delivered-before)/demoTick.Seconds()
	width, text := screenOf(d.program).fill, ""
	if d.lines%demoHead == 0 {
		text = "\n" + demoLine(width, "time", "answers", "rows", "pulled", "delivered", "per s", "lag", "outbox", "state") + "\n"
	}
	d.lines++
	text += demoLine(width, fmt.Sprintf("%.0fs", seconds), fmt.Sprint(m.Pages), fmt.Sprint(m.Rows), fmt.Sprint(c.Events),
		fmt.Sprint(delivered), fmt.Sprintf("%.0f", rate), lag, sizeText(s.Outbox.Bytes), string(c.State)) + "\n"
	if c.LastError != "" {
		text += "\n" + c.LastError + "\n\n"
		d.lines = 0
	}
	d.say(demoProgress{"progress", seconds, m.Pages, m.Rows, &c.Events, delivered, &rate, c.LagSeconds, &s.Outbox.Bytes, string(c.State), c.LastError}, "%s", text)
	return delivered
}

// demoHead is after how many lines of progress their head comes again.
const demoHead = 20

// demoColumns are the widths of the columns of a line of progress, and which of them a narrow terminal does without first.
var demoColumns = []struct{ width, spare int }{{4, 0}, {7, 6}, {8, 2}, {8, 4}, {9, 0}, {6, 5}, {6, 1}, {8, 3}, {7, 0}}

// demoLine is a line of progress, with as many columns as the width has room for; 0 is room for all.
func demoLine(width int, cells ...string) string {
	needs, dropped := 2*(len(cells)-1), 0
	for _, c := range demoColumns {
		needs += c.width
	}
	for spare := 6; spare > 0 && width > 0 && needs > width; spare-- {
		dropped = spare
		for _, c := range demoColumns {
			if c.spare == spare {
				needs -= c.width + 2
			}
		}
	}
	var kept []string
	for i, c := range demoColumns {
		if c.spare == 0 || c.spare < dropped || dropped == 0 {
			kept = append(kept, fmt.Sprintf("%*s", c.width, cells[i]))
		}
	}
	return strings.Join(kept, "  ")
}
