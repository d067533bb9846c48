package reference

import (
	"regexp"
	"slices"
	"strings"
)

// What is in backticks in the documents without being a name.
var noNames = []string{"devo_1", "devo_us_1", "devo_2", "relay_1", "console_1", "sidecar_0", "not_used", "config_n", "any_directory",
	"INFO OutputProcess::SyslogSenderManagerMonitor(standard"} // a line that the page breaks off

var (
	ticked    = regexp.MustCompile("`([^`]+)`")
	keyLike   = regexp.MustCompile(`^[a-z]+(_[a-z]+)*(\.[a-z_]+)?$`)
	aNumber   = regexp.MustCompile(`^\d{1,3}$`)
	firstCell = regexp.MustCompile(`^\| *([^|]*?) *\|`)
	heading   = regexp.MustCompile(`^##+ (\d+(?:\.\d+)?) ?(.*)`)
	errorsOf  = regexp.MustCompile(`\b(\w+Error|custom) (\d+)-\d+`)
)

// namesInFacts returns the names in a text whose sections are numbered as those of the list of names are.
func namesInFacts(text string) (names []devoName) {
	section, title, fenced := "", "", false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := heading.FindStringSubmatch(line); m != nil && !fenced {
			section, title = m[1], m[2]
			continue
		}
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		for _, n := range namesInLine(section, title, line, fenced) {
			if isName(n) {
				n.section = section
				names = append(names, n)
			}
		}
	}
	return names
}

// isName reports whether n is one.
func isName(n devoName) bool { return !slices.Contains(noNames, n.name) }

func namesInLine(section, title, line string, fenced bool) []devoName {
	switch {
	case section == "1.1":
		return commandsIn(line)
	case slices.Contains([]string{"1.3", "1.4", "1.5", "1.6"}, section) && !fenced:
		return append(settingsIn(section, line), codesIn(line)...)
	case section == "4.1" || section == "4.2":
		if m := firstCell.FindStringSubmatch(line); m != nil && aNumber.MatchString(m[1]) {
			return []devoName{{kind: "error", name: strings.Fields(title)[0] + " " + m[1]}}
		}
	case section == "4" || section == "4.3":
		return append(rangesIn(line), kitIn(line)...)
	case strings.HasPrefix(section, "5."):
		return linesIn(line, fenced)
	}
	return nil
}

func commandsIn(line string) (names []devoName) {
	for _, flag := range regexp.MustCompile(`--[a-z][a-z_-]+`).FindAllString(line, -1) {
		names = append(names, devoName{kind: "command", name: flag})
	}
	return names
}

// settingsIn takes keys from the first cell of a table, and from prose what has an underscore.
func settingsIn(section, line string) (names []devoName) {
	kind, of := "setting", line
	m := firstCell.FindStringSubmatch(line)
	if m != nil {
		of = m[1]
	}
	if m != nil && section == "1.5" {
		kind = "output"
	}
	for _, t := range ticked.FindAllStringSubmatch(of, -1) {
		if keyLike.MatchString(t[1]) && (m != nil || strings.Contains(t[1], "_")) {
			names = append(names, devoName{kind: kind, name: t[1][strings.LastIndex(t[1], ".")+1:]})
		}
	}
	if m != nil && section == "1.6" && len(names) == 0 { // keys without backticks
		for _, word := range regexp.MustCompile(`[a-z_]+`).FindAllString(strings.ReplaceAll(of, "credentials.", ""), -1) {
			if strings.Contains(word, "_") {
				names = append(names, devoName{kind: kind, name: word})
			}
		}
	}
	return names
}

// codesIn takes the numbers of the errors of the configuration from the sentence that has them.
func codesIn(line string) (names []devoName) {
	const class = "CollectorConfigurationException"
	_, codes, ok := strings.Cut(line, "\"): ")
	if !strings.HasPrefix(line, class) || !ok {
		_, codes, ok = strings.Cut(line, "`): ")
	}
	if !strings.HasPrefix(line, class) || !ok {
		return nil
	}
	for part := range strings.SplitSeq(codes, ";") {
		lead := regexp.MustCompile(`^ *\d+([,-]\d+)*`).FindString(part)
		for _, n := range numbersIn(lead) {
			names = append(names, devoName{kind: "error", name: class + " " + n})
		}
	}
	return names
}

func numbersIn(lead string) []string {
	numbers := regexp.MustCompile(`\d+`).FindAllString(lead, -1)
	if strings.Contains(lead, "-") && len(numbers) == 2 && numbers[0] == "10" { // 10-12
		return []string{"10", "11", "12"}
	}
	return numbers
}

func rangesIn(line string) (names []devoName) {
	for _, m := range errorsOf.FindAllStringSubmatch(line, -1) {
		names = append(names, devoName{kind: "error", name: strings.Replace(m[1], "custom", "CustomError", 1) + " " + m[2]})
	}
	for _, n := range regexp.MustCompile(`\b30[0-6]\b`).FindAllString(line, -1) {
		names = append(names, devoName{kind: "error", name: "PullError " + n})
	}
	return names
}

// kitIn takes the first number of each part of the collector kit.
func kitIn(line string) (names []devoName) {
	_, codes, ok := strings.Cut(line, ": codes ")
	if !ok {
		return nil
	}
	for part := range strings.SplitSeq(codes, ",") {
		names = append(names, devoName{kind: "error", name: "SDK " + regexp.MustCompile(`\d+`).FindString(part)})
	}
	return names
}

// linesIn takes lines of blocks of code, and what in prose is long enough for a line.
func linesIn(line string, fenced bool) (names []devoName) {
	if fenced {
		if strings.TrimSpace(line) != "" {
			names = append(names, devoName{kind: "line", name: strings.TrimSpace(line)})
		}
		return names
	}
	for _, t := range ticked.FindAllStringSubmatch(line, -1) {
		if len(t[1]) > 12 && strings.Contains(t[1], " ") && !strings.Contains(t[1], "%(") {
			names = append(names, devoName{kind: "line", name: t[1]})
		}
	}
	return names
}

// namesInPage returns the names in the text of a page, whose tables have a cell on each line.
func namesInPage(text string) (names []devoName) {
	class := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "SetupError" || line == "InitVariablesError":
			class = line
		case strings.HasPrefix(line, "Collector operations"):
			class = ""
		case class != "" && aNumber.MatchString(line):
			names = append(names, devoName{"page", "error", class + " " + line})
		case strings.HasPrefix(line, "INFO "):
			names = append(names, devoName{"page", "line", line})
		default:
			name := strings.TrimSuffix(strings.Trim(line, "<>"), "_value")
			if keyLike.MatchString(name) && strings.Contains(name, "_") {
				names = append(names, devoName{"page", "setting", name})
			}
		}
	}
	return names
}
