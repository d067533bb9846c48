package certify

import (
	"context"
	"fmt"
	"slices"

	"starling/engine"
)

// A Report is what the matrix came to.
type Report struct {
	Script   string    `json:"script"`
	OK       bool      `json:"ok"`
	Rows     int       `json:"rows"`     // that the API had
	Pulls    int       `json:"pulls"`    // in all cells
	Verdicts []Verdict `json:"verdicts"` // one for each name, the worst of its variants
}

// Run tries a script in every cell whose name is wanted.
func Run(ctx context.Context, script Script, api *API, wanted func(name string) bool) (*Report, error) {
	if err := api.Prepare(); err != nil {
		return nil, err
	}
	store, err := engine.OpenStore("", script.Limits.OutboxBytes)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	r := &runner{script: script, api: api, store: store, most: 1000}
	plain, err := r.run(ctx, &Cell{Name: "as-is"})
	if err != nil {
		return nil, err
	}
	r.most = 200 + 20*longest(plain)
	text, file := script.Sources.Display(script.Name)
	j := &judge{api: api, idPath: api.idPath(plain), source: readSource(file, text), file: file}
	report := &Report{Script: script.Name, Rows: len(api.rows()), Pulls: len(plain.pulls)}
	first := j.verdict(plain)
	report.add(first)
	if first.Result == Lost || first.Result == Died || first.Result == Stuck {
		report.finish() // what is broken on top says nothing new
		return report, nil
	}
	for _, cell := range api.cells(plain) {
		if !wanted(cell.Name) {
			continue
		}
		o, err := r.run(ctx, cell)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cell.Name, err)
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		report.Pulls += len(o.pulls)
		report.add(j.verdict(o))
		if script.First && !report.Verdicts[len(report.Verdicts)-1].OK() {
			break
		}
	}
	report.finish()
	return report, nil
}

func longest(o *outcome) int {
	most := 0
	for _, p := range o.pulls {
		most = max(most, p.last-p.first+1)
	}
	return most
}

// add keeps the worst verdict of each name.
func (r *Report) add(v Verdict) {
	i := slices.IndexFunc(r.Verdicts, func(o Verdict) bool { return o.Name == v.Name })
	if i < 0 {
		r.Verdicts = append(r.Verdicts, v)
		return
	}
	v.Tried += r.Verdicts[i].Tried
	if v.rank() > r.Verdicts[i].rank() {
		r.Verdicts[i] = v
	}
	r.Verdicts[i].Tried = v.Tried
}

func (r *Report) finish() {
	r.OK = !slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return !v.OK() })
}
