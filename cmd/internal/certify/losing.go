package certify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"starling/engine"
)

// losing says which rows are lost, and why as far as the requests and commits tell.
func (j *judge) losing(o *outcome, v *Verdict, lost []*Row) string {
	all := j.api.rows()
	numbers := fmt.Sprintf("row %d", slices.Index(all, lost[0])+1)
	if len(lost) > 1 {
		numbers = fmt.Sprintf("%s, rows %d to %d", rowsOf(len(lost), len(all)), slices.Index(all, lost[0])+1, slices.Index(all, lost[len(lost)-1])+1)
	}
	text := fmt.Sprintf("loses %s (%s)%%WHEN%%: ", numbers, ids(lost))
	asked := j.requestsFor(o, lost)
	for _, one := range asked {
		if one.Fault == "" {
			return text + j.readOnly(v, o, one)
		}
	}
	if len(asked) > 0 {
		one := asked[0]
		for _, again := range asked { // after the retries
			if again.Pull == one.Pull {
				one = again
			}
		}
		return text + j.broken(v, o, one)
	}
	return text + j.notAsked(v, o, lost)
}

func ids(rows []*Row) string {
	var list []string
	for i, r := range rows {
		if i == 3 {
			list = append(list, "…")
			break
		}
		list = append(list, r.ID)
	}
	return strings.Join(list, ", ")
}

// requestsFor are the requests whose answers have, or would have had, one of the rows.
func (j *judge) requestsFor(o *outcome, rows []*Row) (asked []*served) {
	for _, one := range o.log {
		if slices.ContainsFunc(one.Rows, func(r *Row) bool { return slices.Contains(rows, r) }) {
			asked = append(asked, one)
		}
	}
	return asked
}

// readOnly is for rows that were read and not sent.
func (j *judge) readOnly(v *Verdict, o *outcome, one *served) string {
	p := o.pulls[one.Pull]
	text := fmt.Sprintf("they were read at %s", j.place(v, one.At))
	if p.err != nil {
		if early := j.early(v, p); early != "" {
			return text + ", and " + early
		}
		text += ", the pull failed then"
		if at := j.errorAt(v, p.err); at != "" {
			text += " at " + at
		}
		return text + ", and no later one asked for them again" + j.withCursor(v, o, one)
	}
	text += " and never sent" + j.then(v, one)
	for _, s := range p.steps {
		if s.Kind == "stage" && s.At != nil {
			text += "; what is sent, is at " + j.place(v, s.At)
			break
		}
	}
	if one.At == nil || len(one.Then) > 1 && !sent(p, one) {
		return text
	}
	for _, line := range j.source.tables {
		text += fmt.Sprintf("; the table of %s may take them for the same as others", j.line(v, j.file, line))
	}
	if j.source.seen > 0 {
		text += fmt.Sprintf("; checkpoint.seen of %s may know their key already", j.line(v, j.file, j.source.seen))
	}
	return text
}

// sent reports whether a line that sends ran after a request.
func sent(p pulled, one *served) bool {
	return slices.ContainsFunc(p.steps, func(s engine.Step) bool {
		return s.Kind == "stage" && s.At != nil && slices.Contains(one.Then, s.At.Line)
	})
}

// broken is for rows whose request failed.
func (j *judge) broken(v *Verdict, o *outcome, one *served) string {
	p := o.pulls[one.Pull]
	if p.err == nil {
		return fmt.Sprintf("the request at %s got %s, and the pull ended as if all had been read%s%s", j.place(v, one.At), one.Fault, j.then(v, one), j.withCursor(v, o, one))
	}
	if early := j.early(v, p); early != "" {
		return early + fmt.Sprintf(" (%s gets %s)", j.place(v, one.At), one.Fault)
	}
	return fmt.Sprintf("the request at %s got %s, and no later one asked for them again%s", j.place(v, one.At), one.Fault, j.withCursor(v, o, one))
}

// early finds a cursor that a pull which failed had committed.
func (j *judge) early(v *Verdict, p pulled) string {
	var set *engine.Step
	for i, s := range p.steps {
		switch s.Kind {
		case "set":
			set = &p.steps[i]
		case "committed":
			if set != nil && s.Moved {
				return fmt.Sprintf("checkpoint %q, set at %s, is committed at %s before all that it passes was read and sent", set.Cursor, j.place(v, set.At), j.place(v, s.At))
			}
		}
	}
	return ""
}

