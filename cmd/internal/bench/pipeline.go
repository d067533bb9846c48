package bench

import (
	"fmt"
	"slices"
	"text/tabwriter"
)

// Samples are those of all runs, in the order in which they were measured: in each run the program, then its references.
type Samples []Sample

func pipeline(b *bench) (result, error) {
	var all Samples
	for _, rows := range b.Rows {
		for range b.Runs {
			for _, name := range append([]string{Starling}, References()...) {
				s, err := b.measure(name, past(rows))
				if err != nil {
					return nil, err
				}
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// A Column is a figure of a sample. Its unit is one that benchmarks of Go can have.
type Column struct {
	Unit, form string
	Of         func(Sample) float64
}

// Columns are what is printed of a sample; the first is the processor time.
func Columns() []Column {
	return []Column{
		{"cpu-s/Mevents", "%.2f", func(s Sample) float64 { return s.CPU }},
		{"events/s", "%.0f", func(s Sample) float64 { return s.Rate }},
		{"peak-RSS-MiB", "%.0f", func(s Sample) float64 { return s.Peak }},
		{"B/event", "%.0f", func(s Sample) float64 { return s.Bytes }},
		{"allocs/event", "%.2f", func(s Sample) float64 { return s.Allocs }},
	}
}

// print writes the median of each figure, with its range where there is more than one run, and the program's ratios.
func (all Samples) print(o *Options) {
	w := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	for _, rows := range o.Rows {
		fmt.Fprintf(w, "%d rows\t", rows)
		for _, c := range Columns() {
			fmt.Fprintf(w, "%s\t", c.Unit)
		}
		fmt.Fprintln(w)
		for _, name := range append([]string{Starling}, References()...) {
			fmt.Fprintf(w, "%s\t", name)
			for _, c := range Columns() {
				fmt.Fprintf(w, "%s\t", spread(c.form, all.Values(rows, name, c.Of)))
			}
			fmt.Fprintln(w)
		}
		for _, name := range References() {
			fmt.Fprintf(w, "ratio to %s\t", name)
			for _, c := range Columns() {
				fmt.Fprintf(w, "%s\t", spread("%.2f", all.Ratios(rows, name, c.Of)))
			}
			fmt.Fprintln(w)
		}
	}
}

// Values are those of one program.
func (all Samples) Values(rows int, name string, of func(Sample) float64) (values []float64) {
	for _, s := range all {
		if s.Program == name && s.Rows == rows {
			values = append(values, of(s))
		}
	}
	return values
}

// Ratios are the program's figures through those of a reference in the same run.
func (all Samples) Ratios(rows int, name string, of func(Sample) float64) (ratios []float64) {
	references := all.Values(rows, name, of)
	for i, v := range all.Values(rows, Starling, of) {
		ratios = append(ratios, v/references[i])
	}
	return ratios
}

// spread is the median and, of more than one value, the range.
func spread(form string, values []float64) string {
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return "-"
	}
	median := (values[(n-1)/2] + values[n/2]) / 2
	if n == 1 {
		return fmt.Sprintf(form, median)
	}
	return fmt.Sprintf(form+" ("+form+" to "+form+")", median, values[0], values[n-1])
}
