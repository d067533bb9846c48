package scaffold

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	startNames = []string{"since", "from", "start", "starttime", "startdate", "startdatetime", "after", "createdafter", "createdsince", "begin", "begintime", "begindate",
		"mintime", "min", "fromdate", "fromtime", "datefrom", "timefrom", "updatedsince", "modifiedsince", "oldest", "starttimestamp", "startat", "eventstart", "gte", "createdatgte", "lowerbound", "timestart"}
	endNames = []string{"until", "to", "end", "endtime", "enddate", "enddatetime", "before", "createdbefore", "createduntil", "finish", "maxtime", "todate", "totime",
		"dateto", "timeto", "latest", "endtimestamp", "endat", "eventend", "lte", "createdatlte", "upperbound", "timeend"}
	epochForm = regexp.MustCompile(`^(\d{10}|\d{13})$`)
	dateForm  = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
)

// A timeRange is the parameters that say which time is asked for.
type timeRange struct{ start, end bool }

// rangeOf finds the parameters of a time range and gives each the expression of its value, by the index of the parameter.
func (d *Draft) rangeOf(params []Param) (expressions map[int]string, r timeRange) {
	expressions = map[int]string{}
	for i, p := range params {
		if p.Setting != "" {
			continue
		}
		if found := timeForm.FindAllString(p.Value, -1); len(found) > 0 && len(found[0]) < len(p.Value) {
			text := p.Value
			args := []string{"window.start", "window.end"}[:min(len(found), 2)]
			for _, at := range found[:len(args)] {
				text = strings.Replace(text, at, "\x00", 1)
			}
			text = strings.ReplaceAll(strings.ReplaceAll(text, "%", "%%"), "\x00", "%s")
			expressions[i] = quote(text) + " % (" + strings.Join(args, ", ") + map[bool]string{true: ",", false: ""}[len(args) == 1] + ")"
			r.start, r.end = true, r.end || len(args) == 2
			continue
		}
		plain := notName.ReplaceAllString(strings.ToLower(p.Name), "")
		looks := p.Value == "" || timeForm.MatchString(p.Value) || epochForm.MatchString(p.Value) || dateForm.MatchString(p.Value) || relative(p.Value)
		switch {
		case !looks:
		case slices.Contains(startNames, plain) && !r.start:
			expressions[i], r.start = moment("window.start", p.Value), true
		case slices.Contains(endNames, plain) && !r.end:
			expressions[i], r.end = moment("window.end", p.Value), true
		}
	}
	if !r.start { // an end alone asks for no range
		return map[int]string{}, timeRange{}
	}
	return expressions, r
}

func relative(text string) bool {
	return strings.HasPrefix(text, "now") || strings.HasPrefix(text, "$(date")
}

// moment writes a time as the API has it.
func moment(expression, like string) string {
	switch {
	case epochForm.MatchString(like) && len(like) == 13:
		return expression + ".unix_ms"
	case epochForm.MatchString(like):
		return expression + ".unix"
	case dateForm.MatchString(like):
		return expression + `.format("%Y-%m-%d")`
	}
	return expression
}

// clockFor is when the test runs: some time after the newest row.
func (d *Draft) clockFor(f *Field) (newest, now time.Time) {
	newest = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	found := false
	if f != nil {
		for i := range d.Sample.records {
			if at, ok := d.Sample.timeOf(i, f); ok && (!found || at.After(newest)) {
				newest, found = at, true
			}
		}
	}
	return newest, newest.Truncate(time.Minute).Add(20 * time.Minute)
}
