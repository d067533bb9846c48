// Command stages says which stage of the path takes how much of the processor time of a profile:
//
//	starling bench --profile .
//	go tool pprof -traces cpu.pprof | go run ./cmd/internal/bench/stages
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

// stages are told by a function on the stack; the first that matches counts.
var stages = []struct {
	name string
	is   *regexp.Regexp
}{
	{"collect garbage", regexp.MustCompile(`^runtime\.(gcBgMarkWorker|gcAssistAlloc|bgsweep|bgscavenge|gcStart|deductSweepCredit)`)},
	{"check JSON, find rows", regexp.MustCompile(`^starling/builtins\.(parseBytes|parseJSON|strictDocument|\(\*pages\)\.parse)`)},
	{"fetch pages", regexp.MustCompile(`^(starling/builtins\.\(\*(exchange|request|call)\)|starling/builtins\.readBody|net/http\.)`)},
	{"look for rows sent before", regexp.MustCompile(`^starling/(engine\.\(\*Pull\)\.(Seen|Known|Approach)|builtins\.(\(\*drafter\)\.(fieldKey|bodyKey)|\(\*sender\)\.(wants|seen)))`)},
	{"frame, compress", regexp.MustCompile(`^starling/engine\.\(\*(Pull\)\.Stage|staging\)|chunkWriter\))`)},
	{"map rows", regexp.MustCompile(`^starling/builtins\.(devoSend|\(\*(drafter|crew|pageCut)\))`)},
	{"read from the store", regexp.MustCompile(`^starling/engine\.(\(\*delivery\)\.next|\(\*Store\)\.chunk|decodeChunk)`)},
	{"send over TLS", regexp.MustCompile(`^(starling/sinks\.|crypto/tls\.)`)},
	{"commit to the store", regexp.MustCompile(`^(starling/engine\.(\(\*Pull\)\.Commit|\(\*Store\)|\(\*committer\))|github\.com/dgraph-io/)`)},
	{"run the script", regexp.MustCompile(`^go\.starlark\.net/`)},
}

func main() {
	times, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	for _, name := range append(names(), rest) {
		fmt.Printf("| %-25s | %6.2f s | %3.0f %% |\n", name, times[name].Seconds(), 100*float64(times[name])/float64(max(1, sum)))
	}
}

const rest = "everything else"

func names() (all []string) {
	for _, s := range stages {
		all = append(all, s.name)
	}
	return all
}

// read sums up the traces, between which are lines of dashes: the time stands before the innermost function.
func read(r io.Reader) (map[string]time.Duration, error) {
	times := map[string]time.Duration{}
	var took time.Duration
	var stack []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "-----------+") {
			times[stage(stack)] += took
			took, stack = 0, nil
			continue
		}
		value, function, ok := strings.Cut(line, " ")
		if d, err := time.ParseDuration(value); ok && err == nil && stack == nil {
			took, line = d, strings.TrimSpace(function)
		}
		stack = append(stack, line)
	}
	times[stage(stack)] += took
	return times, lines.Err()
}

func stage(stack []string) string {
	for _, s := range stages {
		for _, function := range stack {
			if s.is.MatchString(function) {
				return s.name
			}
		}
	}
	return rest
}
