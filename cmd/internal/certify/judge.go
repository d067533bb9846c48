package certify

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"starling/engine"
)

// Kinds of verdicts.
const (
	InOrder  = "in order"
	Repeated = "repeated"
	Lost     = "lost"
	Died     = "died"
	Stuck    = "stuck"
	Silent   = "silent"
)

// A Verdict is what a cell of the matrix came to.
type Verdict struct {
	Name    string  `json:"name"`
	Result  string  `json:"result"`
	Warning bool    `json:"warning,omitempty"` // not in order, and no failure
	Tried   int     `json:"tried"`             // how many variants
	Text    string  `json:"text,omitempty"`
	Places  []Place `json:"places,omitempty"` // in the script
}

// A Place is a line of a script.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

func (v Verdict) OK() bool { return v.Result == InOrder || v.Warning }

// worse is the order of verdicts.
func (v Verdict) rank() int {
	r := 2 * slices.Index([]string{InOrder, Repeated, Stuck, Silent, Died, Lost}, v.Result)
	if v.Warning {
		r--
	}
	return r
}

// A judge says what an outcome means.
type judge struct {
	api    *API
	idPath string
	source *source
	file   string // as errors call the script
}

func (j *judge) verdict(o *outcome) Verdict {
	v := Verdict{Name: o.cell.Name, Result: InOrder, Tried: 1}
	t := j.api.tally(o, j.idPath)
	lost := j.lost(o, t)
	switch {
	case o.endless:
		v.Result = Stuck
		v.Text = j.stuck(o, &v)
	case o.ended != nil:
		v.Result = Died
		v.Text = j.died(o, &v, len(lost))
	case len(lost) > 0 && o.restless:
		v.Result = Stuck
		v.Text = fmt.Sprintf("sends rows again and again%%WHEN%%, and %s not sent%s", many(len(lost), "row is", "rows are"), j.withCursor(&v, o, nil))
	case len(lost) > 0:
		v.Result = Lost
		v.Text = j.losing(o, &v, lost)
		if t.strange > 0 && o.cell.Change == nil {
			v.Text += fmt.Sprintf("; %s of no row that the API had", many(t.strange, "event is", "events are"))
		}
	case o.quiet:
		v.Result = Silent
		v.Text = j.silent(o, &v)
	default:
		j.repeated(o, t, &v)
		if o.restless {
			v.Result, v.Warning = Stuck, false
			v.Text = strings.Replace(v.Text, "more than once", "again with every pull", 1)
		}
	}
	if v.Text != "" && o.cell.When != "" {
		v.Text = strings.Replace(v.Text, "%WHEN%", " "+o.cell.When, 1)
	}
	v.Text = strings.Replace(v.Text, "%WHEN%", "", 1)
	return v
}

// lost are the rows that the API had and no event is of, from old to new.
func (j *judge) lost(o *outcome, t tally) (rows []*Row) {
	strange := t.strange
	for _, row := range j.api.rows() {
		if t.times[row.ID] > 0 {
			continue
		}
		if c := o.cell.Change; c != nil && c.Row == row && strange > 0 {
			strange-- // its id is another one now
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

func (j *judge) place(v *Verdict, at *engine.Statement) string {
	if at == nil {
		return "the script"
	}
	return j.line(v, at.File, at.Line)
}

func (j *judge) line(v *Verdict, file string, line int) string {
	p := Place{file, line}
	if !slices.Contains(v.Places, p) {
		v.Places = append(v.Places, p)
	}
	if file == j.file {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("%s:%d", file, line)
}

func (j *judge) stuck(o *outcome, v *Verdict) string {
	last := o.log[len(o.log)-1]
	return fmt.Sprintf("asks without end%%WHEN%%: %s at %s asked %d times in one pull", last.words(), j.place(v, last.At), last.Number-o.pulls[len(o.pulls)-1].first+1)
}

func (j *judge) died(o *outcome, v *Verdict, lost int) string {
	text := o.ended.Error()
	if e, ok := errors.AsType[*engine.ScriptError](o.ended); ok {
		text = e.Error()
		if file, line, ok := split(e.Pos); ok {
			j.line(v, file, line)
		}
	}
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > 400 {
		text = text[:400] + "…"
	}
	text = fmt.Sprintf("no pull goes well any more%%WHEN%%, and %s not sent: %s", many(lost, "row is", "rows are"), text)
	if o.cell.Expire > 0 {
		for _, one := range o.log {
			if one.SignIn {
				return text + fmt.Sprintf("; it signed in at %s, and not again", j.place(v, one.At))
			}
		}
	}
	return text
}

func (j *judge) silent(o *outcome, v *Verdict) string {
	for _, one := range o.log {
		if one.Fault != "" && one.List != nil {
			return fmt.Sprintf("says that all is well%%WHEN%%: the request at %s fails, and the pull ends without an error%s", j.place(v, one.At), j.then(v, one))
		}
	}
	return "says that all is well%WHEN%"
}

func (j *judge) repeated(o *outcome, t tally, v *Verdict) {
	var twice []*Row
	for _, row := range j.api.rows() {
		if t.times[row.ID] > 1 {
			twice = append(twice, row)
		}
	}
	if len(twice) == 0 {
		return
	}
	v.Result, v.Warning = Repeated, !j.source.keyed || o.cell.Old
	most := slices.MaxFunc(twice, func(a, b *Row) int { return t.times[a.ID] - t.times[b.ID] })
	v.Text = fmt.Sprintf("sends %s more than once%%WHEN%%, such as %s, %d times", rowsOf(len(twice), len(j.api.rows())), most.ID, t.times[most.ID])
	for _, p := range o.pulls {
		for _, s := range p.steps {
			if s.Kind == "stage" && s.At != nil {
				v.Text += ": sent at " + j.place(v, s.At)
				break
			}
		}
		if len(v.Places) > 0 {
			break
		}
	}
	for _, line := range j.source.tables {
		v.Text += fmt.Sprintf("; the table of %s ", j.line(v, j.file, line))
		if j.source.keyed {
			v.Text += "has a key that does not tell them to be the same"
		} else {
			v.Text += "has no key that would keep them out"
		}
	}
	if cursor := j.lastSet(v, o, nil); cursor != "" {
		v.Text += "; " + cursor
	}
}

func many(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func rowsOf(n, all int) string {
	return fmt.Sprintf("%d of %d rows", n, all)
}
