package engine

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// problems gathers what is wrong with a configuration file, so that a person can repair all of it at once.
type problems struct {
	file string
	list []problem
	seen map[string]bool // paths

	broken bool // the file is not YAML
}

type problem struct {
	line, col  int
	path, text string
	id         *ErrorID // what Devo's collectors call it, or nil
}

func (p problem) String() string {
	text := p.text
	if p.id != nil {
		text = p.id.Reason(text)
	}
	if p.path != "" {
		text = p.path + ": " + text
	}
	return text
}

// add records a problem with what is at path. Only the first counts: what is wrong in the way it is
// written is mostly wrong in other ways too.
func (ps *problems) add(line, col int, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		if ps.seen[path] {
			return
		}
		if ps.seen == nil {
			ps.seen = map[string]bool{}
		}
		ps.seen[path] = true
	}
	ps.list = append(ps.list, problem{line: line, col: col, path: path, text: text})
}

// name gives all problems from the n-th on, counted from 0, the name that Devo's collectors have for them.
func (ps *problems) name(n int, id *ErrorID) {
	for i := range ps.list[n:] {
		ps.list[n+i].id = id
	}
}

// maxProblems is how many problems an error lists: nobody reads more at a time.
const maxProblems = 50

// err returns an Error with one line for each problem, in the order of the file, or nil.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	sorted := slices.SortedStableFunc(slices.Values(ps.list), func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
	})
	var lines []error
	for i, p := range sorted {
		if i == maxProblems {
			lines = append(lines, errors.New(place(ps.file, p.line, p.col)+fmt.Sprintf("%d more problems from here on", len(sorted)-i)))
			break
		}
		lines = append(lines, errors.New(place(ps.file, p.line, p.col)+p.String()))
	}
	return &Error{Code: CodeConfig, Err: errors.Join(lines...)}
}

// and returns an error with the problems of two files, those of ps first.
func (ps *problems) and(others *problems) error {
	var lines []error
	for _, err := range []error{ps.err(), others.err()} {
		if e, ok := errors.AsType[*Error](err); ok {
			lines = append(lines, e.Err)
		}
	}
	if lines == nil {
		return nil
	}
	return &Error{Code: CodeConfig, Err: errors.Join(lines...)}
}

// place returns "file:line:col: ", or as much of it as there is.
func place(file string, line, col int) string {
	switch {
	case line > 0:
		return fmt.Sprintf("%s:%d:%d: ", file, line, col)
	case file != "":
		return file + ": "
	}
	return ""
}

var bareKey = regexp.MustCompile(`^[^\s."\\\pC]+$`)

// join returns the path of key below path.
func join(path, key string) string {
	if !bareKey.MatchString(key) || len(key) > 80 {
		key = strconv.Quote(cut(key, 80))
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Nearest returns the candidate that key is most likely a misspelling of, or "".
func Nearest(key string, candidates []string) string {
	best, limit := "", min(len(key)/3+2, 4, len(key))
	for _, c := range candidates {
		if d := distance(key, c, limit); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace to make b of a. A difference in length
// alone that reaches limit ends the count.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
