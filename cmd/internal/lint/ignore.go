package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"starling/engine"
)

// ignoreComment is what keeps a finding of its line, or of the next one if it stands alone, from being told.
var ignoreComment = regexp.MustCompile(`^([^#]*)#\s*lint:\s*ignore\b[ \t]*([a-z-]*)[ \t]*(.*)$`)

// ignored leaves out what comments say is meant so, and tells comments that are wrong.
func ignored(findings []Finding, source []byte) []Finding {
	type place struct {
		line int
		code string
	}
	found := map[place]bool{}
	for _, f := range findings {
		found[place{f.Line, f.Code}] = true
	}
	var names []string
	for _, l := range Lints() {
		names = append(names, l.Name)
	}
	meant := map[place]bool{}
	var wrong []Finding
	for i, line := range strings.Split(string(source), "\n") {
		m := ignoreComment.FindStringSubmatchIndex(line)
		if m == nil {
			continue
		}
		before, name, reason := line[m[2]:m[3]], line[m[4]:m[5]], strings.TrimSpace(line[m[6]:m[7]])
		at := i + 1
		if strings.TrimSpace(before) == "" {
			at++
		}
		here := place{at, name}
		problem := ""
		switch {
		case !slices.Contains(names, name):
			problem = fmt.Sprintf("there is no lint %q", name)
			if near := engine.Nearest(name, names); near != "" {
				problem += fmt.Sprintf(" (did you mean %s?)", near)
			}
		case reason == "":
			problem = "the comment gives no reason"
		case !found[here] || meant[here]:
			problem = fmt.Sprintf("there is no %s here to ignore", name)
		}
		meant[here] = true
		if problem != "" {
			column := len([]rune(before)) + 1
			wrong = append(wrong, Finding{Code: "bad-ignore", Line: i + 1, Column: column, EndLine: i + 1, EndColumn: len([]rune(line)) + 1,
				Message: problem, Fix: "write # lint: ignore NAME reason, or take the comment out"})
		}
	}
	return append(slices.DeleteFunc(findings, func(f Finding) bool { return meant[place{f.Line, f.Code}] }), wrong...)
}
