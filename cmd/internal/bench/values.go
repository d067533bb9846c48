package bench

import (
	"fmt"
	"text/tabwriter"
)

// Values are figures other than those of the pipeline.
type Values []Value

// A Value is a figure, of every run.
type Value struct {
	Name string    `json:"name"`
	Unit string    `json:"unit"`
	Runs []float64 `json:"runs"`
}

// add notes the value of one run.
func (all *Values) add(name, unit string, v float64) {
	for i := range *all {
		if (*all)[i].Name == name && (*all)[i].Unit == unit {
			(*all)[i].Runs = append((*all)[i].Runs, v)
			return
		}
	}
	*all = append(*all, Value{name, unit, []float64{v}})
}

func (all Values) print(o *Options) {
	w := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	for _, v := range all {
		fmt.Fprintf(w, "%s\t%s\t %s\n", v.Name, spread("%.2f", v.Runs), v.Unit)
	}
}
