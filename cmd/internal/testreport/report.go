// Package testreport writes what tests of scripts came to, for people and for CI.
package testreport

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"starling/cmd/internal/problem"
)

// A File is the outcome of a file of tests.
type File struct {
	File  string `json:"file"`
	OK    bool   `json:"ok"`
	Tests []Test `json:"tests"`
	Error string `json:"error,omitempty"` // the file does not load

	Problems []problem.Problem `json:"problems,omitempty"` // the same, for programs
}

// A Test is the outcome of a test, or of a part of one.
type Test struct {
	Name         string  `json:"name"`
	OK           bool    `json:"ok"`
	Milliseconds float64 `json:"milliseconds"`
	Error        string  `json:"error,omitempty"`
	At           string  `json:"file,omitempty"` // where it failed
	Line         int     `json:"line,omitempty"`
	Column       int     `json:"column,omitempty"`

	Problems []problem.Problem `json:"problems,omitempty"` // Error, for programs
}

// Print writes a file's outcome as text: what failed, or with verbose every test.
func (f File) Print(w io.Writer, verbose bool) {
	total := 0.0
	for _, t := range f.Tests {
		if !strings.Contains(t.Name, "/") { // the time of parts is in that of the whole
			total += t.Milliseconds
		}
		if verbose || !t.OK {
			fmt.Fprintf(w, "%-4s  %s %s (%.0fms)\n", verdict(t.OK), f.File, t.Name, t.Milliseconds)
		}
		if !t.OK {
			fmt.Fprintln(w, indented(t.Error))
		}
	}
	fmt.Fprintf(w, "%-4s  %s (%s, %.0fms)\n", verdict(f.OK), f.File, count(len(f.Tests), "test"), total)
	if f.Error != "" {
		fmt.Fprintln(w, indented(f.Error))
	}
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "FAIL"
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

func indented(text string) string {
	return "      " + strings.ReplaceAll(text, "\n", "\n      ")
}

// JUnit writes files as JUnit XML, a suite for each.
func JUnit(w io.Writer, files []File) error {
	b := &strings.Builder{}
	b.WriteString(xml.Header + "<testsuites>\n")
	for _, f := range files {
		tests := f.Tests
		if f.Error != "" {
			tests = append(tests[:len(tests):len(tests)], Test{Name: "load", Error: f.Error})
		}
		failed, total := 0, 0.0
		for _, t := range tests {
			if !t.OK {
				failed++
			}
			if !strings.Contains(t.Name, "/") {
				total += t.Milliseconds
			}
		}
		fmt.Fprintf(b, "  <testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"0\" time=\"%.3f\">\n", escaped(f.File), len(tests), failed, total/1000)
		for _, t := range tests {
			fmt.Fprintf(b, "    <testcase classname=\"%s\" name=\"%s\" time=\"%.3f\"", escaped(strings.TrimSuffix(f.File, ".star")), escaped(t.Name), t.Milliseconds/1000)
			if t.At != "" {
				fmt.Fprintf(b, " file=\"%s\" line=\"%d\"", escaped(t.At), t.Line)
			}
			if t.OK {
				b.WriteString("/>\n")
				continue
			}
			first, _, _ := strings.Cut(t.Error, "\n")
			fmt.Fprintf(b, ">\n      <failure message=\"%s\">%s</failure>\n    </testcase>\n", escaped(first), escaped(t.Error))
		}
		b.WriteString("  </testsuite>\n")
	}
	b.WriteString("</testsuites>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func escaped(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
