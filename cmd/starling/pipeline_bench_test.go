package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/cmd/internal/sim"
)

// A benchWorld is a simulated Microsoft and Devo in a process of their own, so that what they cost is
// not counted. It is a command that tests can run: it writes what it made as a line of JSON, and for
// every line of input how far Devo is.
type benchWorld struct {
	Config   string
	From, To time.Time
}

// serveBenchWorld is the command: its arguments are a folder and how many rows there are.
func serveBenchWorld() {
	rows, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	now := time.Now().UTC()
	b := benchWorld{From: now.Add(-23 * time.Hour), To: now.Add(-time.Minute)}
	w, err := sim.NewWorld(os.Args[1], sim.WorldOptions{Delay: time.Second, Microsoft: sim.Options{
		Rows: sim.Rows{From: b.From, To: b.To, Count: rows}, RawUnicode: true}})
	if err != nil {
		panic(err)
	}
	b.Config = w.ConfigFile()
	out := json.NewEncoder(os.Stdout)
	out.Encode(b)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "count" {
			out.Encode([]int{w.Devo.Counters().Events})
			continue
		}
		missing, extra, duplicates := w.Devo.Compare(w.Microsoft.Truth(b.From, b.To))
		out.Encode([]int{missing, extra, duplicates})
	}
}

// BenchmarkPipeline is the whole path: a simulated API over HTTP, the real script, the real store on
// disk, and a TLS sink. An iteration pulls and delivers a million rows, or STARLING_BENCH_ROWS. It
// reports the processor time of this process alone, user and system.
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
	var cpu, wall time.Duration
	for range b.N {
		c, w := pipelineOnce(b, rows)
		cpu, wall = cpu+c, wall+w
	}
	total := float64(rows * b.N)
	b.ReportMetric(cpu.Seconds()/total*1e6, "cpu-s/Mevents")
	b.ReportMetric(total/wall.Seconds(), "events/s")
	b.ReportMetric(peakRSS(b), "peak-RSS-MiB")
}

func pipelineOnce(b *testing.B, rows int) (cpu, wall time.Duration) {
	world := exec.Command("bench-world", b.TempDir(), strconv.Itoa(rows))
	in, err1 := world.StdinPipe()
	out, err2 := world.StdoutPipe()
	world.Stderr = os.Stderr
	if err := cmp.Or(err1, err2, world.Start()); err != nil {
		b.Fatal(err)
	}
	defer world.Wait()
	defer in.Close()
	answers := json.NewDecoder(out)
	var made benchWorld
	if err := answers.Decode(&made); err != nil {
		b.Fatal(err)
	}
	ask := func(what string) (numbers []int) {
		fmt.Fprintln(in, what)
		if err := answers.Decode(&numbers); err != nil {
			b.Fatal(err)
		}
		return numbers
	}
	p := program{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
	config, err := p.loadConfig(made.Config)
	if err != nil {
		b.Fatal(err)
	}
	config.Listen = ""
	before, began := processorTime(b), time.Now()
	s, err := p.start(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.engine.Run(ctx) }()
	for ask("count")[0] < rows {
		if time.Since(began) > 5*time.Minute {
			b.Fatalf("only %v of %d events came: %+v", ask("count"), rows, s.engine.Status())
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	cpu, wall = processorTime(b)-before, time.Since(began)
	if got := ask("compare"); got[0] != 0 || got[1] != 0 || got[2] != 0 {
		b.Fatalf("missing, extra, duplicates: %v", got)
	}
	return cpu, wall
}

// processorTime is what the process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')'):]))
	var ticks time.Duration               // of 10 ms
	for _, field := range fields[12:14] { // user and system
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// peakRSS is the most memory that the process has had, MiB.
func peakRSS(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}
