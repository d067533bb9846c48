package main

import (
	"os"
	"strconv"
	"testing"

	"starling/cmd/internal/bench"
)

// BenchmarkPipeline is the whole path, as starling bench measures it: a simulated API over HTTP, the real script, the real store
// on disk, and a receiver over TLS. An iteration pulls and delivers a million rows, or STARLING_BENCH_ROWS, and then has the two
// hand-written references do the same.
//
//	go test -run '^$' -bench Pipeline -benchtime 1x ./cmd/starling
func BenchmarkPipeline(b *testing.B) {
	rows := 1_000_000
	if text := os.Getenv("STARLING_BENCH_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	found, err := bench.Run(b.Context(), bench.Options{Program: "starling", Dir: b.TempDir(), Rows: []int{rows}, Runs: b.N, Script: "declared"}, "pipeline")
	if err != nil {
		b.Fatal(err)
	}
	all := found.(bench.Samples)
	mean := func(values []float64) (sum float64) {
		for _, v := range values {
			sum += v / float64(len(values))
		}
		return sum
	}
	for _, c := range bench.Columns() {
		b.ReportMetric(mean(all.Values(rows, bench.Starling, c.Of)), c.Unit)
	}
	for _, name := range bench.References() {
		b.ReportMetric(mean(all.Ratios(rows, name, bench.Columns()[0].Of)), "cpu/"+name)
	}
}
