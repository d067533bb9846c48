package campaign

import (
	"fmt"
	"io"
	"time"
)

// WriteTable writes results as a table in Markdown, and their notes below it.
func WriteTable(w io.Writer, results []Result) {
	fmt.Fprintln(w, "| campaign | size | lost | extra | twice | seconds | seed |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range results {
		fmt.Fprintf(w, "| %s | %d faults, %d events | %d | %d | %d (%.0f a fault) | %.0f | %d |\n", r.Name, r.Faults, r.Rows, r.Lost, r.Extra,
			r.Twice, float64(r.Twice)/float64(max(r.Faults, 1)), r.Took.Round(time.Second).Seconds(), r.Seed)
	}
	for _, r := range results {
		if r.Ended > 0 {
			fmt.Fprintf(w, "\n%s: the collector ended by itself %d times and was started again.\n", r.Name, r.Ended)
		}
		for _, note := range r.Notes {
			fmt.Fprintf(w, "\n%s: %s\n", r.Name, note)
		}
	}
}