// then names the lines that ran behind a failed request.
func (j *judge) then(v *Verdict, one *served) string {
	if len(one.Then) == 0 || one.At == nil {
		return ""
	}
	var lines []string
	for _, line := range one.Then {
		if line != one.At.Line && !slices.Contains(lines, strconv.Itoa(line)) {
			j.line(v, one.At.File, line)
			lines = append(lines, strconv.Itoa(line))
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return "; it went on at line " + strings.Join(lines, ", ")
}

// notAsked is for rows that no request asked for.
func (j *judge) notAsked(v *Verdict, o *outcome, lost []*Row) string {
	followed := false
	for i, one := range o.log {
		if one.List == nil || !one.More || one.Fault != "" {
			continue
		}
		followed = i+1 < len(o.log) && o.log[i+1].List == one.List && o.log[i+1].Pull == one.Pull
		if !followed && one.List.has(lost) {
			return fmt.Sprintf("the answer to the request at %s has a next page (%s), and nothing asks for it%s", j.place(v, one.At), one.List.Next.words(), j.then(v, one)+j.after(v, o, one))
		}
	}
	text := "no request asked for them"
	if one := lastRequest(o, lost); one != nil {
		text += fmt.Sprintf("; the requests are made at %s", j.place(v, one.At))
	}
	if late := j.late(lost); late != "" {
		text += "; " + late
	}
	if o.cell.Skew != 0 {
		for _, line := range j.source.clocks {
			text += fmt.Sprintf("; %s goes by this machine's clock, api.now() by the API's", j.line(v, j.file, line))
		}
	}
	for _, line := range j.source.ranges {
		text += fmt.Sprintf("; ranges are made at %s", j.line(v, j.file, line))
	}
	return text + j.withCursor(v, o, nil)
}

// after names where a pull that left pages out went on: where it set cursors.
func (j *judge) after(v *Verdict, o *outcome, one *served) string {
	for _, s := range o.pulls[one.Pull].steps {
		if s.Kind == "stage" && s.At != nil {
			return "; its rows are sent at " + j.place(v, s.At)
		}
	}
	return ""
}

func (l *List) has(rows []*Row) bool {
	return slices.ContainsFunc(rows, func(r *Row) bool { return slices.Contains(l.Rows, r) })
}

func lastRequest(o *outcome, lost []*Row) *served {
	for _, one := range slices.Backward(o.log) {
		if one.List != nil && one.List.has(lost) {
			return one
		}
	}
	return nil
}

func (j *judge) late(lost []*Row) string {
	for _, l := range j.api.Lists {
		if l.Late > 0 && l.has(lost) {
			return fmt.Sprintf("rows appear %s after their time, so what is asked for must be older than that", l.Late)
		}
	}
	return ""
}

func (n Next) words() string {
	switch n.Kind {
	case "link", "cursor":
		return fmt.Sprintf("%q in the answer", n.Key)
	case "header":
		return "the header Link"
	}
	return "the parameter " + n.Param
}

func (j *judge) withCursor(v *Verdict, o *outcome, one *served) string {
	if text := j.lastSet(v, o, one); text != "" {
		return "; " + text
	}
	return ""
}

// lastSet names where cursors were set, in the pull of a request or in any.
func (j *judge) lastSet(v *Verdict, o *outcome, one *served) string {
	for n, p := range slices.Backward(o.pulls) {
		if one != nil && n != one.Pull {
			continue
		}
		for _, s := range slices.Backward(p.steps) {
			if s.Kind == "set" && s.At != nil {
				text := fmt.Sprintf("cursor %q is set at %s", s.Cursor, j.place(v, s.At))
				if s.At.File != j.file {
					return text
				}
				for i, line := range j.source.origins[s.At.Line] {
					if i == 0 {
						text += ", to what comes from "
					} else {
						text += ", "
					}
					text += j.line(v, j.file, line)
				}
				return text
			}
		}
	}
	return ""
}

func (j *judge) errorAt(v *Verdict, err error) string {
	e, ok := err.(*engine.ScriptError)
	if !ok {
		return ""
	}
	file, line, ok := split(e.Pos)
	if !ok {
		return ""
	}
	return j.line(v, file, line)
}

// split reads file:line:col.
func split(pos string) (file string, line int, ok bool) {
	rest, _, ok := cutLast(pos)
	if !ok {
		return "", 0, false
	}
	file, number, ok := cutLast(rest)
	line, err := strconv.Atoi(number)
	return file, line, ok && err == nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndex(s, ":")
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
