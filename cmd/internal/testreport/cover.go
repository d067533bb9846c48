package testreport

import (
	"fmt"
	"html"
	"io"
	"strings"

	"starling/engine"
)

// Covered is which statements of a script ran.
type Covered struct {
	File       string  `json:"file"`
	Statements int     `json:"statements"`
	Ran        int     `json:"ran"`
	Percent    float64 `json:"percent"`
	Missed     []Lines `json:"missed"` // where a statement did not run

	runs map[int]int64 // by line, of the statement of it that ran least
}

// Lines are some that follow each other.
type Lines struct {
	From int `json:"from"`
	To   int `json:"to"`
}

func (l Lines) String() string {
	if l.From == l.To {
		return fmt.Sprint(l.From)
	}
	return fmt.Sprintf("%d-%d", l.From, l.To)
}

// Cover sums statements up by file, of those that wanted says.
func Cover(statements []*engine.Statement, wanted func(file string) bool) []Covered {
	files := []Covered{}
	for _, s := range statements {
		if !wanted(s.File) {
			continue
		}
		if n := len(files); n == 0 || files[n-1].File != s.File {
			files = append(files, Covered{File: s.File, Missed: []Lines{}, runs: map[int]int64{}})
		}
		files[len(files)-1].add(s)
	}
	for i := range files {
		files[i].Percent = 100 * float64(files[i].Ran) / float64(files[i].Statements)
	}
	return files
}

func (c *Covered) add(s *engine.Statement) {
	c.Statements++
	for line := s.Line; line <= s.EndLine; line++ {
		if before, ok := c.runs[line]; !ok || s.Runs() < before {
			c.runs[line] = s.Runs()
		}
	}
	if s.Runs() > 0 {
		c.Ran++
		return
	}
	if n := len(c.Missed); n > 0 && s.Line <= c.Missed[n-1].To+1 {
		c.Missed[n-1].To = max(c.Missed[n-1].To, s.EndLine)
	} else {
		c.Missed = append(c.Missed, Lines{s.Line, s.EndLine})
	}
}

// PrintCover writes a line for each file, with the lines that did not run, and one for all.
func PrintCover(w io.Writer, files []Covered) {
	all := Covered{}
	for _, c := range files {
		missed := ""
		if len(c.Missed) > 0 {
			missed = "  not run: " + strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Missed), " ", ", "), "[]")
		}
		fmt.Fprintf(w, "%5.1f %%  %s (%d of %d statements)%s\n", c.Percent, c.File, c.Ran, c.Statements, missed)
		all.Ran, all.Statements = all.Ran+c.Ran, all.Statements+c.Statements
	}
	if len(files) > 1 {
		fmt.Fprintf(w, "%5.1f %%  of all %d files (%d of %d statements)\n", 100*float64(all.Ran)/float64(all.Statements), len(files), all.Ran, all.Statements)
	}
}

// The styles of the page; it loads nothing.
const style = `body{font-family:sans-serif;margin:2em}pre{line-height:1.35}.n{color:#888}.r{background:#dff5dd}.m{background:#fbd9d7}h2{margin-top:2em}`

// HTML writes one page with the text of each file, a line that ran in green, one that did not in red.
func HTML(w io.Writer, files []Covered, source func(file string) []byte) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Statements that ran</title><style>%s</style></head><body>\n<h1>Statements that ran</h1>\n<ul>\n", style)
	for i, c := range files {
		fmt.Fprintf(b, "<li><a href=\"#f%d\">%s</a> %.1f %%</li>\n", i, html.EscapeString(c.File), c.Percent)
	}
	b.WriteString("</ul>\n")
	for i, c := range files {
		fmt.Fprintf(b, "<h2 id=\"f%d\">%s: %.1f %%</h2>\n<pre>\n", i, html.EscapeString(c.File), c.Percent)
		number := 0
		for line := range strings.Lines(string(source(c.File))) {
			number++
			class, note := "", ""
			if runs, ok := c.runs[number]; ok && runs > 0 {
				class, note = "r", fmt.Sprintf("ran %s", count(int(runs), "time"))
			} else if ok {
				class, note = "m", "did not run"
			}
			fmt.Fprintf(b, "<span class=\"n\">%5d</span> <span class=\"%s\" title=\"%s\">%s</span>\n", number, class, note, html.EscapeString(strings.TrimRight(line, "\r\n")))
		}
		b.WriteString("</pre>\n")
	}
	b.WriteString("</body></html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
